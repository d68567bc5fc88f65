import { describe, expect, test } from "vitest";
import type { SettleAnswer, SettleOutcome } from "../../../server/storage/storage.ts";
import {
  completed,
  failed,
  key,
  LEASE,
  onEveryBackend,
  payload,
  SECOND,
  status,
  TTL,
  undelivered,
  unique,
} from "./rig.ts";

onEveryBackend("settle", (rig) => {
  const outcomes: Record<string, SettleOutcome> = {
    completed: completed(),
    failed: failed(),
    "failed for good": failed({ retryable: false }),
    released: { kind: "released" },
    cancelled: { kind: "cancelled" },
    undelivered: undelivered(),
    "undelivered, unsent": undelivered(false),
  };

  test("completed: the result is kept, the payload dropped", async () => {
    await rig.enqueue("a", { method: "/m", headers: { h: "1" }, labels: { l: "2" } });
    const job = await rig.claimOne();
    const result = payload("bytes", "text/plain", "acme.v1.Reply");
    const answer = await rig.settled(job, { kind: "completed", payload: result });
    const found = await rig.job("a");
    expect(answer).toEqual({
      kind: "settled",
      status: {
        ...key("a"),
        state: "succeeded",
        version: found.record.version,
        attempt: 1,
        cancelRequested: false,
        outcome: { kind: "result", payload: result },
      },
      tell: [],
      wake: [],
    });
    expect(found).toEqual({
      record: found.record,
      result,
      method: "/m",
      headers: { h: "1" },
      labels: { l: "2" },
    });
    expect(found.record).toMatchObject({
      leaseToken: "",
      leaseUntil: 0,
      owner: "",
      workerId: "w1",
      settledToken: Buffer.from(job.leaseToken).toString("hex"),
      digest: "01".repeat(16),
      expireTime: found.record.endTime + TTL,
    });
  });

  test("completed without bytes is a result too", async () => {
    await rig.enqueue("a");
    const answer = await rig.settled(await rig.claimOne(), completed(""));
    expect(answer.status.outcome).toEqual({ kind: "result", payload: payload("") });
    expect((await rig.job("a")).result).toEqual(payload(""));
  });

  test("failed: what the worker said is kept whole", async () => {
    await rig.enqueue("a");
    const detail = {
      status: {
        code: 5,
        message: 'no such page:     ünïcode 🙂 "quoted"',
        details: [
          { typeUrl: "type.googleapis.com/google.rpc.ErrorInfo", value: Buffer.from([0, 1, 255]) },
          { typeUrl: "x/y", value: Buffer.alloc(0) },
        ],
      },
      type: "NotFoundError",
      stack: "NotFoundError: x\n  at y",
    };
    const answer = await rig.settled(await rig.claimOne(), failed({ detail, retryable: false }));
    expect(answer.status).toMatchObject({ state: "failed", attempt: 1 });
    const { outcome } = answer.status;
    expect(outcome).toMatchObject({ kind: "failure", failure: { kind: "handler", ...detail } });
    expect((await rig.record("a")).failureDetail).toEqual(detail);
    expect((await rig.storage.read(key("a")))!.outcome).toEqual(outcome);
    expect((await rig.record("a")).history).toEqual([
      {
        number: 1,
        endTime: (await rig.record("a")).endTime,
        workerId: "w1",
        message: 'no such page:     ünïcode 🙂 "quoted"',
      },
    ]);
    expect((await rig.job("a")).payload).toBeDefined();
  });

  test("failed with an oversize result", async () => {
    await rig.enqueue("a");
    const outcome = failed({ failureKind: "result_too_large", retryable: false });
    const { status: now } = await rig.settled(await rig.claimOne(), outcome);
    expect(now.outcome).toMatchObject({ kind: "failure", failure: { kind: "result_too_large" } });
  });

  describe("retried on UNAVAILABLE only", () => {
    const cautious = { retryOn: "unavailable" as const, runTimeoutMs: 20 * SECOND };

    test.each([
      [true, false, "failed"],
      [true, true, "scheduled"],
      [false, false, "failed"],
      [true, undefined, "scheduled"],
    ] as const)("a failure: retryable %s, as unavailable %s: %s", async (retryable, asUnavailable, state) => {
      await rig.enqueue("a", cautious);
      const outcome = { retryable, ...(asUnavailable !== undefined && { retryableAsUnavailable: asUnavailable }) };
      expect((await rig.settled(await rig.claimOne(), failed(outcome))).status.state).toBe(state);
      expect((await rig.record("a")).retryOn).toBe("unavailable");
      await rig.enqueue("b");
      expect((await rig.settled(await rig.claimOne(), failed(outcome))).status.state).toBe(
        retryable ? "scheduled" : "failed",
      );
    });

    test("a run timeout: FAILED, though tries are left; a lost worker: the next try", async () => {
      await rig.enqueue("a", cautious);
      await rig.claimOne();
      await rig.advance(20 * SECOND);
      const { changed } = await rig.tick();
      expect(changed).toMatchObject([{ status: { state: "failed", outcome: { failure: { kind: "run_timeout" } } } }]);
      await rig.enqueue("b", { retryOn: "unavailable" });
      await rig.claimOne();
      await rig.advance(LEASE);
      expect(await rig.tick()).toMatchObject({ changed: [{ status: { jobId: "b", state: "queued" } }] });
      expect((await rig.claimOne()).attempt).toBe(2);
    });

    test("its back-off and a new run stay as they are", async () => {
      await rig.enqueue("a", cautious);
      await rig.settled(await rig.claimOne(), failed({ retryable: false }));
      await rig.storage.retry(key("a"), { hungryHere: true });
      expect(await rig.record("a")).toMatchObject({
        retryOn: "unavailable",
        backoff: { initialMs: 10 * SECOND, multiplier: 2, maxMs: 300 * SECOND },
      });
      await rig.settled(await rig.claimOne(), failed(), { jitter: 0.5 });
      expect((await rig.tick()).nextInMs).toBeLessThanOrEqual(5 * SECOND);
    });
  });

  describe("back-off", () => {
    const cases: [number, number, number][] = [
      // attempt, jitter, seconds
      [1, 0, 0],
      [1, 0.5, 5],
      [1, 0.999, 9.99],
      [2, 0.5, 10],
      [3, 0.999, 39.96],
      [6, 0.5, 150],
      [9, 0.5, 150],
    ];
    for (const [attempt, jitter, seconds] of cases) {
      test(`after attempt ${attempt}, jitter ${jitter}: ${seconds} s`, async () => {
        await rig.enqueue("a", { maxAttempts: 20 });
        for (let n = 1; n < attempt; n++) await rig.settled(await rig.claimOne(), failed(), { jitter: 0 });
        const answer = await rig.settled(await rig.claimOne(), failed(), { jitter });
        const record = await rig.record("a");
        expect(record).toMatchObject({ attempt, state: seconds === 0 ? "queued" : "scheduled" });
        expect(record.history.at(-1)!.number).toBe(attempt);
        if (seconds === 0) return expect(answer.tickInMs).toBeUndefined();
        expect(record.dueTime - record.history.at(-1)!.endTime).toBe(seconds * SECOND);
        expect(answer.tickInMs).toBe(seconds * SECOND);
      });
    }

    test("a multiplier that is no whole number", async () => {
      const backoff = { initialMs: 1_001, multiplier: 1.7, maxMs: 100_000 };
      await rig.enqueue("a", { maxAttempts: 20, backoff });
      for (let n = 1; n < 6; n++) await rig.settled(await rig.claimOne(), failed(), { jitter: 0 });
      const { tickInMs } = await rig.settled(await rig.claimOne(), failed(), { jitter: 0.77 });
      let bound = 1_001;
      for (let n = 1; n < 6; n++) bound *= 1.7;
      expect(tickInMs).toBe(Math.floor(bound * 0.77));
      expect((await rig.record("a")).backoff).toEqual(backoff);
    });

    test("retry_after replaces it, 0 too", async () => {
      await rig.enqueue("a", { maxAttempts: 20 });
      const later = await rig.settled(await rig.claimOne(), failed({ retryAfterMs: 77 * SECOND }));
      expect(later).toMatchObject({ status: { state: "scheduled" }, tickInMs: 77 * SECOND });
      await rig.advance(77 * SECOND);
      const now = await rig.settled(await rig.claimOne(), failed({ retryAfterMs: 0 }));
      expect(now.status).toMatchObject({ state: "queued", attempt: 2 });
    });
  });

  test("attempts used up: failed, with all of them", async () => {
    await rig.enqueue("a", { maxAttempts: 3 });
    for (const n of [1, 2, 3]) {
      const detail = { status: status(`boom ${n}`), type: `T${n}`, stack: "" };
      const job = await rig.claimOne({ workerId: `w${n}` });
      expect(job.attempt).toBe(n);
      await rig.settled(job, failed({ detail }), { jitter: 0 });
    }
    const job = await rig.storage.read(key("a"));
    expect(job).toMatchObject({ state: "failed", attempt: 3 });
    expect(job!.outcome).toMatchObject({
      kind: "failure",
      failure: {
        kind: "handler",
        type: "T3",
        attempts: [
          { number: 1, workerId: "w1", message: "boom 1" },
          { number: 2, workerId: "w2", message: "boom 2" },
          { number: 3, workerId: "w3", message: "boom 3" },
        ],
      },
    });
  });

  test("of the attempts, the newest ten are kept, each with 256 bytes of its message", async () => {
    await rig.enqueue("a", { maxAttempts: 12 });
    for (let n = 1; n <= 12; n++) {
      const detail = { status: status(`${n} ${"ü".repeat(300)}`), type: "", stack: "" };
      await rig.settled(await rig.claimOne(), failed({ detail }), { jitter: 0 });
    }
    const { history } = await rig.record("a");
    expect(history.map(({ number }) => number)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    for (const { message } of history) {
      expect(Buffer.byteLength(message)).toBeLessThanOrEqual(256);
      expect(Buffer.byteLength(message)).toBeGreaterThan(250);
      expect(message).toMatch(/^\d+ ü+$/);
    }
  });

  test("released: the attempt is given back", async () => {
    await rig.enqueue("a", { maxAttempts: 1 });
    for (let n = 0; n < 4; n++) {
      const job = await rig.claimOne();
      expect(job.attempt).toBe(1);
      const { status: now } = await rig.settled(job, { kind: "released" });
      expect(now).toMatchObject({ state: "queued", attempt: 0 });
    }
    expect(await rig.record("a")).toMatchObject({ crashes: 0, history: [] });
  });

  test("undelivered: the attempt is given back; five in a row that were sent are a crash loop", async () => {
    await rig.enqueue("a", { maxAttempts: 1 });
    for (let n = 0; n < 6; n++) await rig.settled(await rig.claimOne(), undelivered(false));
    for (let n = 1; n < 5; n++) {
      const { status: now } = await rig.settled(await rig.claimOne(), undelivered());
      expect(now).toMatchObject({ state: "queued", attempt: 0 });
      expect((await rig.record("a")).crashes).toBe(n);
    }
    const { status: now } = await rig.settled(await rig.claimOne(), undelivered());
    expect(now).toMatchObject({ state: "failed", outcome: { failure: { kind: "crash_loop" } } });
  });

  test("undelivered, but adopted by another stream, which has received it: lost, and nothing changes", async () => {
    await rig.enqueue("a");
    const job = await rig.claimOne({ lane: "l1" });
    await rig.storage.extend({ queue: "q", items: [job], mode: "adopt", lane: "l2", leaseMs: LEASE });
    const before = await rig.inspect();
    for (const sent of [true, false]) expect(await rig.settle(job, undelivered(sent, "l1"))).toEqual({ kind: "lost" });
    expect(await rig.inspect()).toEqual(before);
    expect((await rig.settled(job, undelivered(true, "l2"))).status).toMatchObject({ state: "queued", attempt: 0 });
  });

  test("a settlement ends the row of crashes", async () => {
    await rig.enqueue("a", { maxAttempts: 20 });
    for (const outcome of [failed(), { kind: "released" } as const, completed()]) {
      for (let n = 0; n < 4; n++) await rig.settled(await rig.claimOne(), undelivered());
      await rig.settled(await rig.claimOne(), outcome, { jitter: 0 });
      expect((await rig.record("a")).crashes).toBe(0);
    }
  });

  test("cancelled unasked: a failure that is not retried", async () => {
    await rig.enqueue("a");
    const { status: now } = await rig.settled(await rig.claimOne(), { kind: "cancelled" });
    expect(now.outcome).toMatchObject({
      kind: "failure",
      failure: { kind: "handler", status: { code: 1, message: "the worker cancelled the job unasked" } },
    });
  });

  describe("when cancellation was asked for", () => {
    const ends: [string, string][] = [
      ["completed", "succeeded"],
      ["failed", "cancelled"],
      ["failed for good", "cancelled"],
      ["released", "cancelled"],
      ["cancelled", "cancelled"],
      ["undelivered", "cancelled"],
    ];
    for (const [name, end] of ends) {
      test(`${name}: ${end}`, async () => {
        await rig.enqueue("a");
        const job = await rig.claimOne();
        await rig.storage.cancel(key("a"));
        const { status: now } = await rig.settled(job, outcomes[name]!);
        expect(now).toMatchObject({ state: end, cancelRequested: false });
        if (end === "cancelled") expect(now.outcome).toMatchObject({ failure: { kind: "cancelled" } });
      });
    }
  });

  describe("repeated", () => {
    for (const [name, outcome] of Object.entries(outcomes)) {
      test(`${name}: a duplicate that changes nothing`, async () => {
        await rig.enqueue("a");
        const job = await rig.claimOne();
        const first = await rig.settled(job, outcome);
        const before = await rig.inspect();
        const again = await rig.settle(job, outcome);
        const repeatOf = (ms: number | undefined) => ({ ...first, kind: "duplicate", ...(ms && { tickInMs: ms }) });
        const tickIn = (answer: SettleAnswer) => (answer.kind === "lost" ? undefined : answer.tickInMs);
        expect(again).toEqual(repeatOf(tickIn(again)));
        expect(tickIn(again) ?? 0).toBeLessThanOrEqual(first.tickInMs ?? 0);
        const third = await rig.settle(job, completed("another"));
        expect(third).toEqual(repeatOf(tickIn(third)));
        expect(await rig.inspect()).toEqual(before);
      });
    }

    test("after the next claim: still a duplicate; after the next settlement: lost", async () => {
      await rig.enqueue("a");
      const first = await rig.claimOne();
      await rig.settled(first, { kind: "released" });
      const second = await rig.claimOne();
      expect(await rig.settle(first, completed())).toMatchObject({ kind: "duplicate", status: { state: "running" } });
      await rig.settled(second, { kind: "released" });
      expect(await rig.settle(first, completed())).toEqual({ kind: "lost" });
      expect(await rig.settle(second, completed())).toMatchObject({ kind: "duplicate" });
    });

    test("after RetryJob, and in a new run: lost", async () => {
      await rig.enqueue("a");
      const job = await rig.claimOne();
      await rig.settled(job, failed({ retryable: false }));
      await rig.storage.retry(key("a"), { hungryHere: false });
      expect(await rig.settle(job, completed())).toEqual({ kind: "lost" });
      const second = await rig.claimOne();
      await rig.settled(second, completed());
      await rig.enqueue("a", { onDuplicate: "rerun_if_finished" });
      expect(await rig.settle(second, completed())).toEqual({ kind: "lost" });
    });

    test("after the job is forgotten: lost", async () => {
      await rig.enqueue("a", { resultTtlMs: 5 * SECOND });
      const job = await rig.claimOne();
      await rig.settled(job, completed());
      await rig.advance(5 * SECOND);
      expect(await rig.settle(job, completed())).toEqual({ kind: "lost" });
    });
  });

  describe("with a token that is not the current one: lost, and nothing changes", () => {
    const cases: [string, () => Promise<Uint8Array>][] = [
      ["of nobody", async () => unique()],
      ["empty", async () => new Uint8Array()],
      [
        "of a lease that was lost",
        async () => {
          const { leaseToken } = await rig.claimOne();
          await rig.advance(LEASE);
          await rig.tick();
          await rig.claimOne();
          return leaseToken;
        },
      ],
      [
        "of another job",
        async () => {
          await rig.enqueue("b");
          const { jobs } = await rig.claim();
          return jobs[1]!.leaseToken;
        },
      ],
      [
        "cut short",
        async () => {
          const { leaseToken } = await rig.claimOne();
          return leaseToken.subarray(0, 15);
        },
      ],
    ];
    for (const [title, tokenOf] of cases) {
      test(title, async () => {
        await rig.enqueue("a");
        const leaseToken = await tokenOf();
        const before = await rig.inspect();
        const lease = { ...key("a"), leaseToken };
        for (const outcome of Object.values(outcomes)) {
          const answer = await rig.storage.settle({ ...lease, outcome, jitter: 0, hungryHere: false });
          expect(answer).toEqual({ kind: "lost" });
        }
        const progress = { current: 1, total: 2, message: "" };
        expect(await rig.storage.progress({ ...lease, progress })).toEqual({ kind: "lost" });
        for (const mode of ["renew", "adopt", "shorten"] as const) {
          const items = [lease];
          const answers = await rig.storage.extend({ queue: "q", items, mode, lane: "l1", leaseMs: LEASE });
          expect(answers).toEqual([{ kind: "lost" }]);
        }
        expect(await rig.inspect()).toEqual(before);
      });
    }
  });

  test("past the lease's end, until it is reaped", async () => {
    await rig.enqueue("a", { runTimeoutMs: 10 * SECOND });
    const job = await rig.claimOne();
    await rig.advance(LEASE);
    expect((await rig.settled(job, completed())).status.state).toBe("succeeded");
  });

  test("of a job that is not there: lost", async () => {
    const lease = { ...key("nobody"), leaseToken: unique() };
    const outcome = completed();
    expect(await rig.storage.settle({ ...lease, outcome, jitter: 0, hungryHere: false })).toEqual({ kind: "lost" });
  });
});

onEveryBackend("progress", (rig) => {
  test("is kept, seen by read, and the newest counts", async () => {
    await rig.enqueue("a");
    const job = await rig.claimOne();
    const first = await rig.storage.progress({ ...job, progress: { current: 1, total: 3, message: "one" } });
    const details = payload("d", "text/plain", "T");
    const progress = { current: 2.5, total: 3, message: "zwei ✓", details };
    const second = await rig.storage.progress({ ...job, progress });
    expect(first).toMatchObject({ kind: "ok", cancelRequested: false, status: { state: "running" }, tell: [] });
    expect(second.kind === "ok" && first.kind === "ok" && second.status.version > first.status.version).toBe(true);
    expect((await rig.storage.read(key("a")))!.progress).toEqual(progress);
    expect((await rig.job("a")).progress).toEqual(progress);
  });

  test("says when cancellation was asked for", async () => {
    await rig.enqueue("a");
    const job = await rig.claimOne();
    await rig.storage.cancel(key("a"));
    const answer = await rig.storage.progress({ ...job, progress: { current: 1, total: 1, message: "" } });
    expect(answer).toMatchObject({ kind: "ok", cancelRequested: true, status: { cancelRequested: true } });
  });

  test("outlives the attempt and the run, not the next run", async () => {
    const progress = { current: 1, total: 2, message: "half" };
    await rig.enqueue("a");
    const job = await rig.claimOne();
    await rig.storage.progress({ ...job, progress });
    await rig.settled(job, failed(), { jitter: 0 });
    expect((await rig.job("a")).progress).toEqual(progress);
    await rig.settled(await rig.claimOne(), failed({ retryable: false }));
    expect((await rig.job("a")).progress).toEqual(progress);
    await rig.storage.retry(key("a"), { hungryHere: false });
    expect((await rig.job("a")).progress).toBeUndefined();
    const again = await rig.claimOne();
    await rig.storage.progress({ ...again, progress });
    await rig.settled(again, completed());
    await rig.enqueue("a", { onDuplicate: "rerun_if_finished" });
    expect((await rig.job("a")).progress).toBeUndefined();
  });
});
