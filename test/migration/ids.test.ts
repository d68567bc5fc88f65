/** One id, many callers; many ids, one storage. */
import { describe, expect, test } from "vitest";
import { createQueueClient, type Job, JobCancelledError, JobNotFoundError } from "../../client/index.ts";
import { createWorker } from "../../worker/index.ts";
import { closes, gate, rejection, start } from "./rig.ts";

test("L10: cancelled and enqueued again, a job runs once, with the new payload", async () => {
  const { queue, work } = await start();
  await queue.enqueue("a", "old");
  expect(await queue.cancel("a")).toMatchObject({ state: "cancelled" });
  expect(await queue.enqueue("a", "new")).toMatchObject({ disposition: "created" });
  const payloads: unknown[] = [];
  work((payload) => {
    payloads.push(payload);
    return payload;
  });
  expect(await queue.wait("a")).toBe("new");
  // FIFO: had something of the old run been in line, it would have come before this.
  await queue.enqueueAndWait("b", "last");
  expect(payloads).toEqual(["new", "last"]);
});

test("L11: what was answered as cancelled never runs, however close the race with its start", async () => {
  const { queue, work } = await start();
  const ran = new Set<string>();
  work((_, { jobId }) => void ran.add(jobId), { concurrency: 2 });
  const ids = Array.from({ length: 60 }, (_, n) => `j${n}`);
  const ends = await Promise.all(
    ids.map(async (id) => {
      await queue.enqueue(id, 1);
      const { state } = await queue.cancel(id);
      await queue.wait(id).catch((error) => expect(error).toBeInstanceOf(JobCancelledError));
      return { id, state };
    }),
  );
  expect(ends.filter(({ id, state }) => state === "cancelled" && ran.has(id))).toEqual([]);
});

test("L12: cancelling wakes everybody who waits", async () => {
  const { queue, url, waiting } = await start({ clock: "manual" });
  const other = closes(createQueueClient({ url })).queue("q");
  const waits = [queue, other].map((each) => rejection(each.enqueueAndWait("a", 1)));
  await waiting(2);
  await queue.cancel("a");
  for (const error of await Promise.all(waits)) expect(error).toBeInstanceOf(JobCancelledError);
  await waiting(0);
});

test("L15: a timeout above 2^31 − 1 ms is a long one", async () => {
  const { queue, work, waiting } = await start();
  const results = [2 ** 31, 2 ** 40].map((timeout, n) => queue.enqueueAndWait(`j${n}`, n, { timeout }));
  await waiting(2);
  work((n) => n);
  expect(await Promise.all(results)).toEqual([0, 1]);
});

test("L-R1: a short TTL ends one result, not its neighbours; a TTL can be extended", async () => {
  const { queue, work, advance } = await start({ clock: "manual" });
  let runs = 0;
  work(() => ++runs);
  await queue.enqueueAndWait("long", 1, { resultTtl: 3_600_000 });
  await queue.enqueueAndWait("short", 1, { resultTtl: 1_000 });
  await queue.enqueueAndWait("extended", 1, { resultTtl: 1_000 });
  await queue.updateResultTtl("extended", 100_000);
  await advance(5_000);
  expect(await rejection(queue.get("short"))).toBeInstanceOf(JobNotFoundError);
  expect(await queue.enqueueAndWait("long", 1)).toBe(1);
  expect(await queue.enqueueAndWait("extended", 1)).toBe(3);
  expect(runs).toBe(3);
});

test("L-R2: a waiter that leaves does not take the answer of the others with it", async () => {
  const { queue, url, work, waiting } = await start();
  const elsewhere = closes(createQueueClient({ url })).queue("q");
  const controller = new AbortController();
  const leaves = rejection(queue.enqueueAndWait("a", 1, { signal: controller.signal }));
  const stays = [queue, queue, elsewhere].map((each) => each.enqueueAndWait("a", 1));
  await waiting(4);
  const timesOut = rejection(queue.enqueueAndWait("a", 1, { timeout: 20 }));
  expect(await timesOut).toMatchObject({ code: "TIMEOUT" });
  controller.abort("left");
  expect(await leaves).toBe("left");
  await waiting(3);
  work(() => "for all");
  expect(await Promise.all(stays)).toEqual(["for all", "for all", "for all"]);
});

