import { describe, expect, test } from "vitest";
import { completed, failed, key, LEASE, onEveryBackend, payload, SECOND, unique } from "./rig.ts";

onEveryBackend("claim", (rig) => {
  test("leases the job and says everything about it", async () => {
    await rig.enqueue("a", {
      method: "/acme.v1.Thumbnailer/Render",
      payload: payload("bytes", "application/json", "acme.v1.Request"),
      headers: { traceparent: "00" },
      labels: { team: "blue" },
      runTimeoutMs: 90 * SECOND,
      maxAttempts: 7,
    });
    const request = rig.claimOf({ max: 1, lane: "l9", workerId: "worker nine" });
    const { jobs, changed } = await rig.storage.claim(request);
    const { record } = await rig.job("a");
    expect(changed).toEqual([]);
    expect(jobs).toEqual([
      {
        ...key("a"),
        method: "/acme.v1.Thumbnailer/Render",
        payload: { data: Buffer.from("bytes"), contentType: "application/json", messageType: "acme.v1.Request" },
        headers: { traceparent: "00" },
        attempt: 1,
        maxAttempts: 7,
        fence: record.fence,
        leaseToken: Buffer.from(request.tokens[0]!),
        runTimeoutLeftMs: 90 * SECOND,
        createTime: record.createTime,
        status: { ...key("a"), state: "running", version: record.version, attempt: 1, cancelRequested: false },
        tell: [],
      },
    ]);
    expect(record).toMatchObject({
      state: "running",
      attempt: 1,
      owner: "b1.l9",
      workerId: "worker nine",
      leaseToken: Buffer.from(request.tokens[0]!).toString("hex"),
      leaseUntil: record.startTime + LEASE,
      runUntil: record.startTime + 90 * SECOND,
    });
  });

  test("run_timeout caps the lease", async () => {
    await rig.enqueue("a", { runTimeoutMs: 12 * SECOND });
    const job = await rig.claimOne();
    expect(job.runTimeoutLeftMs).toBe(12 * SECOND);
    const record = await rig.record("a");
    expect(record.leaseUntil).toBe(record.startTime + 12 * SECOND);
    await rig.storage.extend({ queue: "q", items: [job], mode: "renew", lane: "l1", leaseMs: LEASE });
    expect((await rig.record("a")).leaseUntil).toBe(record.runUntil);
  });

  test("best first: by priority, then by place in line", async () => {
    const jobs: [string, number][] = [
      ["low 1", -1000],
      ["mid 1", 0],
      ["high 1", 1000],
      ["mid 2", 0],
      ["high 2", 1000],
      ["low 2", -1000],
      ["-1", -1],
      ["1", 1],
    ];
    for (const [jobId, priority] of jobs) await rig.enqueue(jobId, { priority });
    expect(await rig.claimIds({ max: 3 })).toEqual(["high 1", "high 2", "1"]);
    expect(await rig.claimIds()).toEqual(["mid 1", "mid 2", "-1", "low 1", "low 2"]);
  });

  test("a retry, a release and a lost lease keep the place in line", async () => {
    for (const jobId of ["a", "b", "c", "d"]) await rig.enqueue(jobId);
    const { jobs } = await rig.claim({ max: 3 });
    await rig.settled(jobs[0]!, failed(), { jitter: 0 });
    await rig.settled(jobs[1]!, { kind: "released" });
    await rig.storage.extend({ queue: "q", items: [jobs[2]!], mode: "shorten", lane: "l1", leaseMs: SECOND });
    await rig.advance(SECOND);
    await rig.enqueue("e");
    expect(await rig.claimIds()).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("a delayed job takes the place of its acceptance once it is due", async () => {
    await rig.enqueue("a", { delayMs: 10 * SECOND });
    await rig.enqueue("b");
    await rig.advance(10 * SECOND);
    expect(await rig.claimIds()).toEqual(["a", "b"]);
  });

  test("up to max", async () => {
    for (let i = 0; i < 20; i++) await rig.enqueue(`job ${i}`);
    expect(await rig.claimIds({ max: 1 })).toHaveLength(1);
    expect(await rig.claimIds({ max: 16 })).toHaveLength(16);
    expect(await rig.claimIds({ max: 16 })).toHaveLength(3);
    expect(await rig.claimIds({ max: 16 })).toHaveLength(0);
  });

  describe("maxBytes", () => {
    const size = 1_000;
    const big = payload("x".repeat(size));
    const cases: [number, number][] = [
      [1, 1],
      [size, 1],
      [2 * size + 100, 2],
      [100 * size, 4],
    ];
    for (const [maxBytes, expected] of cases) {
      test(`${maxBytes}: ${expected} of 4 jobs of ${size} bytes`, async () => {
        for (let i = 0; i < 4; i++) await rig.enqueue(`job ${i}`, { payload: big });
        expect(await rig.claimIds({ maxBytes })).toHaveLength(expected);
        expect((await rig.inspect()).indexes.running).toHaveLength(expected);
      });
    }

    test("a job that does not fit is not passed over", async () => {
      await rig.enqueue("a");
      await rig.enqueue("big", { payload: big });
      await rig.enqueue("c");
      expect(await rig.claimIds({ maxBytes: 500 })).toEqual(["a"]);
      expect(await rig.claimIds({ maxBytes: 500 })).toEqual(["big"]);
    });
  });

  test("of an unknown queue: nothing", async () => {
    expect(await rig.claim({ queue: "never seen" })).toEqual({ jobs: [], changed: [] });
  });

  describe("repeated", () => {
    test("answers the same jobs, and claims nothing", async () => {
      for (const jobId of ["a", "b", "c"]) await rig.enqueue(jobId);
      const request = rig.claimOf({ max: 2 });
      const first = await rig.storage.claim(request);
      const before = await rig.inspect();
      const again = await rig.storage.claim(request);
      expect(again.jobs).toEqual(first.jobs);
      expect(await rig.inspect()).toEqual(before);
    });

    test("answers only those that are still leased with its tokens", async () => {
      for (const jobId of ["a", "b", "c", "d"]) await rig.enqueue(jobId);
      const request = rig.claimOf({ max: 4 });
      const { jobs } = await rig.storage.claim(request);
      await rig.settled(jobs[0]!, completed());
      await rig.settled(jobs[1]!, { kind: "released" });
      expect(await rig.claimIds({ lane: "l2", max: 1 })).toEqual(["b"]);
      await rig.storage.cancel(key("c"));
      const again = await rig.storage.claim(request);
      expect(again.jobs.map(({ jobId }) => jobId)).toEqual(["c", "d"]);
      expect(again.jobs[0]!.status.cancelRequested).toBe(true);
    });

    test("says what is left of run_timeout", async () => {
      await rig.enqueue("a", { runTimeoutMs: 20 * SECOND });
      const request = rig.claimOf({ max: 1 });
      await rig.storage.claim(request);
      await rig.advance(5 * SECOND);
      const [job] = (await rig.storage.claim(request)).jobs;
      expect(job!.runTimeoutLeftMs).toBeGreaterThan(14 * SECOND);
      expect(job!.runTimeoutLeftMs).toBeLessThanOrEqual(15 * SECOND);
    });

    test("lanes and queues have a record each; the next claim of a lane overwrites its own", async () => {
      for (const jobId of ["a", "b", "c", "d"]) await rig.enqueue(jobId);
      await rig.enqueue("other", { queue: "q2" });
      const one = rig.claimOf({ max: 1, claimId: 7 });
      const two = rig.claimOf({ max: 1, claimId: 7, lane: "l2" });
      const three = rig.claimOf({ max: 1, claimId: 7, queue: "q2" });
      const ids = async (request: typeof one) => (await rig.storage.claim(request)).jobs.map(({ jobId }) => jobId);
      expect([await ids(one), await ids(two), await ids(three)]).toEqual([["a"], ["b"], ["other"]]);
      expect([await ids(one), await ids(two), await ids(three)]).toEqual([["a"], ["b"], ["other"]]);
      expect(await ids(rig.claimOf({ max: 1, claimId: 8 }))).toEqual(["c"]);
      // Late repeats of older claims get nothing, although there is something.
      expect([await ids(one), await ids(two)]).toEqual([[], ["b"]]);
      expect((await rig.inspect()).indexes.queued).toEqual(["d"]);
    });
  });

  test("does what time has brought first", async () => {
    await rig.enqueue("lost");
    await rig.claimOne();
    await rig.enqueue("late", { startTimeoutMs: 20 * SECOND });
    await rig.enqueue("due", { delayMs: 30 * SECOND });
    await rig.advance(LEASE);
    const { jobs, changed } = await rig.claim();
    expect(jobs.map(({ jobId }) => jobId)).toEqual(["lost", "due"]);
    const states = changed.map(({ status }) => [status.jobId, status.state]);
    expect(states.sort()).toEqual([
      ["due", "queued"],
      ["late", "failed"],
      ["lost", "queued"],
    ]);
  });

  test("fences rise with every claim, across runs of one id", async () => {
    let last = 0;
    for (let run = 0; run < 3; run++) {
      await rig.enqueue("a", { onDuplicate: "rerun_if_finished", maxAttempts: 3 });
      for (const outcome of [{ kind: "released" } as const, failed(), completed()]) {
        const job = await rig.claimOne();
        expect(job.fence).toBeGreaterThan(last);
        last = job.fence;
        await rig.settled(job, outcome, { jitter: 0 });
      }
    }
    const ms = (await rig.record("a")).createTime;
    expect(last).toBeGreaterThan(ms * 1000 - 1);
  });

  test("versions rise with every visible change, across runs of one id", async () => {
    const versions: number[] = [];
    const seen = (version: number) => versions.push(version);
    for (let run = 0; run < 3; run++) {
      seen((await rig.enqueue("a", { onDuplicate: "rerun_if_finished" })).status.version);
      const job = await rig.claimOne();
      seen(job.status.version);
      const report = await rig.storage.progress({ ...job, progress: { current: 1, total: 1, message: "" } });
      if (report.kind === "ok") seen(report.status.version);
      const cancel = await rig.storage.cancel(key("a"));
      if (cancel.kind === "ok") seen(cancel.status.version);
      seen((await rig.settled(job, completed())).status.version);
      seen((await rig.storage.setResultTtl(key("a"), 10 * SECOND))!.status.version);
    }
    expect(versions).toHaveLength(18);
    expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
  });

  test("many at the same time: each job once", async () => {
    for (let i = 0; i < 40; i++) await rig.enqueue(`job ${i}`);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => rig.claim({ lane: `l${i}`, max: 3 })));
    const ids = answers.flatMap(({ jobs }) => jobs.map(({ jobId }) => jobId));
    expect(ids).toHaveLength(40);
    expect(new Set(ids).size).toBe(40);
  });
});

