/** Which queues are ticked, and for how long. */
import { expect, test } from "vitest";
import type { Storage, Tick, TickAnswer } from "../../server/storage/storage.ts";
import { call, replaced, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";

/** The queues whose ticks reach the storage. `during`: what happens before the answer to each is given. */
async function watched(during: (answer: TickAnswer) => Promise<unknown> = async () => {}) {
  const ticked: string[] = [];
  const around = (storage: Storage) => async (request: Tick) => {
    ticked.push(request.queue);
    const answer = await storage.tick(request);
    await during(answer);
    return answer;
  };
  const rig = await startRig({}, (storage) => replaced(storage, { tick: around(storage) }));
  return { ...rig, ticked };
}

test("a queue that is gone is ticked no more, until it has jobs again", async () => {
  const { broker, clock, ticked, close } = await watched();
  const worker = new SeamWorker(broker);
  for (let i = 0; i < 2; i++) {
    await broker.callers.enqueue(spec({ resultTtlMs: 1_000 }), requestId(), call());
    await clock.advance(1);
    worker.complete(worker.deliveries.at(-1)!);
    await clock.advance(1);
  }
  worker.session.finish();
  await clock.advance(120_000);
  const before = ticked.length;
  expect(before).toBeGreaterThan(0);
  await clock.advance(600_000);
  expect(ticked.length).toBe(before);
  expect([...broker.depths()]).toEqual([]);
  await broker.callers.enqueue(spec(), requestId(), call());
  await clock.advance(60_000);
  expect(ticked.length).toBeGreaterThan(before);
  await close();
});

test("a job that comes while the queue goes is not left alone", async () => {
  let enqueued: unknown;
  const { broker, clock, ticked, close } = await watched(async ({ gone }) => {
    if (gone && !enqueued) enqueued = await broker.callers.enqueue(spec({ delayMs: 50_000 }), requestId(), call());
  });
  await broker.callers.enqueue(spec({ jobId: "first" }), requestId(), call());
  await broker.callers.cancelJob({ queue: "q", jobId: "first" });
  await broker.callers.updateResultTtl({ queue: "q", jobId: "first" }, 1_000);
  await clock.advance(40_000);
  expect(enqueued).toBeDefined();
  // Not found again by reading the list of queues: that comes later.
  expect([...broker.depths()].map(([queue]) => queue)).toEqual(["q"]);
  const worker = new SeamWorker(broker, { window: 0 });
  await clock.advance(60_000);
  expect([...broker.depths()]).toEqual([["q", 1]]);
  expect(ticked.length).toBeGreaterThan(2);
  worker.session.finish();
  await close();
});
