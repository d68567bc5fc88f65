/** Several brokers on one storage: who is woken, who is told, and that hints arrive. Only where a storage takes more than one. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Hint, Storage } from "../../../server/storage/storage.ts";
import { backends } from "../../support/storages.ts";
import { completed, failed, key, LEASE, Rig, SECOND, specOf, unique } from "./rig.ts";

const shared = new Set(["redis", "redis-cluster"]);

for (const backend of backends.filter(({ name }) => shared.has(name))) {
  const reason = backend.unavailable;
  describe.skipIf(reason !== undefined)(`brokers on ${backend.name}${reason ? ` (skipped: ${reason})` : ""}`, () => {
    const rig = new Rig(backend);
    let b2: Storage;
    let b3: Storage;

    beforeEach(async () => {
      await rig.open();
      b2 = await rig.opened.peer!("b2");
      b3 = await rig.opened.peer!("b3");
      return () => rig.close();
    });

    const enqueue = (storage: Storage, jobId: string, hungryHere = false) =>
      storage.enqueue({ spec: specOf(jobId), requestId: unique(), hungryHere });

    test("L-PG4: a broker that found nothing is woken by the next job, once, and nobody else is", async () => {
      expect((await b2.claim(rig.claimOf())).jobs).toEqual([]);
      expect(await enqueue(rig.storage, "a")).toMatchObject({ wake: ["b2"] });
    });

    test("nobody is woken where the job finds room, nor the broker itself", async () => {
      await b2.claim(rig.claimOf());
      expect(await enqueue(rig.storage, "a", true)).toMatchObject({ wake: [] });
      await rig.claim({ lane: "l1" });
      await rig.claim({ lane: "l2" });
      expect(await enqueue(b2, "b", true)).toMatchObject({ wake: [] });
    });

    test("a job that comes back wakes one", async () => {
      await enqueue(rig.storage, "a");
      const job = await rig.claimOne();
      await b2.claim(rig.claimOf());
      const answer = await rig.settled(job, { kind: "released" });
      expect(answer.wake).toEqual(["b2"]);
    });

    test("waiters are told of the end, watchers of every change, the broker itself of nothing", async () => {
      const spec = specOf("a");
      await rig.storage.enqueue({ spec, requestId: unique(), listen: "waiters", hungryHere: true });
      await b2.read(key("a"), "waiters");
      await b3.read(key("a"), "watchers");
      const job = await rig.claimOne();
      expect(job.tell).toEqual(["b3"]);
      const report = await rig.storage.progress({ ...job, progress: { current: 1, total: 2, message: "" } });
      expect(report).toMatchObject({ tell: ["b3"] });
      expect((await rig.settled(job, failed(), { jitter: 0 })).tell).toEqual(["b3"]);
      const again = await rig.claimOne();
      expect((await rig.settled(again, completed())).tell.sort()).toEqual(["b2", "b3"]);
      const rerun = await rig.enqueue("a", { onDuplicate: "rerun_if_finished" });
      expect(rerun.tell.sort()).toEqual(["b2", "b3"]);
      expect(await b3.cancel(key("a"))).toMatchObject({ tell: expect.arrayContaining(["b1", "b2"]) });
    });

    test("a tick tells of what it changed", async () => {
      await rig.enqueue("a");
      await b2.read(key("a"), "watchers");
      await rig.claimOne();
      await rig.advance(LEASE);
      expect((await rig.tick()).changed).toMatchObject([{ status: { state: "queued" }, tell: ["b2"] }]);
    });

    test("leases move between brokers", async () => {
      await rig.enqueue("a");
      const job = await rig.claimOne({ lane: "l1" });
      await rig.storage.extend({ queue: "q", items: [job], mode: "shorten", lane: "l1", leaseMs: 5 * SECOND });
      const adopt = { queue: "q", items: [job], mode: "adopt" as const, lane: "l9", leaseMs: LEASE };
      expect(await b2.extend(adopt)).toMatchObject([{ kind: "ok", previousOwner: "b1.l1" }]);
      expect(await rig.storage.cancel(key("a"))).toMatchObject({ owner: "b2.l9", leaseToken: job.leaseToken });
      const { leaseToken } = job;
      const request = { ...key("a"), leaseToken, outcome: completed(), jitter: 0, hungryHere: true };
      expect(await b3.settle(request)).toMatchObject({ kind: "settled", status: { state: "succeeded" } });
      expect(await rig.settle(job, completed())).toMatchObject({ kind: "duplicate" });
    });

    test("the same lane name on two brokers: two records", async () => {
      await rig.enqueue("a");
      await rig.enqueue("b");
      const one = rig.claimOf({ max: 1, claimId: 1, lane: "l1" });
      const two = rig.claimOf({ max: 1, claimId: 1, lane: "l1" });
      const ids = async (storage: Storage, request: typeof one) =>
        (await storage.claim(request)).jobs.map(({ jobId }) => jobId);
      expect([await ids(rig.storage, one), await ids(b2, two)]).toEqual([["a"], ["b"]]);
      expect([await ids(rig.storage, one), await ids(b2, two)]).toEqual([["a"], ["b"]]);
    });

    test("grace that one asked for holds for all", async () => {
      await rig.enqueue("a");
      await rig.claimOne();
      await rig.advance(LEASE);
      await b2.tick({ queue: "q", jitter: 0, hungryHere: true, graceMs: 10 * SECOND });
      expect((await b3.claim(rig.claimOf())).jobs).toEqual([]);
      await rig.advance(10 * SECOND);
      expect((await b3.claim(rig.claimOf())).jobs).toHaveLength(1);
    });

    test("each says what is attached to it, all read it, and who says nothing any more is left out", async () => {
      const attached = (workers: number) => ({ workers, byQueue: new Map([["q", workers]]), listed: [] });
      await rig.storage.announce(attached(1), 7 * SECOND);
      await rig.advance(4 * SECOND);
      await b2.announce(attached(2), 7 * SECOND);
      const counts = async () => [...(await b3.announced())].map(([id, { workers }]) => [id, workers]).sort();
      expect(await counts()).toEqual([
        ["b1", 1],
        ["b2", 2],
      ]);
      await rig.advance(3 * SECOND);
      expect(await counts()).toEqual([["b2", 2]]);
    });

    test("hints arrive, whole", async () => {
      const status = (await rig.enqueue("a")).status;
      const hints: Hint[] = [
        { kind: "ready", queue: "q" },
        { kind: "changed", queue: "q", jobId: "a:{🙂}", version: 7 },
        { kind: "changed", queue: "q", jobId: "a", version: status.version, status },
        { kind: "cancel", queue: "q", jobId: "a", lane: "l1", leaseToken: Buffer.alloc(16, 255) },
        { kind: "superseded", lane: "l1" },
      ];
      const got: Hint[] = [];
      const all = Promise.withResolvers<void>();
      const stop = b2.onHint((hint) => {
        got.push(hint);
        if (got.length === hints.length) all.resolve();
      });
      for (const hint of hints) rig.storage.hint("b2", hint);
      await all.promise;
      expect(got.map(({ kind }) => kind).sort()).toEqual(hints.map(({ kind }) => kind).sort());
      for (const hint of hints) expect(got).toContainEqual(hint);
      stop();
    });
  });
}