onEveryBackend("extend", (rig) => {
  const extend = (mode: "renew" | "adopt" | "shorten", job: object, lane = "l1", leaseMs = LEASE) =>
    rig.storage.extend({ queue: "q", items: [job as { jobId: string; leaseToken: Uint8Array }], mode, lane, leaseMs });

  test("renew: a full lease from now, whoever asks with the token", async () => {
    await rig.enqueue("a");
    const job = await rig.claimOne();
    await rig.advance(20 * SECOND);
    const before = await rig.record("a");
    expect(await extend("renew", job, "l7")).toEqual([{ kind: "ok", cancelRequested: false, previousOwner: "" }]);
    const after = await rig.record("a");
    expect(after).toEqual({ ...before, leaseUntil: after.leaseUntil });
    expect(after.leaseUntil - before.leaseUntil).toBeGreaterThanOrEqual(20 * SECOND);
    expect(after.leaseUntil - before.leaseUntil).toBeLessThan(21 * SECOND);
    await rig.advance(20 * SECOND);
    expect(await rig.claimIds()).toEqual([]);
    await rig.advance(10 * SECOND);
    expect(await rig.claimIds()).toEqual(["a"]);
  });

  test("adopt: the same, for another stream", async () => {
    await rig.enqueue("a");
    const job = await rig.claimOne({ lane: "l1" });
    await rig.storage.cancel(key("a"));
    await rig.advance(10 * SECOND);
    expect(await extend("adopt", job, "l2")).toEqual([{ kind: "ok", cancelRequested: true, previousOwner: "b1.l1" }]);
    const record = await rig.record("a");
    expect(record.owner).toBe("b1.l2");
    expect(record.leaseUntil).toBeGreaterThanOrEqual(record.startTime + 10 * SECOND + LEASE);
    expect(await extend("adopt", job, "l3")).toMatchObject([{ previousOwner: "b1.l2" }]);
  });

  test("shorten: at most that much more, and only by the stream that holds it", async () => {
    await rig.enqueue("a");
    const job = await rig.claimOne({ lane: "l1" });
    const { leaseUntil } = await rig.record("a");
    expect(await extend("shorten", job, "l2", 5 * SECOND)).toEqual([{ kind: "lost" }]);
    expect((await rig.record("a")).leaseUntil).toBe(leaseUntil);
    expect(await extend("shorten", job, "l1", 50 * SECOND)).toMatchObject([{ kind: "ok" }]);
    expect((await rig.record("a")).leaseUntil).toBe(leaseUntil);
    expect(await extend("shorten", job, "l1", 5 * SECOND)).toMatchObject([{ kind: "ok" }]);
    const shortened = (await rig.record("a")).leaseUntil;
    expect(leaseUntil - shortened).toBeGreaterThan(24 * SECOND);
    await extend("renew", job);
    expect((await rig.record("a")).leaseUntil).toBeGreaterThanOrEqual(leaseUntil);
  });

  test("adopted leases are not shortened by the stream that lost them", async () => {
    await rig.enqueue("a");
    const job = await rig.claimOne({ lane: "l1" });
    await extend("adopt", job, "l2");
    expect(await extend("shorten", job, "l1", SECOND)).toEqual([{ kind: "lost" }]);
  });

  test("past its end, until it is reaped", async () => {
    await rig.enqueue("a");
    const job = await rig.claimOne();
    await rig.advance(LEASE + SECOND);
    expect(await extend("renew", job)).toMatchObject([{ kind: "ok" }]);
    expect(await rig.claimIds()).toEqual([]);
    await rig.advance(LEASE);
    await rig.tick();
    expect(await extend("renew", job)).toEqual([{ kind: "lost" }]);
  });

  test("one answer per item, in order", async () => {
    for (const jobId of ["a", "b", "c"]) await rig.enqueue(jobId);
    const { jobs } = await rig.claim();
    await rig.settled(jobs[1]!, completed());
    const items = [
      { jobId: "b", leaseToken: jobs[1]!.leaseToken },
      { jobId: "a", leaseToken: jobs[0]!.leaseToken },
      { jobId: "nobody", leaseToken: unique() },
      { jobId: "c", leaseToken: jobs[0]!.leaseToken },
      { jobId: "c", leaseToken: jobs[2]!.leaseToken },
    ];
    const answers = await rig.storage.extend({ queue: "q", items, mode: "renew", lane: "l1", leaseMs: LEASE });
    expect(answers.map(({ kind }) => kind)).toEqual(["lost", "ok", "lost", "lost", "ok"]);
    expect(await rig.storage.extend({ queue: "q", items: [], mode: "renew", lane: "l1", leaseMs: LEASE })).toEqual([]);
  });
});
