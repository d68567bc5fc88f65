/** Limits of a queue: what is refused and what never is; nothing is stored where something is refused. */
import { describe, expect, test } from "vitest";
import { unlimited } from "../../../server/job/job.ts";
import { bytesOf } from "../../../server/storage/blob.ts";
import { completed, failed, key, LEASE, onEveryBackend, payload, QUEUE, SECOND, specOf, unique } from "./rig.ts";

const atMost = (maxLength: number) => ({ limits: { ...unlimited, maxLength } });
const bytes = (maxBytes: number) => ({ limits: { ...unlimited, maxBytes } });
const fullOfJobs = { kind: "queue_full", limit: "max_length" };
const fullOfBytes = { kind: "queue_full", limit: "max_bytes" };
/** What any job of these tests counts for. */
const ONE = bytesOf(specOf("a"));

onEveryBackend("limits of a queue", (rig, backend) => {
  describe("max_length", () => {
    for (const state of ["scheduled", "queued", "running"] as const) {
      test(`${state} jobs count; a refusal stores nothing`, async () => {
        await rig.bring("a", state);
        await rig.bring("b", state === "running" ? "queued" : state);
        const before = await rig.inspect();
        expect(await rig.tryEnqueue("c", {}, atMost(2))).toEqual(fullOfJobs);
        expect(await rig.tryEnqueue("c", { delayMs: 100 * SECOND }, atMost(2))).toEqual(fullOfJobs);
        expect(await rig.inspect()).toEqual(before);
        expect(await rig.enqueue("c", {}, atMost(3))).toMatchObject({ disposition: "created" });
      });
    }

    for (const state of ["succeeded", "failed", "cancelled"] as const) {
      test(`${state} jobs do not count, until they run again`, async () => {
        await rig.bring("a", state);
        await rig.bring("b", "queued");
        expect(await rig.enqueue("c", {}, atMost(2))).toMatchObject({ disposition: "created" });
        const before = await rig.inspect();
        const again = await rig.tryEnqueue("a", { onDuplicate: "rerun_if_finished" }, atMost(2));
        expect(again).toEqual(fullOfJobs);
        expect(await rig.inspect()).toEqual(before);
      });
    }

    test("joins and kept outcomes are always answered", async () => {
      await rig.bring("done", "succeeded");
      const requestId = unique();
      await rig.enqueue("a", {}, { requestId });
      expect(await rig.enqueue("a", {}, atMost(1))).toMatchObject({ disposition: "joined" });
      expect(await rig.enqueue("a", {}, { requestId, ...atMost(1) })).toMatchObject({ disposition: "created" });
      expect(await rig.enqueue("done", {}, atMost(1))).toMatchObject({ disposition: "cached" });
      expect(await rig.tryEnqueue("a", { onDuplicate: "reject" }, atMost(1))).toMatchObject({ kind: "exists" });
    });

    test("of enqueues at one time, as many as fit are accepted", async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => rig.tryEnqueue(`j${i}`, {}, atMost(7))));
      expect(answers.filter(({ kind }) => kind === "accepted")).toHaveLength(7);
      expect((await rig.inspect()).jobs).toHaveLength(7);
    });

    test("the limit of another queue, and another limit of this one, do not matter", async () => {
      await rig.enqueue("a", { queue: "other" });
      expect(await rig.enqueue("a", {}, atMost(1))).toMatchObject({ disposition: "created" });
      expect(await rig.tryEnqueue("b", {}, atMost(1))).toEqual(fullOfJobs);
      expect(await rig.enqueue("b")).toMatchObject({ disposition: "created" });
    });
  });

  test("what goes back in line is never refused, and leaves no room", async () => {
    for (const id of ["a", "b", "c"]) await rig.enqueue(id, { maxAttempts: 5 }, atMost(3));
    const [a, b, c] = (await rig.claim({ max: 3 })).jobs;
    await rig.settled(a!, failed({ retryAfterMs: 0 }));
    await rig.settled(b!, { kind: "released" });
    await rig.advance(LEASE + SECOND);
    await rig.tick();
    expect((await rig.inspect()).indexes.queued.sort()).toEqual([a, b, c].map((job) => job!.jobId));
    expect(await rig.tryEnqueue("d", {}, atMost(3))).toEqual(fullOfJobs);
  });

  test("RetryJob is never refused, and counts", async () => {
    await rig.bring("a", "failed");
    await rig.enqueue("b", {}, atMost(1));
    expect(await rig.storage.retry(key("a"), { hungryHere: false })).toMatchObject({ kind: "ok" });
    expect(await rig.storage.count(QUEUE)).toMatchObject({ jobs: { queued: 2 }, bytes: 2 * ONE });
  });

  describe("max_bytes", () => {
    test("payload, types, method, headers and labels count", async () => {
      const fields = {
        payload: payload("x".repeat(1_000), "text/plain", "acme.v1.X"),
        method: "/acme.v1.X/Do",
        headers: { h: "1".repeat(100) },
        labels: { l: "2".repeat(100) },
      };
      await rig.enqueue("a", fields);
      const { bytes: held } = await rig.storage.count(QUEUE);
      expect(held).toBe(bytesOf(specOf("a", fields)));
      expect(held).toBeGreaterThan(1_200);
      expect(held).toBeLessThan(1_300);
    });

    test("exactly as many bytes as it may have, and not one more", async () => {
      await rig.enqueue("a", {}, bytes(2 * ONE));
      const before = await rig.inspect();
      expect(await rig.tryEnqueue("b", {}, bytes(2 * ONE - 1))).toEqual(fullOfBytes);
      expect(await rig.inspect()).toEqual(before);
      expect(await rig.enqueue("b", {}, bytes(2 * ONE))).toMatchObject({ disposition: "created" });
      expect(await rig.storage.count(QUEUE)).toMatchObject({ bytes: 2 * ONE });
    });

    const ends: [string, (id: string) => Promise<unknown>][] = [
      ["success", async () => rig.settled(await rig.claimOne(), completed("x".repeat(5_000)))],
      ["failure", async () => rig.settled(await rig.claimOne(), failed({ retryable: false }))],
      ["cancellation", (id) => rig.storage.cancel(key(id))],
      ["a start that is too late", () => rig.advance(11 * SECOND).then(() => rig.tick())],
    ];
    for (const [title, end] of ends) {
      test(`room again after ${title}; a rerun takes it anew, by its new payload`, async () => {
        const first = { startTimeoutMs: 10 * SECOND, headers: { h: "1" } };
        await rig.enqueue("a", first);
        expect(await rig.storage.count(QUEUE)).toMatchObject({ bytes: bytesOf(specOf("a", first)) });
        await end("a");
        expect(await rig.storage.count(QUEUE)).toMatchObject({ bytes: 0 });
        const rerun = { payload: payload("y".repeat(3_000)), onDuplicate: "rerun_if_finished" as const };
        expect(await rig.tryEnqueue("a", rerun, bytes(3_000))).toEqual(fullOfBytes);
        await rig.enqueue("a", rerun, bytes(4_000));
        expect(await rig.storage.count(QUEUE)).toMatchObject({ bytes: bytesOf(specOf("a", rerun)) });
      });
    }

    test("a repeated enqueue or settlement counts once", async () => {
      const requestId = unique();
      for (let i = 0; i < 3; i++) await rig.enqueue("a", {}, { requestId });
      await rig.enqueue("b");
      expect(await rig.storage.count(QUEUE)).toMatchObject({ bytes: 2 * ONE });
      const job = await rig.claimOne();
      for (let i = 0; i < 3; i++) await rig.settle(job, completed());
      expect(await rig.storage.count(QUEUE)).toMatchObject({ bytes: ONE });
    });

    // Servers count as they go, and memory: has nothing to open again.
    test.runIf(backend.name === "sqlite")("what is kept is counted again when the file is opened", async () => {
      await rig.bring("r", "running");
      await rig.bring("f", "failed");
      await rig.bring("q", "queued");
      await rig.bring("s", "scheduled");
      const before = await rig.storage.count(QUEUE);
      expect(before.bytes).toBe(3 * ONE);
      await rig.opened.reopen!();
      expect(await rig.storage.count(QUEUE)).toMatchObject({ bytes: before.bytes, jobs: before.jobs });
    });
  });
});
