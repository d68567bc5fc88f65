/**
 * What this process remembers beside the file: it is the file's only user, so
 * nobody else can know better. Each change can be undone, because the
 * transaction that it belongs to can be.
 */
import type { JobState } from "../../job/job.ts";
import type { JobRecord } from "../../job/record.ts";

/** Streams whose last claim is remembered: the most recent ones. A claim is repeated within seconds. */
const MAX_LANES = 10_000;

/** How many jobs of a queue are in each state. */
export type Counts = Record<JobState, number>;

export const noJobs: Readonly<Counts> = {
  scheduled: 0,
  queued: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
};

/** The last claim of a stream on a queue. */
export interface LaneClaim {
  readonly claimId: number;
  readonly jobs: readonly { readonly jobId: string; readonly leaseToken: string }[];
}

export class Memory {
  readonly #lanes = new Map<string, LaneClaim>();
  readonly #counts: Map<string, Counts>;
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

  /** Jobs of the queue by state: counting them anew would cost its whole indexes. */
  counts(queue: string): Readonly<Counts> {
    return this.#counts.get(queue) ?? noJobs;
  }

  /** A job came to be, changed or went. */
  counted(before: JobRecord | undefined, after: JobRecord | undefined): void {
    if (before?.state === after?.state) return;
    const { queue } = (after ?? before) as JobRecord;
    this.#count(queue, before?.state, after?.state);
    this.#undo.push(() => this.#count(queue, after?.state, before?.state));
  }

  #count(queue: string, from: JobState | undefined, to: JobState | undefined): void {
    const counts = this.#counts.get(queue) ?? { ...noJobs };
    if (from) counts[from]--;
    if (to) counts[to]++;
    if (Object.values(counts).some((count) => count > 0)) this.#counts.set(queue, counts);
    else this.#counts.delete(queue);
  }

  committed(): void {
    this.#undo = [];
    for (const key of this.#lanes.keys()) {
      if (this.#lanes.size <= MAX_LANES) break;
      this.#lanes.delete(key);
    }
  }

  rolledBack(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }
}