describe("L-R3, L-R12, L-PG2, L-F1: ids are only ids", () => {
  const ids = [
    ["a", "a:exp", "a:b", "a:b:exp", ":", "::a"],
    ["/", "../a", "..", ".", "a/../../b", "C:\\a", "a\\b"],
    ["{a}", "{", "}a{", "*", "a*", "[a]", "%2e%2e", "%", "a b", " ", "'; --", "__proto__", "constructor"],
    ["ü", "u\u0308", "😀", "x".repeat(256), "é".repeat(128)],
  ].flat();

  test("each runs, is found again by wait, get and cancel, and is no other", async () => {
    const { queue, work } = await start();
    work((payload) => payload, { concurrency: 8 });
    expect(await Promise.all(ids.map((id) => queue.enqueueAndWait(id, { of: id })))).toEqual(
      ids.map((id) => ({ of: id })),
    );
    for (const id of ids) {
      expect(await queue.wait(id)).toEqual({ of: id });
      expect(await queue.get(id)).toMatchObject({ jobId: id, attempt: 1 });
      expect(await queue.cancel(id)).toMatchObject({ jobId: id, state: "succeeded" });
    }
  });
});

test("L-R4: bytes arrive as they are, in the first attempt, in the next, and back", async () => {
  const { queue, work } = await start();
  const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
  const arrived: unknown[] = [];
  work((payload, { attempt }) => {
    arrived.push(payload);
    if (attempt === 1) throw new Error("again");
    return payload;
  });
  expect(await queue.enqueueAndWait("a", bytes, { backoff: { initial: 1 } })).toEqual(bytes);
  expect(await queue.enqueueAndWait("a", bytes)).toEqual(bytes);
  expect(arrived).toEqual([bytes, bytes]);
});

test("L-R5: idle queues hold no other queue up, whatever the order a worker serves them in", async () => {
  const { client, url } = await start();
  const worker = createWorker({ url });
  for (const name of ["idle-1", "idle-2", "busy", "idle-3"]) worker.handle(name, () => name);
  void worker.run();
  closes(worker);
  // One queue that is held up by another, as there by five seconds each, would outlast the test.
  for (let n = 0; n < 20; n++) await client.queue("busy").enqueueAndWait(`j${n}`, n);
});

test("L-R6: every change of a job can be seen from elsewhere, by those who name its queue", async () => {
  const { queue, url, work } = await start();
  const elsewhere = closes(createQueueClient({ url }));
  await queue.enqueue("a", 1, { maxAttempts: 2, backoff: { initial: 1 } });
  const watched = statesOf(elsewhere.queue("q").watch("a"));
  work(() => {
    throw new Error("no");
  });
  expect((await watched).at(-1)).toBe("failed");
  await queue.enqueue("b", 1, { delay: 60_000 });
  await queue.cancel("b");
  expect(await statesOf(elsewhere.queue("q").watch("b"))).toEqual(["cancelled"]);
  expect(await rejection(elsewhere.queue("other").get("b"))).toBeInstanceOf(JobNotFoundError);
});

test("L-PG1: of many first enqueues at one time one creates, the others join, none fails", async () => {
  const { queue, url, work } = await start();
  const clients = Array.from({ length: 5 }, () => closes(createQueueClient({ url })).queue("q"));
  const answers = await Promise.all(clients.flatMap((each) => Array.from({ length: 20 }, () => each.enqueue("a", 1))));
  const count = (wanted: string) => answers.filter(({ disposition }) => disposition === wanted).length;
  expect({ created: count("created"), joined: count("joined") }).toEqual({ created: 1, joined: 99 });
  let runs = 0;
  work(() => ++runs);
  await queue.wait("a");
  await queue.enqueueAndWait("b", 1);
  expect(runs).toBe(2);
});

test("L-F2: everybody who waits gets the result, whichever process they are in; the job runs once", async () => {
  const { queue, url, work, waiting } = await start();
  const clients = Array.from({ length: 4 }, () => closes(createQueueClient({ url })).queue("q"));
  const { promise: end, resolve: finish } = gate();
  let runs = 0;
  work(async () => {
    runs++;
    await end;
    return runs;
  });
  const waits = [queue, ...clients].map((each) => each.enqueueAndWait("a", 1));
  await waiting(5);
  finish();
  expect(await Promise.all(waits)).toEqual([1, 1, 1, 1, 1]);
  expect(runs).toBe(1);
});

async function statesOf(jobs: AsyncIterable<Job<unknown>>): Promise<string[]> {
  const states: string[] = [];
  for await (const { state } of jobs) states.push(state);
  return states;
}
