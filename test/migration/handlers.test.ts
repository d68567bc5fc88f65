/** What handlers return and throw, and what becomes of it. */
import { describe, expect, test } from "vitest";
import { defineQueue, JobFailedError, QueuecallError } from "../../client/index.ts";
import { BackoffSchema, ProgressSchema } from "../../gen/queuecall/v1/job_pb.js";
import { StorageUnavailable } from "../../server/storage/storage.ts";
import { createWorker } from "../../worker/index.ts";
import { call, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";
import { closes, rejection, start } from "./rig.ts";

test("L1: a handler that returns nothing has succeeded, after one run", async () => {
  const { queue, work } = await start();
  let runs = 0;
  work(() => {
    runs++;
  });
  expect(await queue.enqueueAndWait("a", 1)).toBeUndefined();
  expect(await queue.get("a")).toMatchObject({ state: "succeeded", attempt: 1 });
  expect(runs).toBe(1);
});

test("L2: a result of null reaches its waiter, and is kept like any other", async () => {
  const { queue, work } = await start();
  work(() => null);
  expect(await queue.enqueueAndWait("a", 1)).toBeNull();
  expect(await queue.enqueueAndWait("a", 1)).toBeNull();
  expect(await queue.enqueue("a", 1)).toMatchObject({ disposition: "cached", outcome: { result: null } });
  expect(await queue.wait("a")).toBeNull();
});

describe("L3: whatever is thrown ends the attempt, with its text", () => {
  test.each([
    ["a string", () => "no disk", "no disk"],
    ["null", () => null, "null"],
    ["undefined", () => undefined, "undefined"],
    ["an AbortError, as fetch throws", () => new DOMException("the body was cut", "AbortError"), "the body was cut"],
    ["an abort signal's reason", () => AbortSignal.abort().reason, "This operation was aborted"],
    ["a frozen error", () => Object.freeze(new Error("frozen")), "frozen"],
  ])("%s", async (_, thrown, message) => {
    const { queue, work } = await start();
    work(() => {
      throw thrown();
    });
    const error = await rejection(queue.enqueueAndWait("a", 1, { maxAttempts: 1 }));
    expect(error).toBeInstanceOf(JobFailedError);
    expect(error.message).toBe(message);
    expect(await queue.get("a")).toMatchObject({ state: "failed", attempt: 1 });
  });
});

test("L13: a storage that fails while it stores a result is not a failed job: the result is settled again", async () => {
  let failures = 2;
  const rig = closes(
    await startRig({}, (storage) => {
      const settle: typeof storage.settle = (request) =>
        failures-- > 0 ? Promise.reject(new StorageUnavailable("gone", "no")) : storage.settle(request);
      return new Proxy(storage, {
        get: (target, name) => (name === "settle" ? settle : bound(target, name)),
      });
    }),
  );
  const worker = new SeamWorker(rig.broker);
  const job = spec();
  const result = rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, call());
  await rig.clock.advance(10);
  for (let sends = 0; sends < 3; sends++) {
    worker.complete(worker.deliveries[0]!);
    await rig.clock.advance(100);
  }
  expect(worker.frames.flatMap((frame) => frame.settled)).toMatchObject([
    { result: "retry" },
    { result: "retry" },
    { result: "ok" },
  ]);
  expect((await result).status).toMatchObject({ state: "succeeded", attempt: 1 });
  expect(worker.deliveries).toHaveLength(1);
});

test("L14: failures and unreadable results that arrive when nobody looks any more break nothing", async () => {
  // A rejection that nobody handles would fail this test.
  const { client, queue, url, waiting } = await start();
  const typed = client.queue(defineQueue("typed", { request: ProgressSchema, response: BackoffSchema }));
  const controller = new AbortController();
  const left = [1, 2, 3].map((n) => rejection(queue.enqueueAndWait(`${n}`, n, { signal: controller.signal })));
  await waiting(3);
  controller.abort("left");
  expect(await Promise.all(left)).toEqual(["left", "left", "left"]);
  const worker = createWorker({ url })
    .handle("q", () => {
      throw new Error("too late");
    })
    .handle("typed", () => "no protobuf");
  void worker.run();
  closes(worker);
  expect(await rejection(typed.enqueueAndWait("a", { current: 1 }))).toMatchObject({ code: "BAD_PAYLOAD" });
  expect(await rejection(queue.wait("1"))).toMatchObject({ message: "too late" });
});

test("L16: the error's message is the handler's, without JSON and without the worker's stack", async () => {
  const { queue, work } = await start();
  work(() => {
    throw Object.assign(new RangeError("12 is too much"), { secret: "s3cret", code: "E_LIMIT" });
  });
  const error = (await rejection(queue.enqueueAndWait("a", 1, { maxAttempts: 1 }))) as unknown as JobFailedError;
  expect(error).toBeInstanceOf(QueuecallError);
  expect(error.message).toBe("12 is too much");
  expect(error.originalError).toMatchObject({ name: "RangeError", message: "12 is too much" });
  expect(error.failure.stack).toBeUndefined();
  expect(JSON.stringify(error.failure)).not.toMatch(/s3cret|handlers\.test/);
  expect(error.originalError.stack).toBe("RangeError: 12 is too much");
});

test("L17: between attempts there is a wait that grows", async () => {
  const { queue, work, until, advance } = await start({ clock: "manual" });
  const runs: number[] = [];
  work((_, { attempt }) => {
    runs.push(attempt);
    throw new Error("again");
  });
  // The jitter of a test broker's clock is always one half.
  await queue.enqueue("a", 1, { backoff: { initial: 10_000, multiplier: 3 } });
  await until("a", ({ state, attempt }) => state === "scheduled" && attempt === 1);
  await advance(4_900);
  expect(runs).toEqual([1]);
  await advance(200);
  await until("a", ({ state, attempt }) => state === "scheduled" && attempt === 2);
  await advance(14_000);
  expect(runs).toEqual([1, 2]);
  const failed = rejection(queue.wait("a"));
  await advance(1_100);
  expect(await failed).toMatchObject({ message: "again", failure: { attempts: [{}, {}, {}] } });
  expect(runs).toEqual([1, 2, 3]);
});

test("L18: a second handler for a queue, or one after the start, is refused, not ignored", async () => {
  const { work } = await start();
  const worker = work(() => 1);
  expect(() => worker.handle("q", () => 2)).toThrow(TypeError);
  expect(() => worker.handle("other", () => 2)).toThrow("the worker runs already");
});

function bound(target: object, name: string | symbol): unknown {
  const value = Reflect.get(target, name, target);
  return typeof value === "function" ? value.bind(target) : value;
}
