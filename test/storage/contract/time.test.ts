/** What time brings: tick, and what it leaves for later. */
import { describe, expect, test } from "vitest";
import { completed, failed, key, LEASE, onEveryBackend, QUEUE, SECOND, TTL } from "./rig.ts";

onEveryBackend("tick", (rig) => {
  test("nothing to do: nothing to come", async () => {
    expect(await rig.tick()).toEqual({ changed: [], queued: 0, gone: true });
    expect(await rig.tick({ queue: "never seen" })).toEqual({ changed: [], queued: 0, gone: true });
  });

  test("a queue without jobs is gone, after a while at the latest; one that is paused, or has any, is not", async () => {
    const names = async () => (await rig.storage.queues()).queues;
    await rig.bring("a", "succeeded");
    expect((await rig.tick()).gone).toBeUndefined();
    await rig.advance(TTL);
    await rig.tick();
    await rig.advance(600 * SECOND);
    expect(await rig.tick()).toEqual({ changed: [], queued: 0, gone: true });
    expect(await names()).toEqual([]);
    await rig.storage.pause(QUEUE, true);
    await rig.advance(600 * SECOND);
    expect((await rig.tick()).gone).toBeUndefined();
    expect(await names()).toEqual([QUEUE]);
    await rig.storage.pause(QUEUE, false);
    await rig.advance(600 * SECOND);
    expect((await rig.tick()).gone).toBe(true);
    await rig.enqueue("b");
    expect(await names()).toEqual([QUEUE]);
    expect((await rig.claim()).jobs).toMatchObject([{ jobId: "b", attempt: 1 }]);
    await rig.advance(600 * SECOND);
    expect((await rig.tick()).gone).toBeUndefined();
    expect(await names()).toEqual([QUEUE]);
  });

  test("counts what is in line", async () => {
    await rig.enqueue("a");
    await rig.enqueue("b");
    await rig.enqueue("c", { delayMs: SECOND });
    expect((await rig.tick()).queued).toBe(2);
    const job = await rig.claimOne();
    expect((await rig.tick()).queued).toBe(1);
    await rig.settled(job, { kind: "released" });
    expect((await rig.tick()).queued).toBe(2);
    await rig.advance(SECOND);
    expect((await rig.tick()).queued).toBe(3);
    await rig.storage.cancel(key("b"));
    await rig.settled(await rig.claimOne(), completed());
    expect((await rig.tick()).queued).toBe(1);
  });

  describe("says when it wants to be called next", () => {
    const near = (nextInMs: number | undefined, expected: number) => {
      expect(nextInMs).toBeLessThanOrEqual(expected);
      expect(nextInMs).toBeGreaterThan(expected - SECOND);
    };

    test("by a due time, a start_timeout, a lease, an end", async () => {
      await rig.bring("done", "succeeded", { resultTtlMs: 90 * SECOND });
      near((await rig.tick()).nextInMs, 90 * SECOND);
      await rig.enqueue("a", { startTimeoutMs: 80 * SECOND });
      near((await rig.tick()).nextInMs, 80 * SECOND);
      await rig.claimOne();
      near((await rig.tick()).nextInMs, LEASE);
      await rig.enqueue("b", { delayMs: 10 * SECOND });
      near((await rig.tick()).nextInMs, 10 * SECOND);
      await rig.advance(10 * SECOND);
      near((await rig.tick()).nextInMs, 20 * SECOND);
    });

    test("a job in line alone wants nothing", async () => {
      await rig.enqueue("a");
      expect((await rig.tick()).nextInMs).toBeUndefined();
    });

    test("what is overdue by more than one tick: at once", async () => {
      for (let i = 0; i < 101; i++) await rig.enqueue(`job ${i}`, { delayMs: SECOND });
      await rig.advance(2 * SECOND);
      expect(await rig.tick()).toMatchObject({ queued: 100, nextInMs: 1 });
      expect(await rig.tick()).toMatchObject({ queued: 101 });
    });
  });

  describe("does at most 100 of a kind", () => {
    const many = 130;
    const ids = Array.from({ length: many }, (_, i) => `job ${String(i).padStart(3, "0")}`);

    test("due jobs, in the order of their times", async () => {
      for (const [i, jobId] of ids.entries()) await rig.enqueue(jobId, { delayMs: (many - i) * SECOND });
      await rig.advance(many * SECOND);
      expect((await rig.tick()).changed).toHaveLength(100);
      expect((await rig.inspect()).indexes.scheduled.sort()).toEqual(ids.slice(0, 30));
      expect((await rig.tick()).changed).toHaveLength(30);
      expect((await rig.inspect()).indexes.queued).toEqual(ids);
    });

    test("start timeouts", async () => {
      for (const jobId of ids) await rig.enqueue(jobId, { startTimeoutMs: 5 * SECOND });
      await rig.advance(5 * SECOND);
      expect((await rig.tick()).changed).toHaveLength(100);
      expect((await rig.tick()).changed).toHaveLength(30);
      expect((await rig.inspect()).indexes.finished).toHaveLength(many);
    });

    test("leases that are over", async () => {
      for (const jobId of ids) await rig.enqueue(jobId);
      for (let n = 0; n < many; n += 16) await rig.claim();
      await rig.advance(LEASE);
      expect((await rig.tick()).changed).toHaveLength(100);
      expect(await rig.tick()).toMatchObject({ queued: many });
      expect((await rig.inspect()).indexes.queued).toEqual(ids);
    });

    test("jobs to forget", async () => {
      for (const jobId of ids) {
        await rig.enqueue(jobId, { resultTtlMs: 5 * SECOND });
        await rig.storage.cancel(key(jobId));
      }
      await rig.advance(5 * SECOND);
      expect(await rig.tick()).toEqual({ changed: [], queued: 0, nextInMs: 1 });
      expect((await rig.inspect()).jobs).toHaveLength(30);
      expect(await rig.tick()).toMatchObject({ changed: [], queued: 0 });
      expect(await rig.inspect()).toEqual({
        jobs: [],
        indexes: {
          ...{ scheduled: [], queued: [], running: [], finished: [], start_by: [] },
          ...{ succeeded: [], failed: [], cancelled: [] },
        },
        bytes: 0,
        orphans: [],
      });
    });
  });

  test("a lost lease consumes the attempt, and goes back in line at once", async () => {
    await rig.enqueue("a", { maxAttempts: 2 });
    await rig.claimOne({ workerId: "gone" });
    await rig.advance(LEASE);
    const { changed } = await rig.tick();
    expect(changed).toMatchObject([{ status: { state: "queued", attempt: 1 }, tell: [], wake: [] }]);
    const record = await rig.record("a");
    expect(record).toMatchObject({ crashes: 1, workerId: "", leaseToken: "", settledToken: "" });
    expect(record.history).toMatchObject([{ number: 1, workerId: "gone", message: "lease expired" }]);
    await rig.claimOne();
    await rig.advance(LEASE);
    expect((await rig.tick()).changed).toMatchObject([
      { status: { state: "failed", attempt: 2, outcome: { failure: { kind: "crash_loop", status: { code: 10 } } } } },
    ]);
  });

  test("five lost leases in a row are a crash loop, whatever attempts are left", async () => {
    await rig.enqueue("a", { maxAttempts: 100 });
    for (let n = 1; n <= 5; n++) {
      await rig.claimOne();
      await rig.advance(LEASE);
      expect((await rig.tick()).changed).toMatchObject([{ status: { state: n < 5 ? "queued" : "failed" } }]);
    }
    expect(await rig.record("a")).toMatchObject({ failureKind: "crash_loop", crashes: 5, attempt: 5 });
  });

  test("run_timeout: not counted as a crash, backs off, and is told apart", async () => {
    await rig.enqueue("a", { runTimeoutMs: 8 * SECOND, maxAttempts: 2 });
    const job = await rig.claimOne();
    for (let n = 0; n < 3; n++) {
      await rig.advance(2 * SECOND);
      await rig.storage.extend({ queue: "q", items: [job], mode: "renew", lane: "l1", leaseMs: LEASE });
    }
    expect((await rig.tick()).changed).toEqual([]);
    await rig.advance(2 * SECOND);
    const [changed] = (await rig.tick({ jitter: 0.5 })).changed;
    expect(changed).toMatchObject({ status: { state: "scheduled", attempt: 1 }, tickInMs: 5 * SECOND });
    expect(await rig.record("a")).toMatchObject({ crashes: 0, history: [{ message: "run_timeout" }] });
    await rig.advance(5 * SECOND);
    await rig.claimOne();
    await rig.advance(8 * SECOND);
    const [last] = (await rig.tick()).changed;
    expect(last!.status.outcome).toMatchObject({
      failure: {
        kind: "run_timeout",
        status: { code: 4, message: "attempt 2 of 2 ran longer than its run_timeout of 8000 ms" },
        attempts: [{ number: 1 }, { number: 2 }],
      },
    });
  });

  test("start_timeout: also of a scheduled job, and never of one that was started", async () => {
    await rig.enqueue("scheduled", { delayMs: 60 * SECOND, startTimeoutMs: 20 * SECOND });
    await rig.enqueue("started", { startTimeoutMs: 20 * SECOND });
    await rig.enqueue("waiting", { startTimeoutMs: 20 * SECOND });
    const job = await rig.claimOne();
    expect(job.jobId).toBe("started");
    await rig.settled(job, { kind: "released" });
    await rig.advance(20 * SECOND);
    const { changed } = await rig.tick();
    expect(changed.map(({ status }) => status.jobId).sort()).toEqual(["scheduled", "waiting"]);
    for (const { status } of changed) {
      expect(status).toMatchObject({
        state: "failed",
        attempt: 0,
        outcome: {
          failure: {
            kind: "start_timeout",
            attempts: [],
            status: { message: "not started within its start_timeout of 20000 ms" },
          },
        },
      });
    }
    expect(await rig.claimIds()).toEqual(["started"]);
  });

  test("start_timeout and due at the same time: it was not started", async () => {
    await rig.enqueue("a", { delayMs: 10 * SECOND, startTimeoutMs: 20 * SECOND });
    await rig.advance(20 * SECOND);
    const { jobs, changed } = await rig.claim();
    expect(jobs).toEqual([]);
    expect(changed).toHaveLength(1);
    expect(changed[0]!.status.state).toBe("failed");
  });

  test("L-PG4: a result lives as long as its TTL, by stored time, and is gone then", async () => {
    await rig.bring("a", "succeeded", { resultTtlMs: 10 * SECOND });
    await rig.advance(9 * SECOND);
    expect((await rig.storage.read(key("a")))!.state).toBe("succeeded");
    await rig.advance(SECOND);
    expect(await rig.storage.read(key("a"))).toBeUndefined();
    expect(await rig.storage.readMany([key("a")])).toEqual([undefined]);
    expect(await rig.storage.cancel(key("a"))).toEqual({ kind: "not_found" });
    expect(await rig.storage.retry(key("a"), { hungryHere: false })).toEqual({ kind: "not_found" });
    expect(await rig.storage.setResultTtl(key("a"), TTL)).toBeUndefined();
    expect(await rig.storage.read(key("a"), "watchers")).toBeUndefined();
    await rig.tick();
    expect((await rig.inspect()).jobs).toEqual([]);
  });

  describe("grace", () => {
    const GRACE = 10 * SECOND;

    test("holds back leases and runs, nothing else", async () => {
      await rig.enqueue("leased");
      await rig.enqueue("timed", { runTimeoutMs: LEASE });
      await rig.claim();
      await rig.enqueue("due", { delayMs: LEASE });
      await rig.advance(LEASE);
      const first = await rig.tick({ graceMs: GRACE });
      expect(first.changed.map(({ status }) => status.jobId)).toEqual(["due"]);
      expect(first.nextInMs).toBeLessThanOrEqual(GRACE);
      expect(first.nextInMs).toBeGreaterThan(GRACE - SECOND);
      await rig.advance(GRACE - 2 * SECOND);
      expect((await rig.tick()).changed).toEqual([]);
      expect((await rig.claim({ max: 1 })).changed).toEqual([]);
      await rig.advance(2 * SECOND);
      expect((await rig.tick()).changed.map(({ status }) => status.jobId).sort()).toEqual(["leased", "timed"]);
    });

    test("time to renew: nobody loses the job", async () => {
      await rig.enqueue("a");
      const job = await rig.claimOne();
      await rig.advance(2 * LEASE);
      expect((await rig.claim({ graceMs: GRACE })).jobs).toEqual([]);
      await rig.storage.extend({ queue: "q", items: [job], mode: "renew", lane: "l1", leaseMs: LEASE });
      await rig.advance(GRACE);
      expect((await rig.tick()).changed).toEqual([]);
      await rig.settled(job, completed());
    });

    test("none where somebody has looked all the time: whose lease is over then is gone", async () => {
      await rig.enqueue("a");
      await rig.claim({ max: 1, graceMs: GRACE });
      for (let ms = 0; ms < LEASE; ms += GRACE) {
        await rig.advance(GRACE);
        const { changed } = await rig.tick({ graceMs: GRACE });
        expect(changed).toHaveLength(ms + GRACE < LEASE ? 0 : 1);
      }
    });

    test("one look that comes late is enough, also where it was sent in time: by a claim, by a tick", async () => {
      for (const id of ["a", "b"]) await rig.enqueue(id);
      await rig.claim({ max: 1, graceMs: GRACE });
      await rig.advance(LEASE);
      expect((await rig.claim({ max: 1, graceMs: GRACE })).changed).toEqual([]);
      expect((await rig.tick({ graceMs: GRACE })).changed).toEqual([]);
    });

    test("the look after it reaps, however late that comes", async () => {
      await rig.enqueue("a");
      await rig.claimOne();
      await rig.advance(LEASE);
      expect((await rig.tick({ graceMs: GRACE })).changed).toEqual([]);
      await rig.advance(3 * GRACE);
      expect((await rig.tick({ graceMs: GRACE })).changed).toHaveLength(1);
    });

    test("again, where again nobody has looked", async () => {
      await rig.enqueue("a");
      for (let run = 0; run < 2; run++) {
        await rig.claimOne();
        await rig.advance(LEASE);
        expect((await rig.tick({ graceMs: GRACE })).changed).toEqual([]);
        await rig.advance(GRACE);
        expect((await rig.tick({ graceMs: GRACE })).changed).toHaveLength(1);
      }
    });

    test("a queue that was idle for long is not one that nobody looked at", async () => {
      await rig.tick({ graceMs: GRACE });
      await rig.advance(10 * LEASE);
      await rig.enqueue("a");
      await rig.claim({ max: 1, graceMs: GRACE, leaseMs: GRACE });
      await rig.advance(GRACE);
      expect((await rig.tick({ graceMs: GRACE })).changed).toHaveLength(1);
    });

    test("is each queue's own", async () => {
      await rig.enqueue("a");
      await rig.enqueue("a", { queue: "q2" });
      await rig.claimOne();
      await rig.claimOne({ queue: "q2" });
      await rig.advance(LEASE);
      expect((await rig.tick({ graceMs: GRACE })).changed).toEqual([]);
      expect((await rig.tick({ queue: "q2" })).changed).toHaveLength(1);
    });
  });

  test("twice at the same time: each change once", async () => {
    for (let i = 0; i < 10; i++) await rig.enqueue(`job ${i}`, { delayMs: SECOND });
    await rig.advance(SECOND);
    const answers = await Promise.all([rig.tick(), rig.tick(), rig.tick()]);
    expect(answers.flatMap(({ changed }) => changed)).toHaveLength(10);
  });

  test("a clock that goes back an hour: versions and fences rise, tokens stay good, the line is as it was", async () => {
    await rig.bring("done", "succeeded");
    await rig.enqueue("running");
    const running = await rig.claimOne();
    await rig.enqueue("waiting");
    const before = { done: await rig.record("done"), running: await rig.record("running") };
    await rig.advance(-3_600 * SECOND);
    expect((await rig.tick()).changed).toEqual([]);
    await rig.enqueue("late");
    const settled = await rig.settled(running, completed("in time"));
    expect(settled.status.version).toBeGreaterThan(before.running.version);
    expect(await rig.claimIds({ max: 2 })).toEqual(["waiting", "late"]);
    await rig.enqueue("done", { onDuplicate: "rerun_if_finished" });
    const [again] = (await rig.claim()).jobs;
    expect(again).toMatchObject({ jobId: "done", attempt: 1 });
    expect(again!.fence).toBeGreaterThan(before.done.fence);
    expect(again!.status.version).toBeGreaterThan(before.done.version);
  });

  test("a failure's back-off is over at its time, not before", async () => {
    await rig.enqueue("a");
    await rig.settled(await rig.claimOne(), failed(), { jitter: 0.5 });
    await rig.advance(4 * SECOND);
    expect(await rig.claimIds()).toEqual([]);
    await rig.advance(SECOND);
    expect(await rig.claimIds()).toEqual(["a"]);
  });
});
