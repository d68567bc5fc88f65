/** Verbs that also claim: each does what the two would do one after the other, in one step, and may run twice. */
import { expect, test } from "vitest";
import type { ClaimAtOnce } from "../../../server/storage/storage.ts";
import { completed, failed, LEASE, onEveryBackend, payload, QUEUE, SECOND, specOf, unique } from "./rig.ts";

const atOnce = (): ClaimAtOnce => ({ lane: "l1", workerId: "w1", leaseToken: unique(), leaseMs: LEASE });

onEveryBackend("an enqueue that claims", (rig) => {
  test("leases the job that it makes, and answers it as it was before", async () => {
    const claim = atOnce();
    const fields = { method: "/s/m", headers: { h: "1" }, payload: payload("data"), runTimeoutMs: 20 * SECOND };
    const { status, claimed, disposition } = await rig.enqueue("a", fields, { claim });
    expect({ disposition, state: status.state, attempt: status.attempt }).toEqual({
      disposition: "created",
      state: "queued",
      attempt: 0,
    });
    expect(claimed).toMatchObject({
      queue: QUEUE,
      jobId: "a",
      method: "/s/m",
      headers: { h: "1" },
      attempt: 1,
      tell: [],
    });
    expect(Buffer.from(claimed!.payload.data).toString()).toBe("data");
    expect(claimed!.status).toMatchObject({ state: "running", attempt: 1, cancelRequested: false });
    expect(claimed!.status.version).toBeGreaterThan(status.version);
    expect(claimed!.runTimeoutLeftMs).toBeGreaterThan(0);
    expect(await rig.claimIds()).toEqual([]);
    const settled = await rig.settled(claimed!, completed("done"));
    expect(settled.status.state).toBe("succeeded");
  });

  test("is as a claim right after: record by record", async () => {
    const claim = atOnce();
    await rig.enqueue("fused", { priority: 3 }, { claim, listen: "waiters" });
    await rig.enqueue("apart", { priority: 3 }, { listen: "waiters" });
    await rig.claimOne({ lane: "l1", workerId: "w1" });
    const [fused, apart] = [await rig.record("fused"), await rig.record("apart")];
    // What cannot be the same: names, clocks, chance.
    const own = [
      "jobId",
      "seq",
      "version",
      "createTime",
      "startTime",
      "fence",
      "leaseToken",
      "leaseUntil",
      "requestId",
      "digest",
    ];
    for (const [field, value] of Object.entries(fused)) {
      if (!own.includes(field)) expect(value, field).toEqual(apart[field as keyof typeof apart]);
    }
  });

  test("a repeat answers the same lease; another request for it does not", async () => {
    const claim = atOnce();
    const request = { spec: specOf("a"), requestId: unique(), hungryHere: false, claim };
    const first = await rig.storage.enqueue(request);
    const second = await rig.storage.enqueue(request);
    expect(first.kind === "accepted" && first.claimed?.fence).toBeGreaterThan(0);
    expect(second.kind === "accepted" && second.claimed).toEqual(first.kind === "accepted" && first.claimed);
    const other = await rig.storage.enqueue({ ...request, claim: atOnce() });
    expect(other.kind === "accepted" && other.claimed).toBeFalsy();
  });

  test("a repeat after the lease is gone answers none", async () => {
    const claim = atOnce();
    const request = { spec: specOf("a"), requestId: unique(), hungryHere: false, claim };
    const answer = await rig.storage.enqueue(request);
    if (answer.kind !== "accepted") throw new Error(answer.kind);
    await rig.settled(answer.claimed!, { kind: "released" });
    const again = await rig.storage.enqueue(request);
    expect(again.kind === "accepted" && again.claimed).toBeFalsy();
  });

  test("leaves it in line behind others, where it is delayed, and where the queue is paused", async () => {
    await rig.enqueue("ahead");
    expect((await rig.enqueue("behind", { priority: 5 }, { claim: atOnce() })).claimed).toBeUndefined();
    expect(await rig.claimIds()).toEqual(["behind", "ahead"]);
    expect((await rig.enqueue("later", { delayMs: 100 * SECOND }, { claim: atOnce() })).claimed).toBeUndefined();
    await rig.storage.pause(QUEUE, true);
    expect((await rig.enqueue("held", {}, { claim: atOnce() })).claimed).toBeUndefined();
    expect((await rig.record("held")).state).toBe("queued");
  });

  test("leaves it in line behind one that came in the same turn", async () => {
    await rig.enqueue("of before");
    await rig.claimOne();
    const answers = await Promise.all([
      rig.enqueue("a", {}, { claim: atOnce() }),
      rig.enqueue("b"),
      rig.enqueue("c", {}, { claim: atOnce() }),
    ]);
    expect(answers.map(({ claimed }) => claimed?.jobId)).toEqual(["a", undefined, undefined]);
    expect(await rig.claimIds()).toEqual(["b", "c"]);
  });

  test("joins without a lease, and leases a new run of an id", async () => {
    const { claimed } = await rig.enqueue("a", {}, { claim: atOnce() });
    expect((await rig.enqueue("a", {}, { claim: atOnce() })).claimed).toBeUndefined();
    await rig.settled(claimed!, failed({ retryable: false }));
    expect((await rig.enqueue("a", {}, { claim: atOnce() })).claimed).toBeUndefined();
    const rerun = await rig.enqueue("a", { onDuplicate: "rerun_if_failed" }, { claim: atOnce() });
    expect(rerun.claimed).toMatchObject({ jobId: "a", attempt: 1 });
    expect(rerun.claimed!.fence).toBeGreaterThan(claimed!.fence);
  });

  test("its lease runs out like any other", async () => {
    await rig.enqueue("a", {}, { claim: atOnce() });
    await rig.advance(LEASE + SECOND);
    await rig.tick();
    expect(await rig.claimIds()).toEqual(["a"]);
  });
});

