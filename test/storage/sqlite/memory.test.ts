/** What the process remembers beside the file goes back with the transaction that it belongs to. */
import { expect, test } from "vitest";
import { cancel, claim, complete, create } from "../../../server/job/lifecycle.ts";
import { Memory, noJobs } from "../../../server/storage/sqlite/memory.ts";
import { QUEUE, specOf } from "../specs.ts";

const queued = create(specOf("a"), "", "", 1, 1_000);
const cancelled = cancel(queued, 2_000);

test("a rollback undoes counts and claims, newest first", () => {
  const memory = new Memory(0, new Map());
  memory.counted(undefined, queued, 10);
  memory.setLane(QUEUE, "l1", { claimId: 1, jobs: [] });
  memory.committed();

  memory.counted(queued, cancelled, 10);
  memory.counted(cancelled, undefined, 10);
  memory.setLane(QUEUE, "l1", { claimId: 2, jobs: [] });
  memory.setLane(QUEUE, "l2", { claimId: 1, jobs: [] });
  memory.rolledBack();
  expect(memory.counts(QUEUE)).toEqual({ jobs: { ...noJobs, queued: 1 }, bytes: 10 });
  expect(memory.lane(QUEUE, "l1")).toEqual({ claimId: 1, jobs: [] });
  expect(memory.lane(QUEUE, "l2")).toBeUndefined();
});

test("what was committed stays", () => {
  const memory = new Memory(0, new Map());
  memory.counted(undefined, queued, 10);
  memory.committed();
  memory.rolledBack();
  expect(memory.counts(QUEUE)).toEqual({ jobs: { ...noJobs, queued: 1 }, bytes: 10 });
});

test("a running job is remembered until it runs no more, or what was written may be undone", () => {
  const memory = new Memory(0, new Map());
  const terms = { leaseToken: "t", leaseMs: 1_000, owner: "b.1", workerId: "w" };
  const kept = { id: 1, job: claim(queued, terms, 2_000), bytes: 10 };

  memory.wrote({ ...kept, job: queued });
  expect(memory.running(queued)).toBeUndefined();
  memory.wrote(kept);
  expect(memory.running(queued)).toBe(kept);
  memory.wrote({ ...kept, job: complete(kept.job, 3_000) });
  expect(memory.running(queued)).toBeUndefined();

  memory.wrote(kept);
  memory.wrote(kept, true);
  expect(memory.running(queued)).toBeUndefined();

  memory.wrote(kept);
  memory.rolledBack();
  expect(memory.running(queued)).toBeUndefined();
});
