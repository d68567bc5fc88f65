/**
 * What this process remembers beside the file: it is the file's only user, so
 * nobody else can know better. Each change can be undone, because the
 * transaction that it belongs to can be.
 */
import { Table } from "../../../protocol/table.ts";
import { isTerminal, type JobKey, type JobState, type Unfinished } from "../../job/job.ts";
import type { JobRecord } from "../../job/record.ts";
import type { Kept } from "./rows.ts";

/** Streams whose last claim is remembered: the most recent ones. A claim is repeated within seconds. */
const MAX_LANES = 10_000;

/** Running jobs that are remembered: as many as workers hold where there are many of them. */
const MAX_RUNNING = 10_000;

/** What a queue has. */
export interface Counts {
  /** How many jobs are in each state. */
  jobs: Record<JobState, number>;
  /** Unfinished.bytes. */
  bytes: number;
}

export const noJobs: Readonly<Counts["jobs"]> = {
  scheduled: 0,
  queued: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
};
export const nothing: Readonly<Counts> = { jobs: noJobs, bytes: 0 };

/** The last claim of a stream on a queue. */
export interface LaneClaim {
  readonly claimId: number;
  readonly jobs: readonly { readonly jobId: string; readonly leaseToken: string }[];
}

export class Memory {
  readonly #lanes = new Map<string, LaneClaim>();
  readonly #counts: Map<string, Counts>;
  /** As they are in the file, by key: each is looked for again when its attempt ends, soon. */
  readonly #running = new Table<string, Kept>();
  #seq: number;
  #undo: (() => void)[] = [];

  /** @param seq the highest place in line given out · `counts` the jobs of each queue */
  constructor(seq: number, counts: Map<string, Counts>) {
    this.#seq = seq;
    this.#counts = counts;
  }

  /** The next place in line. Not undone: a gap does no harm. */
  nextSeq(): number {
    return ++this.#seq;
  }

  lane(queue: string, lane: string): LaneClaim | undefined {
    return this.#lanes.get(`${lane} ${queue}`);
  }

  setLane(queue: string, lane: string, claim: LaneClaim): void {
    const key = `${lane} ${queue}`;
    const before = this.#lanes.get(key);
    // Set anew, so that the map's order is the order of use.
    this.#lanes.delete(key);
    this.#lanes.set(key, claim);
    this.#undo.push(() => {
      this.#lanes.delete(key);
      if (before) this.#lanes.set(key, before);
    });
  }

  /** Counting the jobs anew would cost the queue's whole indexes. */
  counts(queue: string): Readonly<Counts> {
    return this.#counts.get(queue) ?? nothing;
  }

  unfinished(queue: string): Unfinished {
    const { jobs, bytes } = this.counts(queue);
    return { length: jobs.scheduled + jobs.queued + jobs.running, bytes };
  }

  /** A job of this many bytes came to be, changed or went. */
  counted(before: JobRecord | undefined, after: JobRecord | undefined, bytes: number): void {
    if (before?.state === after?.state) return;
    const { queue } = (after ?? before) as JobRecord;
    this.#count(queue, before?.state, after?.state, bytes);
    this.#undo.push(() => this.#count(queue, after?.state, before?.state, bytes));
  }

  #count(queue: string, from: JobState | undefined, to: JobState | undefined, bytes: number): void {
    const counts = this.#counts.get(queue) ?? { jobs: { ...noJobs }, bytes: 0 };
    if (from) counts.jobs[from]--;
    if (to) counts.jobs[to]++;
    if (from && !isTerminal(from)) counts.bytes -= bytes;
    if (to && !isTerminal(to)) counts.bytes += bytes;
    if (Object.values(counts.jobs).some((count) => count > 0)) this.#counts.set(queue, counts);
    else this.#counts.delete(queue);
  }

  running(key: JobKey): Kept | undefined {
    return this.#running.get(keyOf(key));
  }

  /** It was written to the file, or removed from it. */
  wrote(kept: Kept, removed = false): void {
    const key = keyOf(kept.job);
    if (kept.job.state !== "running" || removed) this.#running.delete(key);
    else if (this.#running.size < MAX_RUNNING || this.#running.has(key)) this.#running.set(key, kept);
  }

  committed(): void {
    this.#undo = [];
    for (const key of this.#lanes.keys()) {
      if (this.#lanes.size <= MAX_LANES) break;
      this.#lanes.delete(key);
    }
  }

  rolledBack(): void {
    this.#running.clear();
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }
}

function keyOf({ queue, jobId }: JobKey): string {
  return `${queue} ${jobId}`;
}
