/** The token file changes while the broker runs. */
import { unlinkSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { createWorker } from "../../worker/index.ts";
import { methods, refusalOf } from "../support/grpc.ts";
import { WireWorker } from "../support/wire-worker.ts";
import { bearer, type Guarded, role, startGuarded } from "./rig.ts";

const all = role("all", "mail/*", ["enqueue", "wait", "work"]);
const stays = role("stays", "mail/*", ["enqueue", "wait", "work"]);
const metadata = bearer(all.token);
const key = (jobId: string) => ({ queue: "mail/a", jobId });

const enqueue = (rig: Guarded, jobId: string, headers = metadata) =>
  rig.caller.call(methods.enqueue, { spec: key(jobId) }, { metadata: headers });

test("a new token is known within moments, without a word to the broker", async () => {
  await using rig = await startGuarded([stays.entry]);
  await rig.caller.refused(enqueue(rig, "a"));
  rig.folder.write("tokens.yaml", [stays.entry, all.entry]);
  await vi.waitFor(() => enqueue(rig, "a"), { timeout: 12_000, interval: 50 });
});

test("a revoked token ends its worker streams, watches and waits; those of others go on", async () => {
  await using rig = await startGuarded([all.entry, stays.entry]);
  await enqueue(rig, "watched");
  const ends = ([token, name]: string[]) => {
    const headers = bearer(token as string);
    const worker = new WireWorker(rig.broker.grpcAddress, headers);
    worker.hello({ queues: [`mail/${name}`] });
    const refused = (error: unknown) => error;
    const watch = (async () => {
      for await (const _ of rig.caller.stream(methods.watchJob, key("watched"), { metadata: headers }));
    })().catch(refused);
    const waiting = { ...key("watched"), waitTimeout: { seconds: 3_000n, nanos: 0 } };
    const wait = rig.caller.call(methods.waitJob, waiting, { metadata: headers }).catch(refused);
    return { worker, watch, wait };
  };
  const gone = ends([all.token, "gone"]);
  const kept = ends([stays.token, "kept"]);
  const over = vi.fn();
  void Promise.race([kept.worker.ended, kept.watch, kept.wait]).then(over, over);
  await vi.waitFor(() => expect(rig.broker.stats).toMatchObject({ waiting: 4, sessions: 2 }));

  rig.folder.write("tokens.yaml", [stays.entry]);
  await rig.broker.reload();
  for (const error of [await gone.worker.ended, await gone.watch, await gone.wait]) {
    expect(refusalOf(error as never).reason).toBe("UNAUTHENTICATED");
  }
  await vi.waitFor(() => expect(rig.broker.stats).toMatchObject({ waiting: 2, sessions: 1, calls: 3 }));
  expect(over).not.toHaveBeenCalled();
  gone.worker.close();
  kept.worker.close();
});

test("a right that is taken away ends the streams that stand on it", async () => {
  await using rig = await startGuarded([all.entry]);
  const worker = new WireWorker(rig.broker.grpcAddress, metadata);
  worker.hello({ queues: ["mail/a"] });
  await vi.waitFor(() => expect(worker.welcome).toBeDefined());
  rig.folder.write("tokens.yaml", [{ ...all.entry, rights: [{ queues: ["mail/b"], verbs: ["work"] }] }]);
  await rig.broker.reload();
  expect(refusalOf((await worker.ended) as never)).toMatchObject({
    reason: "PERMISSION_DENIED",
    message: "all has no right to work on queue mail/a",
  });
  worker.close();
});

test("a broken or missing file changes nothing and is logged once, with its line", async () => {
  await using rig = await startGuarded([all.entry]);
  const file = rig.folder.write("tokens.yaml", `- name: all\n  sha256: ${"x".repeat(64)}\n`);
  await rig.broker.reload();
  await rig.broker.reload();
  await enqueue(rig, "a");
  expect(rig.log().match(/tokens\.yaml:2: \[0\]\.sha256: expected [^\n]*; the tokens read before stay/g)).toHaveLength(
    1,
  );
  unlinkSync(file);
  await rig.broker.reload();
  await enqueue(rig, "b");
  expect(rig.log()).toContain("ENOENT");
  rig.folder.write("tokens.yaml", []);
  await rig.broker.reload();
  expect((await rig.caller.refused(enqueue(rig, "c"))).reason).toBe("UNAUTHENTICATED");
});

test("the libraries carry the token, and say what was refused", async () => {
  await using rig = await startGuarded([all.entry]);
  const url = `http://${rig.broker.grpcAddress}`;
  const stop = new AbortController();
  const worker = createWorker({ url, token: all.token }).handle<number>("mail/a", (n) => n + 1);
  const running = worker.run({ signal: stop.signal });
  await using client = createQueueClient({ url, token: async () => all.token });
  expect(await client.queue("mail/a").enqueueAndWait("a", 1)).toBe(2);
  await expect(client.queue("other").enqueueAndWait("a", 1)).rejects.toMatchObject({
    code: "PERMISSION_DENIED",
    message: expect.stringContaining("all has no right to enqueue on queue other"),
  });
  await using nobody = createQueueClient({ url });
  await expect(nobody.queue("mail/a").get("a")).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  stop.abort();
  await running;
});
