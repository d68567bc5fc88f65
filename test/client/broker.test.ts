/** The client against a real broker, with a real worker. */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createQueueClient,
  defineQueue,
  JobCancelledError,
  JobExistsError,
  JobFailedError,
  JobNotFoundError,
  type Queue,
  type QueueClient,
  TimeoutError,
} from "../../client/index.ts";
import { BackoffSchema, ProgressSchema } from "../../gen/queuecall/v1/job_pb.js";
import { startTestBroker, type TestBroker } from "../../testing/index.ts";
import { createWorker } from "../../worker/index.ts";

interface Task {
  say?: unknown;
  fail?: string;
  waitFor?: "cancel";
}

const typed = defineQueue("typed", { request: ProgressSchema, response: BackoffSchema });

describe.each(["multiplex", "unary"] as const)("%s", (mode) => {
  let test: TestBroker;
  let client: QueueClient;
  let queue: Queue<Task, unknown>;
  let stopWorker: AbortController;
  let running: Promise<void> | undefined;

  beforeEach(async () => {
    test = await startTestBroker();
    client = createQueueClient({ url: test.url, mode });
    queue = client.queue("q");
    stopWorker = new AbortController();
    running = undefined;
  });
  afterEach(async () => {
    stopWorker.abort();
    await running;
    await client.close();
    await test.close();
  });

  function startWorker(): void {
    running = createWorker({ url: test.url, concurrency: 4 })
      .handle("q", async (task: Task, ctx) => {
        if (task.fail !== undefined) throw new RangeError(task.fail);
        if (task.waitFor === "cancel") {
          await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
        }
        return task.say;
      })
      .handle(typed, ({ current }) => ({ multiplier: current * 2 }))
      .run({ signal: stopWorker.signal });
  }

  const rejection = (promise: Promise<unknown>) =>
    promise.then(
      () => expect.unreachable("it resolved"),
      (error: unknown) => error,
    );

  describe("enqueueAndWait", () => {
    it("brings the result back, and brings it again from the cache", async () => {
      startWorker();
      expect(await queue.enqueueAndWait("a", { say: { deep: [1, null] } })).toEqual({ deep: [1, null] });
      expect(await queue.enqueueAndWait("a", { say: { deep: [1, null] } })).toEqual({ deep: [1, null] });
      expect(await queue.get("a")).toMatchObject({ state: "succeeded", attempt: 1 });
    });

    it("tells no result from null", async () => {
      startWorker();
      expect(await queue.enqueueAndWait("a", {})).toBeUndefined();
      expect(await queue.enqueueAndWait("b", { say: null })).toBeNull();
    });

    it("carries protobuf messages", async () => {
      startWorker();
      expect((await client.queue(typed).enqueueAndWait("a", { current: 21 })).multiplier).toBe(42);
    });

    it("rejects with the handler's error, and says whether it was cached", async () => {
      startWorker();
      const first = await rejection(queue.enqueueAndWait("a", { fail: "out of it" }, { maxAttempts: 1 }));
      expect(first).toBeInstanceOf(JobFailedError);
      expect(first).toMatchObject({ message: "out of it", cached: false, failure: { kind: "handler" } });
      expect((first as JobFailedError).originalError).toMatchObject({ name: "RangeError", message: "out of it" });
      expect(await rejection(queue.enqueueAndWait("a", { fail: "out of it" }))).toMatchObject({ cached: true });
      const rerun = queue.enqueueAndWait("a", { say: 1 }, { onDuplicate: "rerun-if-failed" });
      expect(await rerun).toBe(1);
    });

    it("times out, and the job goes on", async () => {
      const error = await rejection(queue.enqueueAndWait("a", { say: 1 }, { timeout: 200 }));
      expect(error).toBeInstanceOf(TimeoutError);
      // Both clocks run out together, and it is the broker's answer that says where the job is.
      expect(error).toMatchObject({ jobId: "a", message: "Job a timed out after 200 ms", state: "queued", attempt: 0 });
      startWorker();
      expect(await queue.wait("a")).toBe(1);
    });

    it("answers a timeout of 0 from what is there", async () => {
      expect(await rejection(queue.enqueueAndWait("a", { say: 1 }, { timeout: 0 }))).toMatchObject({
        code: "TIMEOUT",
        reason: "WAIT_TIMEOUT",
        state: "queued",
      });
      startWorker();
      await queue.wait("a");
      expect(await queue.wait("a", { timeout: 0 })).toBe(1);
    });

    it("takes ids of any kind", async () => {
      startWorker();
      for (const id of ["a:b/c{d} e", "ü😀", "%41", "x".repeat(256)]) {
        expect(await queue.enqueueAndWait(id, { say: id })).toBe(id);
        expect((await queue.get(id)).jobId).toBe(id);
      }
    });

    it("joins by id, warns of another payload, or refuses", async () => {
      const warnings: object[] = [];
      await using other = createQueueClient({
        url: test.url,
        mode,
        logger: { warn: (fields) => void warnings.push(fields) },
      });
      const { disposition } = await queue.enqueue("a", { say: 1 });
      expect(disposition).toBe("created");
      expect((await other.queue("q").enqueue("a", { say: 2 })).disposition).toBe("joined");
      expect(warnings).toEqual([{ queue: "q", jobId: "a" }]);
      const refused = await rejection(queue.enqueue("a", { say: 2 }, { rejectPayloadMismatch: true }));
      expect(refused).toBeInstanceOf(JobExistsError);
      expect(refused).toMatchObject({ code: "JOB_EXISTS", reason: "PAYLOAD_MISMATCH" });
      expect(await rejection(queue.enqueue("a", { say: 1 }, { onDuplicate: "reject" }))).toMatchObject({
        reason: "JOB_ALREADY_EXISTS",
      });
      startWorker();
      await queue.wait("a");
      expect(await queue.enqueue("a", { say: 1 })).toMatchObject({
        disposition: "cached",
        outcome: { state: "succeeded", result: 1 },
      });
    });

    it("names the field that the broker refuses", async () => {
      expect(await rejection(queue.enqueue("a", {}, { resultTtl: 1 }))).toMatchObject({
        code: "INVALID_REQUEST",
        reason: "INVALID_FIELD",
        violations: [{ field: expect.stringContaining("result_ttl") }],
      });
    });
  });

  describe("the other calls", () => {
    it("cancel a waiting job for everybody", async () => {
      const waiting = rejection(queue.enqueueAndWait("a", { say: 1 }));
      while ((await queue.get("a").catch(() => true)) === true) await delay(5);
      expect(await queue.cancel("a")).toMatchObject({ state: "cancelled" });
      expect(await waiting).toBeInstanceOf(JobCancelledError);
      expect(await queue.retry("a")).toMatchObject({ state: "queued" });
      startWorker();
      expect(await queue.wait("a")).toBe(1);
      expect(await rejection(queue.retry("a"))).toMatchObject({ code: "INVALID_REQUEST", reason: "WRONG_STATE" });
    });

    it("cancel a running job on abort", async () => {
      startWorker();
      const controller = new AbortController();
      const options = { signal: controller.signal, cancelOnAbort: true };
      const call = rejection(queue.enqueueAndWait("a", { waitFor: "cancel" }, options));
      const states: string[] = [];
      while (states.at(-1) !== "running") states.push((await queue.get("a").catch(() => ({ state: "none" }))).state);
      controller.abort("no longer");
      expect(await call).toBe("no longer");
      expect(await rejection(queue.wait("a"))).toBeInstanceOf(JobCancelledError);
    });

    it("watch a job to its end", async () => {
      await queue.enqueue("a", { say: "x" });
      const seen: { version: number; state: string }[] = [];
      for await (const { version, state, outcome } of queue.watch("a")) {
        seen.push({ version, state });
        if (seen.length === 1) startWorker();
        if (outcome) expect(outcome).toEqual({ state: "succeeded", result: "x" });
      }
      expect(seen[0]!.state).toBe("queued");
      expect(seen.at(-1)!.state).toBe("succeeded");
      expect(seen).toEqual(seen.toSorted((a, b) => a.version - b.version));
    });

    it("set how long a job is kept", async () => {
      startWorker();
      await queue.enqueueAndWait("a", { say: 1 });
      await queue.updateResultTtl("a", 120_000);
      const { endTime, expireTime } = await queue.get("a");
      expect(expireTime!.getTime() - endTime!.getTime()).toBeGreaterThanOrEqual(120_000);
      expect(expireTime!.getTime() - endTime!.getTime()).toBeLessThan(130_000);
    });

    it("say so where there is no such job", async () => {
      const calls = [
        () => queue.get("none"),
        () => queue.wait("none"),
        () => queue.cancel("none"),
        () => queue.retry("none"),
        () => queue.updateResultTtl("none", 2_000),
        () => queue.watch("none").next(),
      ];
      for (const call of calls) {
        const error = await rejection(call());
        expect(error).toBeInstanceOf(JobNotFoundError);
        expect(error).toMatchObject({ code: "JOB_NOT_FOUND", reason: "JOB_NOT_FOUND", queue: "q", jobId: "none" });
      }
    });

    it("survive a broker that drains, on another one's url", async () => {
      await using next = await startTestBroker();
      const controller = new AbortController();
      const worker = createWorker({ url: next.url })
        .handle("q", (task: Task) => task.say)
        .run({ signal: controller.signal });
      await using both = createQueueClient({ url: [test.url, next.url], mode });
      const call = both.queue<Task, unknown>("q").enqueueAndWait("a", { say: "there" });
      while ((await queue.get("a").catch(() => true)) === true) await delay(5);
      const drained = test.broker.drain();
      expect(await call).toBe("there");
      controller.abort();
      await worker;
      await drained;
    });
  });

  it("a wait follows the broker's manual clock", async () => {
    await using manual = await startTestBroker({ clock: "manual" });
    const call = rejection(manual.client.queue("q").enqueueAndWait("a", 1, { timeout: 60_000 }));
    while (manual.broker.stats.waiting === 0) await delay(5);
    await manual.advance(60_000);
    expect(await call).toMatchObject({ code: "TIMEOUT", timeoutMs: 60_000, state: "queued" });
  });
});
