/** What callers do with a job that exists: cancel, retry, read, change its TTL. */
import { describe, expect, test } from "vitest";
import type { JobState } from "../../../server/job/job.ts";
import { completed, failed, key, onEveryBackend, payload, SECOND, TTL } from "./rig.ts";

const states: JobState[] = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"];

onEveryBackend("cancel", (rig) => {
  for (const state of ["scheduled", "queued"] as const) {
    test(`${state}: cancelled at once`, async () => {
      await rig.bring("a", state);
      const answer = await rig.storage.cancel(key("a"));
      const { record, payload: kept } = await rig.job("a");
      expect(answer).toEqual({
        kind: "ok",
        owner: "",
        leaseToken: Buffer.alloc(0),
        tell: [],
        wake: [],
        status: {
          ...key("a"),
          state: "cancelled",
          version: record.version,
          attempt: 0,
          cancelRequested: false,
          outcome: {
            kind: "failure",
            failure: {
              kind: "cancelled",
              status: { code: 1, message: "the job was cancelled", details: [] },
              type: "",
              stack: "",
              attempts: [],
            },
          },
        },
      });
      expect(record).toMatchObject({ state: "cancelled", dueTime: 0, expireTime: record.endTime + TTL });
      expect(kept).toBeDefined();
      expect(await rig.claimIds()).toEqual([]);
    });
  }

  test("running: asked for once, and says where to push it", async () => {
    const { job } = await rig.bring("a", "running");
    const first = await rig.storage.cancel(key("a"));
    expect(first).toMatchObject({
      kind: "ok",
      owner: "b1.l1",
      leaseToken: job!.leaseToken,
      status: { state: "running", cancelRequested: true, version: job!.status.version + 1 },
    });
    const before = await rig.inspect();
    expect(await rig.storage.cancel(key("a"))).toEqual(first);
    expect(await rig.inspect()).toEqual(before);
  });

  for (const state of ["succeeded", "failed", "cancelled"] as const) {
    test(`${state}: unchanged`, async () => {
      await rig.bring("a", state);
      const before = await rig.inspect();
      expect(await rig.storage.cancel(key("a"))).toMatchObject({ kind: "ok", owner: "", status: { state } });
      expect(await rig.inspect()).toEqual(before);
    });
  }

  test("unknown: not found", async () => {
    expect(await rig.storage.cancel(key("nobody"))).toEqual({ kind: "not_found" });
  });
});

onEveryBackend("retry", (rig) => {
  const retry = () => rig.storage.retry(key("a"), { hungryHere: false });

  for (const state of ["failed", "cancelled"] as const) {
    test(`${state}: a new run with the stored payload and fresh attempts, last in line`, async () => {
      await rig.enqueue("a", { maxAttempts: 2, payload: payload("kept", "text/plain"), resultTtlMs: 99 * SECOND });
      if (state === "failed") {
        await rig.settled(await rig.claimOne(), failed(), { jitter: 0 });
        await rig.settled(await rig.claimOne(), failed());
      } else await rig.storage.cancel(key("a"));
      await rig.enqueue("b");
      await rig.advance(5 * SECOND);
      const before = await rig.record("a");
      const answer = await retry();
      const record = await rig.record("a");
      expect(answer).toEqual({
        kind: "ok",
        status: { ...key("a"), state: "queued", version: before.version + 1, attempt: 0, cancelRequested: false },
        tell: [],
        wake: [],
      });
      expect(record).toMatchObject({
        attempt: 0,
        crashes: 0,
        history: [],
        failureKind: "",
        endTime: 0,
        expireTime: 0,
        startTime: 0,
        resultTtlMs: 99 * SECOND,
        requestId: before.requestId,
      });
      expect(record.failureDetail).toBeUndefined();
      expect(record.createTime).toBeGreaterThanOrEqual(before.createTime + 5 * SECOND);
      const { jobs } = await rig.claim();
      expect(jobs.map(({ jobId, attempt }) => [jobId, attempt])).toEqual([
        ["b", 1],
        ["a", 1],
      ]);
      expect(jobs[1]!.payload).toEqual(payload("kept", "text/plain"));
      expect(jobs[1]!.fence).toBeGreaterThan(before.fence);
    });
  }

  for (const state of ["scheduled", "queued", "running"] as const) {
    test(`${state}: unchanged`, async () => {
      await rig.bring("a", state);
      const before = await rig.inspect();
      expect(await retry()).toMatchObject({ kind: "ok", status: { state }, tell: [], wake: [] });
      expect(await rig.inspect()).toEqual(before);
    });
  }

  test("succeeded and unknown are refused", async () => {
    expect(await retry()).toEqual({ kind: "not_found" });
    await rig.bring("a", "succeeded");
    const before = await rig.inspect();
    expect(await retry()).toEqual({ kind: "succeeded" });
    expect(await rig.inspect()).toEqual(before);
  });

  test("start_timeout counts anew", async () => {
    await rig.enqueue("a", { startTimeoutMs: 20 * SECOND });
    await rig.storage.cancel(key("a"));
    await rig.advance(30 * SECOND);
    expect((await retry()).kind).toBe("ok");
    expect(await rig.claimIds({ queue: "other" })).toEqual([]);
    expect((await rig.tick()).changed).toEqual([]);
    await rig.advance(20 * SECOND);
    expect((await rig.tick()).changed).toMatchObject([{ status: { state: "failed" } }]);
  });
});

