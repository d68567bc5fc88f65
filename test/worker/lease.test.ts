import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import type { AttemptStoppedError } from "../../worker/index.ts";
import { delivery, LEASE_MS, manual, online, ref } from "./rig.ts";

const why = (signal: AbortSignal | undefined) => (signal?.reason as AttemptStoppedError | undefined)?.why;

test("every held lease is renewed each third of a lease, also while it waits for a slot", async () => {
  const { handler } = manual();
  const rig = await online(handler, { concurrency: 1, window: 2 });
  rig.stream.deliver(delivery("a"), delivery("b"));
  await rig.clock.advance(LEASE_MS / 3);
  expect(rig.stream.renewed).toEqual(["a", "b"]);
  rig.stream.say({ pong: { nonce: rig.stream.pings.at(-1) ?? 0n } });
  await rig.clock.advance(LEASE_MS / 3);
  expect(rig.stream.renewed).toEqual(["a", "b", "a", "b"]);
});

test("a short job is never renewed", async () => {
  const rig = await online(() => 1);
  rig.stream.deliver(delivery("a"));
  await rig.turn();
  rig.stream.answer(rig.stream.settled("a"));
  await rig.clock.advance(LEASE_MS / 2);
  expect(rig.stream.renewed).toEqual([]);
});

test("without proof for nine tenths of the lease the handler is aborted; it hands back, and the broker decides", async () => {
  const { runs, handler } = manual();
  const rig = await online(handler);
  rig.stream.deliver(delivery("a"));
  await rig.clock.advance(LEASE_MS * 0.9 - 1);
  expect(runs[0]?.signal.aborted).toBe(false);
  await rig.clock.advance(1);
  expect(why(runs[0]?.signal)).toBe("lease-lost");
  runs[0]?.reject(new Error("stopped"));
  await rig.turn();
  expect(rig.stream.settlements.map(({ outcome }) => outcome.case)).toEqual(["released"]);
});

test("an outcome that waits for its answer longer than a lease is nobody's loss", async () => {
  const rig = await online(() => 1);
  rig.stream.deliver(delivery("a"));
  await rig.turn();
  rig.stream.finish(14);
  await rig.clock.advance(2 * LEASE_MS);
  rig.stream.welcome();
  await rig.turn();
  expect(rig.stream.settled("a")?.outcome.case).toBe("completed");
});

test("a pong proves the renewals sent before its ping, from before their sending", async () => {
  const { runs, handler } = manual();
  const rig = await online(handler);
  rig.stream.deliver(delivery("a"));
  await rig.clock.advance(LEASE_MS / 3);
  const nonce = rig.stream.pings.at(-1) ?? 0n;
  await rig.clock.advance(5_000);
  rig.stream.say({ pong: { nonce } });
  await rig.clock.advance(LEASE_MS / 3 + LEASE_MS * 0.9 - LEASE_MS / 3 - 5_000 - 1);
  expect(runs[0]?.signal.aborted).toBe(false);
  await rig.clock.advance(LEASE_MS / 3 + 1);
  expect(why(runs[0]?.signal)).toBe("lease-lost");
});

test("a lost lease aborts the handler; its result is dropped", async () => {
  const { runs, handler } = manual();
  const rig = await online(handler);
  const job = delivery("a");
  rig.stream.deliver(job);
  await rig.turn();
  rig.stream.say({ lost: [{ ...ref(job), reason: "expired" }] });
  expect(why(runs[0]?.signal)).toBe("lease-lost");
  expect(rig.logs).toContain("the lease is lost: expired");
  runs[0]?.resolve("too late");
  await rig.turn();
  expect(rig.stream.settlements).toEqual([]);
});

test("a handler that ignores the loss takes room: the window shrinks until it ends", async () => {
  const { runs, handler } = manual();
  const rig = await online(handler, { concurrency: 2 });
  const job = delivery("a");
  rig.stream.deliver(job);
  await rig.turn();
  rig.stream.say({ lost: [ref(job)] });
  await rig.turn();
  expect(rig.stream.windows).toEqual([1]);
  runs[0]?.resolve();
  await rig.turn();
  expect(rig.stream.windows).toEqual([1, 2]);
});

test("run_timeout aborts; what the handler says then is settled, and the broker's clock decides", async () => {
  const { runs, handler } = manual();
  const rig = await online(handler);
  rig.stream.deliver(delivery("a", { runTimeoutLeft: durationFromMs(2_000) }));
  await rig.clock.advance(1_999);
  expect(runs[0]?.signal.aborted).toBe(false);
  await rig.clock.advance(1);
  expect(why(runs[0]?.signal)).toBe("run-timeout");
  runs[0]?.reject(runs[0].signal.reason);
  await rig.turn();
  expect(rig.stream.settlements).toMatchObject([{ outcome: { case: "failed", value: { status: { code: 4 } } } }]);
});

test("run_timeout counts from the delivery: a job that waited too long for a slot is not started", async () => {
  const { runs, handler } = manual();
  const rig = await online(handler, { window: 2 });
  rig.stream.deliver(delivery("a"), delivery("b", { runTimeoutLeft: durationFromMs(1_000) }));
  await rig.clock.advance(1_000);
  expect(rig.stream.settled("b")?.outcome).toMatchObject({ case: "failed", value: { status: { code: 4 } } });
  runs[0]?.resolve();
  await rig.turn();
  expect(runs.map(({ jobId }) => jobId)).toEqual(["a"]);
});

test("the context tells what the job is", async () => {
  let seen: unknown;
  const rig = await online((_p, { signal: _s, progress: _g, release: _r, ...ctx }) => {
    seen = ctx;
  });
  rig.stream.deliver(
    delivery("a", {
      method: "/m",
      attempt: 2,
      maxAttempts: 5,
      headers: { traceparent: "t" },
      enqueueTime: { seconds: 1_800_000_000n, nanos: 0 },
      runTimeoutLeft: durationFromMs(2_000),
    }),
  );
  await rig.turn();
  expect(seen).toEqual({
    queue: "q",
    jobId: "a",
    method: "/m",
    attempt: 2,
    maxAttempts: 5,
    fence: 7n,
    headers: { traceparent: "t" },
    enqueueTime: new Date(1_800_000_000_000),
    deadline: new Date(rig.clock.now() + 2_000),
    timeoutMs: 2_000,
  });
});
