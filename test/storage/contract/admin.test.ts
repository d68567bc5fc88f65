/** What operators ask of a storage: counts, lists, a queue on hold. */
import { describe, expect, test } from "vitest";
import type { JobState } from "../../../server/job/job.ts";
import type { Attached } from "../../../server/storage/storage.ts";
import { completed, failed, key, LEASE, onEveryBackend, QUEUE, type Rig, SECOND, TTL } from "./rig.ts";

const none = { scheduled: 0, queued: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 };
const states = Object.keys(none) as JobState[];

/** Ids of all pages. */
async function idsOf(rig: Rig, state: JobState, limit = 100): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await rig.storage.list({ queue: QUEUE, state, limit, ...(cursor !== undefined && { cursor }) });
    expect(page.jobs.length).toBeLessThanOrEqual(limit);
    ids.push(...page.jobs.map(({ jobId }) => jobId));
    cursor = page.next;
  } while (cursor !== undefined);
  return ids;
}

async function oneOfEach(rig: Rig): Promise<void> {
  for (const state of ["succeeded", "failed", "cancelled", "running", "scheduled", "queued"] as const) {
    await rig.bring(state, state);
  }
}

onEveryBackend("admin", (rig) => {
  describe("count", () => {
    test("a queue that never was", async () => {
      expect(await rig.storage.count(QUEUE)).toEqual({ jobs: none, bytes: 0, paused: false });
    });

    test("follows each job through its life", async () => {
      await oneOfEach(rig);
      const jobs = { scheduled: 1, queued: 1, running: 1, succeeded: 1, failed: 1, cancelled: 1 };
      expect((await rig.storage.count(QUEUE)).jobs).toEqual(jobs);
      await rig.storage.retry(key("failed"), { hungryHere: true });
      await rig.storage.cancel(key("scheduled"));
      expect((await rig.storage.count(QUEUE)).jobs).toEqual({
        ...jobs,
        scheduled: 0,
        queued: 2,
        failed: 0,
        cancelled: 2,
      });
      await rig.advance(TTL);
      await rig.tick();
      expect((await rig.storage.count(QUEUE)).jobs).toEqual({ ...none, queued: 3 });
      expect((await rig.storage.count("other")).jobs).toEqual(none);
    });

    test("counts what was there before a restart", async () => {
      if (!rig.opened.reopen) return;
      await oneOfEach(rig);
      const before = await rig.storage.count(QUEUE);
      await rig.opened.reopen();
      expect((await rig.storage.count(QUEUE)).jobs).toEqual(before.jobs);
    });

    test("says how long the first in line has waited", async () => {
      await rig.enqueue("a");
      await rig.advance(10 * SECOND);
      await rig.enqueue("b");
      const { oldestWaitMs = 0 } = await rig.storage.count(QUEUE);
      expect(oldestWaitMs).toBeGreaterThanOrEqual(10 * SECOND);
      expect(oldestWaitMs).toBeLessThan(11 * SECOND);
    });
  });

  describe("list", () => {
    test("shows each job in its state only, in short", async () => {
      await oneOfEach(rig);
      for (const state of states) expect(await idsOf(rig, state)).toEqual([state]);
      const { jobs } = await rig.storage.list({ queue: QUEUE, state: "failed", limit: 1 });
      const { record } = await rig.job("failed");
      expect(jobs).toEqual([
        {
          ...key("failed"),
          state: "failed",
          version: record.version,
          attempt: 1,
          maxAttempts: 3,
          priority: 0,
          createTime: record.createTime,
          startTime: record.startTime,
          endTime: record.endTime,
          workerId: "",
          cancelRequested: false,
          failureKind: "handler",
        },
      ]);
      expect((await rig.storage.list({ queue: QUEUE, state: "running", limit: 1 })).jobs).toMatchObject([
        { workerId: "w1" },
      ]);
    });

    test("newest first: by end, not by how long they are kept", async () => {
      for (const [id, resultTtlMs] of [["a", 3 * TTL] as const, ["b", TTL] as const, ["c", 2 * TTL] as const]) {
        await rig.bring(id, "cancelled", { resultTtlMs });
        await rig.advance(SECOND);
      }
      expect(await idsOf(rig, "cancelled", 2)).toEqual(["c", "b", "a"]);
      await rig.storage.setResultTtl(key("a"), 9 * TTL);
      expect(await idsOf(rig, "cancelled", 2)).toEqual(["c", "b", "a"]);
    });

    test("the line from its end, the scheduled by their time", async () => {
      for (const [id, priority] of [["a", 5] as const, ["b", 0] as const, ["c", -5] as const, ["d", 5] as const]) {
        await rig.enqueue(id, { priority });
        await rig.enqueue(`later ${id}`, { delayMs: (100 + priority) * SECOND });
      }
      for (const limit of [1, 3]) {
        expect(await idsOf(rig, "queued", limit)).toEqual(["c", "b", "d", "a"]);
        expect((await idsOf(rig, "scheduled", limit)).slice(2)).toEqual(["later b", "later c"]);
      }
    });

    test.each(["queued", "scheduled", "cancelled"] as const)(
      "%s: pages hold everything once, also equals",
      async (state) => {
        const ids = Array.from({ length: 25 }, (_, i) => `é ${i}`);
        await Promise.all(ids.map((id) => rig.bring(id, state)));
        for (const limit of [1, 7, 25, 100]) {
          const listed = await idsOf(rig, state, limit);
          expect(listed).toHaveLength(25);
          expect([...listed].sort()).toEqual([...ids].sort());
        }
      },
    );

    test("goes on where it was, whatever comes and goes", async () => {
      for (const id of ["a", "b", "c", "d", "e"]) await rig.bring(id, "cancelled");
      const first = await rig.storage.list({ queue: QUEUE, state: "cancelled", limit: 2 });
      const seen = first.jobs.map(({ jobId }) => jobId);
      for (const id of seen) await rig.storage.retry(key(id), { hungryHere: true });
      await rig.advance(SECOND);
      await rig.bring("new", "cancelled");
      const rest = await rig.storage.list({ queue: QUEUE, state: "cancelled", limit: 9, cursor: first.next! });
      expect([...seen, ...rest.jobs.map(({ jobId }) => jobId)].sort()).toEqual(["a", "b", "c", "d", "e"]);
      expect(rest.next).toBeUndefined();
    });

    test("leaves out what is over, and takes a strange cursor for none", async () => {
      await rig.bring("short", "cancelled", { resultTtlMs: 10 * SECOND });
      await rig.bring("long", "cancelled");
      await rig.advance(10 * SECOND);
      expect(await idsOf(rig, "cancelled")).toEqual(["long"]);
      expect((await rig.storage.list({ queue: QUEUE, state: "cancelled", limit: 9, cursor: "?" })).jobs).toHaveLength(
        1,
      );
    });
  });

  describe("pause", () => {
    test("holds the line and nothing else", async () => {
      await rig.enqueue("running");
      const job = await rig.claimOne();
      await rig.storage.pause(QUEUE, true);
      await rig.storage.pause(QUEUE, true);
      await rig.enqueue("a");
      await rig.enqueue("late", { delayMs: 10 * SECOND });
      expect(await rig.claim()).toEqual({ jobs: [], changed: [], paused: true });
      await rig.advance(10 * SECOND);
      expect(await rig.tick()).toMatchObject({ queued: 2 });
      expect((await rig.settled(job, failed(), { jitter: 0 })).status.state).toBe("queued");
      expect(await rig.storage.count(QUEUE)).toMatchObject({ paused: true, jobs: { queued: 3 } });
      await rig.storage.pause(QUEUE, false);
      await rig.storage.pause(QUEUE, false);
      const { jobs, paused } = await rig.claim();
      expect([jobs.map(({ jobId }) => jobId), paused]).toEqual([["running", "a", "late"], undefined]);
    });

    test("a repeated claim still answers what it got", async () => {
      await rig.enqueue("a");
      const request = rig.claimOf();
      await rig.storage.claim(request);
      await rig.storage.pause(QUEUE, true);
      expect((await rig.storage.claim(request)).jobs).toMatchObject([{ jobId: "a" }]);
    });

    test("leases end, and timeouts too", async () => {
      await rig.enqueue("a", { runTimeoutMs: 10 * SECOND, maxAttempts: 1 });
      await rig.claimOne();
      await rig.enqueue("b", { startTimeoutMs: LEASE });
      await rig.storage.pause(QUEUE, true);
      await rig.advance(LEASE);
      const { changed, paused } = await rig.claim();
      expect(paused).toBe(true);
      expect(changed.map(({ status }) => status.state)).toEqual(["failed", "failed"]);
    });

    test("survives a restart and an empty queue; one that never was can be paused", async () => {
      await rig.storage.pause(QUEUE, true);
      await rig.tick();
      await rig.opened.reopen?.();
      expect((await rig.storage.queues()).queues).toEqual([QUEUE]);
      expect(await rig.storage.count(QUEUE)).toEqual({ jobs: none, bytes: 0, paused: true });
      await rig.enqueue("a");
      expect((await rig.claim()).jobs).toEqual([]);
      expect((await rig.storage.count("other")).paused).toBe(false);
    });
  });

  describe("announce", () => {
    const worker = {
      ...{
        workerId: "w{1}",
        sessionId: "",
        queues: ["q", "__proto__"],
        window: 4,
        outstanding: 1,
        connectTime: 1_700_000_000_000,
      },
      ...{ clientInfo: "tüst/1", draining: true },
    };
    const attached = (workers: number): Attached => ({
      workers,
      byQueue: new Map([
        ["q", workers],
        ["__proto__", 1],
      ]),
      listed: [worker],
    });

    test("what was said last is read, whole", async () => {
      expect(await rig.storage.announced()).toEqual(new Map());
      await rig.storage.announce(attached(1), 7 * SECOND);
      await rig.storage.announce(attached(2), 7 * SECOND);
      expect(await rig.storage.announced()).toEqual(new Map([["b1", attached(2)]]));
    });

    test("it is over by itself, also for the next who says something", async () => {
      await rig.storage.announce(attached(1), 7 * SECOND);
      await rig.advance(6 * SECOND);
      expect([...(await rig.storage.announced()).keys()]).toEqual(["b1"]);
      await rig.advance(SECOND);
      expect(await rig.storage.announced()).toEqual(new Map());
      await rig.storage.announce(attached(3), 7 * SECOND);
      expect((await rig.storage.announced()).get("b1")?.workers).toBe(3);
    });
  });

  describe("onlyIn", () => {
    test("cancel leaves a job that has moved on", async () => {
      await rig.enqueue("a");
      await rig.claimOne();
      expect(await rig.storage.cancel(key("a"), { onlyIn: "queued" })).toEqual({ kind: "other_state" });
      expect((await rig.record("a")).cancelRequested).toBe(false);
      expect(await rig.storage.cancel(key("a"), { onlyIn: "running" })).toMatchObject({ kind: "ok" });
      expect(await rig.storage.cancel(key("none"), { onlyIn: "running" })).toEqual({ kind: "not_found" });
    });

    test("retry leaves a job that has moved on", async () => {
      await rig.bring("a", "failed");
      const request = { hungryHere: true, onlyIn: "failed" as const };
      expect(await rig.storage.retry(key("a"), request)).toMatchObject({ kind: "ok", status: { state: "queued" } });
      expect(await rig.storage.retry(key("a"), request)).toEqual({ kind: "other_state" });
      await rig.settled(await rig.claimOne(), completed());
      expect(await rig.storage.retry(key("a"), request)).toEqual({ kind: "other_state" });
    });
  });
});