onEveryBackend("setResultTtl", (rig) => {
  for (const state of states) {
    test(`${state}`, async () => {
      await rig.bring("a", state);
      await rig.advance(5 * SECOND);
      const before = await rig.job("a");
      const answer = await rig.storage.setResultTtl(key("a"), 40 * SECOND);
      const after = await rig.job("a");
      const ended = ["succeeded", "failed", "cancelled"].includes(state);
      expect(answer).toMatchObject({ status: { state, version: before.record.version + 1 }, tell: [], wake: [] });
      expect(after).toEqual({
        ...before,
        record: {
          ...before.record,
          resultTtlMs: 40 * SECOND,
          version: before.record.version + 1,
          expireTime: ended ? after.record.expireTime : 0,
        },
      });
      if (!ended) return;
      const left = after.record.expireTime - before.record.endTime;
      expect(left).toBeGreaterThanOrEqual(45 * SECOND);
      expect(left).toBeLessThan(46 * SECOND);
      await rig.advance(40 * SECOND);
      expect(await rig.storage.read(key("a"))).toBeUndefined();
    });
  }

  test("before the end, it replaces the future TTL", async () => {
    await rig.enqueue("a");
    await rig.storage.setResultTtl(key("a"), 7 * SECOND);
    await rig.settled(await rig.claimOne(), completed());
    const record = await rig.record("a");
    expect(record.expireTime).toBe(record.endTime + 7 * SECOND);
  });

  test("unknown: undefined", async () => {
    expect(await rig.storage.setResultTtl(key("nobody"), TTL)).toBeUndefined();
  });
});

