import { describe, expect, test } from "vitest";
import type { JobSpec, JobState, OnDuplicate } from "../../../server/job/job.ts";
import { completed, failed, key, onEveryBackend, payload, SECOND, specOf, TTL, unique } from "./rig.ts";

const states: JobState[] = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"];
const policies: OnDuplicate[] = ["join", "reject", "rerun_if_failed", "rerun_if_finished"];

/** What an enqueue of an id that is there answers: contract.md section 2, "Duplicates". */
const duplicates: Record<OnDuplicate, Record<JobState, string>> = {
  join: {
    scheduled: "joined",
    queued: "joined",
    running: "joined",
    succeeded: "cached",
    failed: "cached",
    cancelled: "created",
  },
  reject: {
    scheduled: "exists",
    queued: "exists",
    running: "exists",
    succeeded: "exists",
    failed: "exists",
    cancelled: "created",
  },
  rerun_if_failed: {
    scheduled: "joined",
    queued: "joined",
    running: "joined",
    succeeded: "cached",
    failed: "created",
    cancelled: "created",
  },
  rerun_if_finished: {
    scheduled: "joined",
    queued: "joined",
    running: "joined",
    succeeded: "created",
    failed: "created",
    cancelled: "created",
  },
};

onEveryBackend("enqueue", (rig) => {
  test("stores the whole spec", async () => {
    const spec = specOf("a", {
      method: "/acme.v1.Thumbnailer/Render",
      payload: payload("bytes", "application/json", "acme.v1.Request"),
      headers: { traceparent: "00-1-2-01", "": "empty name" },
      labels: { team: "blue" },
      priority: -7,
      maxAttempts: 9,
      runTimeoutMs: 4 * SECOND,
      startTimeoutMs: 50 * SECOND,
      resultTtlMs: 77 * SECOND,
    });
    const requestId = unique();
    const answer = await rig.storage.enqueue({ spec, requestId, listen: "waiters", hungryHere: false });
    const { record, ...blobs } = await rig.job("a");
    expect(answer).toEqual({
      kind: "accepted",
      disposition: "created",
      payloadMismatch: false,
      status: { ...key("a"), state: "queued", version: record.version, attempt: 0, cancelRequested: false },
      wake: [],
      tell: [],
    });
    expect(record).toEqual({
      ...key("a"),
      state: "queued",
      version: record.version,
      attempt: 0,
      maxAttempts: 9,
      crashes: 0,
      priority: -7,
      seq: record.seq,
      createTime: Math.floor(record.version / 1000),
      startTime: 0,
      endTime: 0,
      expireTime: 0,
      dueTime: 0,
      runTimeoutMs: 4 * SECOND,
      startTimeoutMs: 50 * SECOND,
      resultTtlMs: 77 * SECOND,
      backoff: spec.backoff,
      retryOn: spec.retryOn,
      fence: 0,
      leaseToken: "",
      leaseUntil: 0,
      runUntil: 0,
      owner: "",
      workerId: "",
      settledToken: "",
      cancelRequested: false,
      requestId: Buffer.from(requestId).toString("hex"),
      joinedBy: [],
      digest: "01".repeat(16),
      history: [],
      failureKind: "",
      waiters: ["b1"],
      watchers: [],
    });
    expect(blobs).toEqual({
      method: spec.method,
      headers: spec.headers,
      labels: spec.labels,
      payload: { ...spec.payload, data: Buffer.from("bytes") },
    });
  });

  test("with a delay: scheduled, and due at its time", async () => {
    const { status } = await rig.enqueue("a", { delayMs: 20 * SECOND });
    expect(status.state).toBe("scheduled");
    const record = await rig.record("a");
    expect(record.dueTime).toBe(record.createTime + 20 * SECOND);
    expect(await rig.claimIds()).toEqual([]);
    await rig.advance(20 * SECOND);
    expect(await rig.claimIds()).toEqual(["a"]);
  });

  test("of one id at the same time: exactly one creates", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => rig.enqueue("a")));
    const dispositions = answers.map(({ disposition }) => disposition).sort();
    expect(dispositions).toEqual(["created", ...Array<string>(19).fill("joined")]);
    expect((await rig.inspect()).jobs).toHaveLength(1);
  });

  describe("of an id that exists", () => {
    for (const policy of policies) {
      for (const state of states) {
        const expected = duplicates[policy][state];
        test(`${policy}, ${state}: ${expected}`, async () => {
          await rig.bring("a", state, { resultTtlMs: TTL });
          const before = await rig.inspect();
          const again = { payload: payload("new"), priority: 5, onDuplicate: policy, resultTtlMs: 2 * TTL };
          const answer = await rig.tryEnqueue("a", again);
          const after = await rig.job("a");
          if (expected === "exists") {
            expect(answer).toMatchObject({ kind: "exists", status: { state } });
          } else {
            expect(answer).toMatchObject({ kind: "accepted", disposition: expected });
          }
          if (expected === "created") {
            expect(after.record).toMatchObject({ state: "queued", priority: 5, attempt: 0, resultTtlMs: 2 * TTL });
            expect(after.payload).toEqual(payload("new"));
            expect(after.record.version).toBeGreaterThan(before.jobs[0]!.record.version);
            expect(after.record.fence).toBe(before.jobs[0]!.record.fence);
            expect(after.result).toBeUndefined();
            return;
          }
          const joined = policy.startsWith("rerun") && expected === "joined";
          const expectedRecord = { ...before.jobs[0]!.record };
          if (joined) expectedRecord.joinedBy = [expect.stringMatching(/^[0-9a-f]{32}$/) as unknown as string];
          expect({ ...before, jobs: [after] }).toEqual({
            ...before,
            jobs: [{ ...before.jobs[0]!, record: expectedRecord }],
          });
        });
      }
    }
  });

  test("cached: the outcome is inside", async () => {
    await rig.bring("ok", "succeeded");
    await rig.bring("no", "failed");
    const ok = await rig.enqueue("ok");
    expect(ok.status.outcome).toEqual({ kind: "result", payload: payload("result") });
    const no = await rig.enqueue("no");
    expect(no.status.outcome).toMatchObject({
      kind: "failure",
      failure: {
        kind: "handler",
        type: "Error",
        stack: "at x",
        status: { code: 13, message: "boom", details: [] },
        attempts: [{ number: 1, workerId: "w1", message: "boom" }],
      },
    });
  });

  describe("payload mismatch", () => {
    const other = Buffer.alloc(16, 2);
    const cases: [string, Partial<JobSpec>, unknown][] = [
      ["the same", {}, { kind: "accepted", payloadMismatch: false }],
      ["another", { digest: other }, { kind: "accepted", payloadMismatch: true }],
      ["none given", { digest: Buffer.alloc(0) }, { kind: "accepted", payloadMismatch: false }],
      ["another, to be refused", { digest: other, rejectPayloadMismatch: true }, { kind: "mismatch" }],
      [
        "none given, to be refused",
        { digest: Buffer.alloc(0), rejectPayloadMismatch: true },
        { kind: "accepted", payloadMismatch: false },
      ],
      [
        "another, REJECT is stronger",
        { digest: other, rejectPayloadMismatch: true, onDuplicate: "reject" },
        { kind: "exists" },
      ],
    ];
    for (const [title, fields, expected] of cases) {
      for (const state of ["queued", "running", "succeeded", "failed"] as const) {
        test(`${title}, ${state}`, async () => {
          await rig.bring("a", state);
          const before = await rig.inspect();
          expect(await rig.tryEnqueue("a", fields)).toMatchObject(expected as object);
          expect(await rig.inspect()).toEqual(before);
        });
      }
    }

    test("the first run had no payload: another digest is a mismatch", async () => {
      await rig.enqueue("a", { digest: Buffer.alloc(0) });
      expect(await rig.enqueue("a", { digest: other })).toMatchObject({ payloadMismatch: true });
    });

    test("does not matter to a new run", async () => {
      await rig.bring("a", "cancelled");
      const again = await rig.enqueue("a", { digest: other, rejectPayloadMismatch: true });
      expect(again).toMatchObject({ disposition: "created", payloadMismatch: false });
    });
  });

  describe("repeated with its request_id", () => {
    for (const policy of policies) {
      for (const state of states) {
        test(`by the one that created it: ${policy}, ${state}`, async () => {
          const requestId = unique();
          const fields = { onDuplicate: policy, ...(state === "scheduled" && { delayMs: 100 * SECOND }) };
          await rig.enqueue("a", fields, { requestId });
          if (state !== "scheduled" && state !== "queued") {
            if (state === "cancelled") await rig.storage.cancel(key("a"));
            else {
              const job = await rig.claimOne();
              if (state === "succeeded") await rig.settled(job, completed());
              if (state === "failed") await rig.settled(job, failed({ retryable: false }));
            }
          }
          const before = await rig.inspect();
          const answer = await rig.enqueue("a", fields, { requestId });
          expect(answer).toMatchObject({ disposition: "created", payloadMismatch: false, status: { state } });
          expect(answer.status.outcome !== undefined).toBe(["succeeded", "failed", "cancelled"].includes(state));
          expect(await rig.inspect()).toEqual(before);
        });
      }
    }

    test("by one that joined under a rerun policy, after the end: joined, not a new run", async () => {
      const requestId = unique();
      await rig.enqueue("a");
      expect(await rig.enqueue("a", { onDuplicate: "rerun_if_finished" }, { requestId })).toMatchObject({
        disposition: "joined",
      });
      await rig.settled(await rig.claimOne(), completed());
      const before = await rig.inspect();
      const again = await rig.enqueue("a", { onDuplicate: "rerun_if_finished" }, { requestId });
      expect(again).toMatchObject({ disposition: "joined", status: { state: "succeeded" } });
      expect(await rig.inspect()).toEqual(before);
    });

    test("16 joiners are remembered, the newest last", async () => {
      await rig.enqueue("a");
      const ids = Array.from({ length: 18 }, unique);
      for (const requestId of ids) await rig.enqueue("a", { onDuplicate: "rerun_if_failed" }, { requestId });
      const { joinedBy } = await rig.record("a");
      expect(joinedBy).toEqual(ids.slice(2).map((id) => Buffer.from(id).toString("hex")));
    });

    test("of an earlier run of the id: decided anew", async () => {
      const first = unique();
      await rig.enqueue("a", {}, { requestId: first });
      await rig.storage.cancel(key("a"));
      await rig.enqueue("a");
      expect(await rig.enqueue("a", {}, { requestId: first })).toMatchObject({ disposition: "joined" });
    });

    test("after RetryJob: the run that it made again", async () => {
      const requestId = unique();
      await rig.enqueue("a", {}, { requestId });
      await rig.storage.cancel(key("a"));
      await rig.storage.retry(key("a"), { hungryHere: false });
      expect(await rig.enqueue("a", { onDuplicate: "reject" }, { requestId })).toMatchObject({
        disposition: "created",
      });
    });
  });

  test("a forgotten job is as good as absent, collected or not", async () => {
    await rig.bring("a", "succeeded", { resultTtlMs: 5 * SECOND });
    const before = await rig.record("a");
    await rig.advance(5 * SECOND);
    expect(await rig.enqueue("a", { onDuplicate: "reject" })).toMatchObject({
      disposition: "created",
      status: { state: "queued" },
    });
    const after = await rig.job("a");
    expect(after.record.version).toBeGreaterThan(before.version);
    expect(after.result).toBeUndefined();
    const job = await rig.claimOne();
    expect(job.fence).toBeGreaterThan(before.fence);
  });

  test("listeners: once each, waiters and watchers apart, kept over a rerun", async () => {
    await rig.enqueue("a", {}, { listen: "waiters" });
    await rig.enqueue("a", {}, { listen: "waiters" });
    await rig.enqueue("a", {}, { listen: "watchers" });
    expect(await rig.record("a")).toMatchObject({ waiters: ["b1"], watchers: ["b1"] });
    await rig.storage.cancel(key("a"));
    const again = await rig.enqueue("a");
    expect(again).toMatchObject({ disposition: "created", tell: [] });
    expect(await rig.record("a")).toMatchObject({ waiters: ["b1"], watchers: ["b1"] });
  });

  test("queues are apart", async () => {
    await rig.enqueue("a", { queue: "q1" });
    await rig.enqueue("a", { queue: "q2", payload: payload("two") });
    const job = await rig.claimOne({ queue: "q2" });
    expect(job.payload).toEqual(payload("two"));
    expect((await rig.inspect("q1")).indexes.queued).toEqual(["a"]);
    expect(await rig.storage.read(key("a"))).toBeUndefined();
  });
});