onEveryBackend("a settlement that claims", (rig) => {
  test("gets the next in line", async () => {
    for (const id of ["a", "b", "c"]) await rig.enqueue(id, { payload: payload(id) });
    const a = await rig.claimOne();
    const { status, claimed } = await rig.settled(a, completed("done"), { claim: rig.claimOf({ max: 1 }) });
    expect(status.state).toBe("succeeded");
    expect(claimed!.jobs.map(({ jobId }) => jobId)).toEqual(["b"]);
    expect(Buffer.from(claimed!.jobs[0]!.payload.data).toString()).toBe("b");
    expect(await rig.claimIds()).toEqual(["c"]);
  });

  test("gets one that nobody else got in the same turn", async () => {
    for (const id of ["a", "b", "c", "d"]) await rig.enqueue(id);
    const leases = [await rig.claimOne({ lane: "l1" }), await rig.claimOne({ lane: "l2" })];
    const claims = ["l1", "l2"].map((lane) => rig.claimOf({ lane, max: 1 }));
    const answers = await Promise.all(leases.map((lease, i) => rig.settled(lease, completed(), { claim: claims[i]! })));
    expect(answers.map(({ claimed }) => claimed!.jobs.map(({ jobId }) => jobId))).toEqual([["c"], ["d"]]);
  });

  test("a repeat is a duplicate that answers the same jobs", async () => {
    for (const id of ["a", "b", "c"]) await rig.enqueue(id);
    const a = await rig.claimOne();
    const claim = rig.claimOf({ max: 1 });
    const first = await rig.settle(a, completed(), { claim });
    const second = await rig.settle(a, completed(), { claim });
    expect([first.kind, second.kind]).toEqual(["settled", "duplicate"]);
    expect(second.claimed!.jobs).toEqual(first.claimed!.jobs);
    expect(await rig.claimIds()).toEqual(["c"]);
  });

  test("may get back the very job that it releases, in its old place", async () => {
    await rig.enqueue("a");
    await rig.enqueue("b");
    const a = await rig.claimOne();
    const { claimed } = await rig.settled(a, { kind: "released" }, { claim: rig.claimOf({ max: 1 }) });
    expect(claimed!.jobs.map(({ jobId, attempt }) => [jobId, attempt])).toEqual([["a", 1]]);
  });

  test("claims whatever became of the attempt", async () => {
    await rig.enqueue("a");
    await rig.enqueue("b");
    const a = await rig.claimOne();
    const stranger = { ...a, leaseToken: unique() };
    const answer = await rig.settle(stranger, completed(), { claim: rig.claimOf({ max: 1 }) });
    expect(answer.kind).toBe("lost");
    expect(answer.claimed!.jobs.map(({ jobId }) => jobId)).toEqual(["b"]);
    const unknown = await rig.settle({ ...a, jobId: "nobody" }, completed(), { claim: rig.claimOf({ max: 1 }) });
    expect(unknown).toMatchObject({ kind: "lost", claimed: { jobs: [] } });
  });

  test("leaves what is due to claim and tick, and says of a paused queue that it is", async () => {
    await rig.enqueue("a");
    await rig.enqueue("due", { delayMs: 10 * SECOND });
    const a = await rig.claimOne();
    await rig.advance(11 * SECOND);
    const { claimed } = await rig.settled(a, completed(), { claim: rig.claimOf({ max: 1 }) });
    expect(claimed).toEqual({ jobs: [], changed: [] });
    const due = await rig.claimOne();
    expect(due.jobId).toBe("due");
    await rig.enqueue("held");
    await rig.storage.pause(QUEUE, true);
    const paused = await rig.settled(due, completed(), { claim: rig.claimOf({ max: 1 }) });
    expect(paused.claimed).toEqual({ jobs: [], changed: [], paused: true });
  });
});