onEveryBackend("read", (rig) => {
  test("the whole job, in every state", async () => {
    const spec = { method: "/m", headers: { h: "1" }, labels: { l: "2" }, priority: 3, maxAttempts: 5 };
    for (const state of states) {
      const jobId = `a ${state}`;
      await rig.bring(jobId, state, { ...spec, queue: `q-${state}` });
      const read = await rig.storage.read(key(jobId, `q-${state}`));
      const { record } = await rig.job(jobId, `q-${state}`);
      const times = {
        ...(record.startTime && { startTime: record.startTime }),
        ...(record.endTime && { endTime: record.endTime, expireTime: record.expireTime }),
      };
      const { outcome, ...rest } = read!;
      expect(rest).toEqual({
        ...key(jobId, `q-${state}`),
        state,
        version: record.version,
        attempt: record.attempt,
        cancelRequested: false,
        createTime: record.createTime,
        ...spec,
        ...times,
      });
      expect(outcome?.kind).toBe({ succeeded: "result", failed: "failure", cancelled: "failure" }[state as string]);
    }
  });

  test("unknown: undefined", async () => {
    expect(await rig.storage.read(key("nobody"))).toBeUndefined();
    expect(await rig.storage.read(key("nobody"), "waiters")).toBeUndefined();
    expect(await rig.storage.read(key("nobody", "no-queue"))).toBeUndefined();
  });

  test("listening is remembered with the job, once, and changes no version", async () => {
    await rig.bring("a", "running");
    const { version } = await rig.record("a");
    await rig.storage.read(key("a"), "watchers");
    await rig.storage.read(key("a"), "watchers");
    await rig.storage.read(key("a"), "waiters");
    expect(await rig.record("a")).toMatchObject({ version, waiters: ["b1"], watchers: ["b1"] });
    const after = await rig.inspect();
    await rig.storage.read(key("a"));
    expect(await rig.inspect()).toEqual(after);
  });

  test("readMany: in order, short forms with outcomes, undefined where there is none", async () => {
    await rig.bring("ok", "succeeded");
    await rig.bring("no", "failed");
    await rig.enqueue("a");
    await rig.enqueue("a", { queue: "q2", delayMs: SECOND });
    const keys = [key("a", "q2"), key("nobody"), key("ok"), key("no"), key("a"), key("ok")];
    const answers = await rig.storage.readMany(keys);
    expect(answers.map((status) => status?.state)).toEqual([
      "scheduled",
      undefined,
      "succeeded",
      "failed",
      "queued",
      "succeeded",
    ]);
    expect(answers[2]).toEqual({
      ...key("ok"),
      state: "succeeded",
      version: (await rig.record("ok")).version,
      attempt: 1,
      cancelRequested: false,
      outcome: { kind: "result", payload: payload("result") },
    });
    expect(await rig.storage.readMany([])).toEqual([]);
    const thousand = Array.from({ length: 1_000 }, (_, i) => key(i % 2 ? "a" : `none ${i}`));
    expect((await rig.storage.readMany(thousand)).filter((status) => status)).toHaveLength(500);
  });
});

onEveryBackend("the rest", (rig) => {
  test("queues: every one that has jobs, once, in pages of at most 1,000", async () => {
    const names = Array.from({ length: 1_100 }, (_, i) => `queue/${i}`);
    await Promise.all(names.map((queue) => rig.enqueue("a", { queue })));
    rig.queues.clear();
    const found: string[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = await rig.storage.queues(cursor);
      expect(page.queues.length).toBeLessThanOrEqual(1_000);
      found.push(...page.queues);
      cursor = page.next;
      pages++;
    } while (cursor !== undefined && pages < 100);
    expect(found.sort()).toEqual(names.sort());
  });

  test("queues of nothing", async () => {
    expect((await rig.storage.queues()).queues).toEqual([]);
  });

  test("a queue stays listed while it has a job in any state", async () => {
    for (const state of states) {
      await rig.bring("a", state, { queue: `q-${state}`, resultTtlMs: 60 * SECOND });
      await rig.tick({ queue: `q-${state}` });
    }
    expect((await rig.storage.queues()).queues.sort()).toEqual(states.map((state) => `q-${state}`).sort());
  });

  test("a hint to a broker that is not there does no harm, nor do listeners", async () => {
    const stop = rig.storage.onHint(() => {});
    rig.storage.hint("nobody", { kind: "ready", queue: "q" });
    stop();
    stop();
    const ready: boolean[] = [];
    const stopReady = rig.storage.onReady((now) => ready.push(now));
    expect(rig.storage.ready).toBe(true);
    stopReady();
    await rig.enqueue("a");
    expect(ready).toEqual([]);
  });

  test("info has no secrets and a class", () => {
    const { url, version, durability } = rig.storage.info;
    expect(url).toMatch(/^(memory:|sqlite:|redis)/);
    expect(version).toMatch(/\d+\.\d+/);
    expect(durability).toMatch(/^(memory|file|redis-volatile|redis-everysec|redis-always)$/);
  });

  describe("what is kept outlives the process", () => {
    test("whole state", async () => {
      const { reopen } = rig.opened;
      if (!reopen) return expect(rig.storage.info.durability).toBe("memory");
      for (const state of states) await rig.bring(`a ${state}`, state, { queue: `q-${state}` });
      const before = await Promise.all(states.map((state) => rig.inspect(`q-${state}`)));
      await rig.opened.reopen!();
      expect(await Promise.all(states.map((state) => rig.inspect(`q-${state}`)))).toEqual(before);
      await rig.enqueue("b", { queue: "q-queued" });
      expect((await rig.tick({ queue: "q-queued" })).queued).toBe(2);
      expect(await rig.claimIds({ queue: "q-queued" })).toEqual(["a queued", "b"]);
    });
  });
});
