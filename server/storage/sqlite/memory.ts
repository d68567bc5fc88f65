/**
 * What this process remembers beside the file: it is the file's only user, so
 * nobody else can know better. Each change can be undone, because the
 * transaction that it belongs to can be.
 */
import type { JobRecord } from "../../job/record.ts";

/** Streams whose last claim is remembered: the most recent ones. A claim is repeated within seconds. */
const MAX_LANES = 10_000;

/** The last claim of a stream on a queue. */
export interface LaneClaim {
  readonly claimId: number;
  readonly jobs: readonly { readonly jobId: string; readonly leaseToken: string }[];
}

export class Memory {
  readonly #lanes = new Map<string, LaneClaim>();
  readonly #queued: Map<string, number>;
  #seq: number;
  #undo: (() => void)[] = [];

  /** @param seq the highest place in line given out · `queued` how many jobs of each queue are QUEUED */
  constructor(seq: number, queued: Map<string, number>) {
    this.#seq = seq;
    this.#queued = queued;
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

  /** Jobs of the queue that are QUEUED: counting them anew would cost the whole index. */
  queued(queue: string): number {
    return this.#queued.get(queue) ?? 0;
  }

  /** A job came to be, changed or went. */
  counted(before: JobRecord | undefined, after: JobRecord | undefined): void {
    const change = Number(after?.state === "queued") - Number(before?.state === "queued");
    if (change === 0) return;
    const { queue } = (after ?? before) as JobRecord;
    this.#count(queue, change);
    this.#undo.push(() => this.#count(queue, -change));
  }

  #count(queue: string, change: number): void {
    const count = this.queued(queue) + change;
    if (count === 0) this.#queued.delete(queue);
    else this.#queued.set(queue, count);
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
