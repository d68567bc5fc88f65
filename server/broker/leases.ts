/** The leases that one stream holds: delivered, not settled. */
import type { Clock, Timer } from "../../protocol/clock.ts";
import { PROGRESS_INTERVAL_MS } from "../../protocol/limits.ts";
import { Table } from "../../protocol/table.ts";
import type { Progress } from "../job/job.ts";
import type { Claimed } from "../storage/storage.ts";
import type { LeaseRef } from "./frames.ts";
import type { AttemptSeen } from "./observer.ts";
import { keyOf } from "./waiters.ts";

export interface Lease extends LeaseRef, AttemptSeen {
  /** The frame it left in; 0: not sent, or adopted. */
  seq: bigint;
  /** The worker said that it has it. */
  received: boolean;
  /** It has the full lease: it was renewed, or adopted. */
  full: boolean;
  /** A settlement of it is under way. */
  settling: boolean;
}

interface Entry extends Lease {
  /** When progress was last stored. Monotonic milliseconds. */
  reportedAt: number;
  report: Progress | undefined;
  timer: Timer | undefined;
}

export class Leases {
  readonly #clock: Clock;
  /** By job: a newer lease of a job voids the one before. */
  readonly #byJob = new Table<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#byJob.size;
  }

  all(): Lease[] {
    return [...this.#byJob.values()];
  }

  has(ref: LeaseRef): boolean {
    return this.#find(ref) !== undefined;
  }

  find(ref: LeaseRef): Lease | undefined {
    return this.#find(ref);
  }

  /** Claimed for this stream. */
  add(job: Claimed): void {
    this.#put(job, seen(job), this.#clock.monotonic(), false);
  }

  /** Taken over from an earlier stream of the session, which had received it. */
  adopt(ref: LeaseRef): void {
    this.#put(ref, unseen, undefined, true);
  }

  /** It was renewed. */
  renewed(ref: LeaseRef): void {
    const entry = this.#find(ref);
    if (entry) entry.full = true;
  }

  drop(ref: LeaseRef): void {
    const key = keyOf(ref);
    const entry = this.#byJob.get(key);
    if (!entry || !sameToken(entry, ref)) return;
    entry.timer?.cancel();
    this.#byJob.delete(key);
  }

  sent(ref: LeaseRef, seq: bigint): void {
    const entry = this.#find(ref);
    if (entry) entry.seq = seq;
  }

  /** Everything up to this frame has arrived. */
  received(seq: bigint): void {
    for (const entry of this.#byJob.values()) if (entry.seq > 0n && entry.seq <= seq) entry.received = true;
  }

  /** Passes the newest report on, at most once per PROGRESS_INTERVAL_MS. False where the lease is not held. */
  report(ref: LeaseRef, progress: Progress, store: (progress: Progress) => void): boolean {
    const entry = this.#find(ref);
    if (!entry) return false;
    entry.report = progress;
    if (entry.timer) return true;
    const pass = () => {
      entry.timer = undefined;
      entry.reportedAt = this.#clock.monotonic();
      if (entry.report) store(entry.report);
      entry.report = undefined;
    };
    const waitMs = entry.reportedAt + PROGRESS_INTERVAL_MS - this.#clock.monotonic();
    if (waitMs <= 0) pass();
    else entry.timer = this.#clock.setTimer(pass, waitMs, { unref: true });
    return true;
  }

  #put({ queue, jobId, leaseToken }: LeaseRef, known: Known, since: number | undefined, received: boolean): void {
    const key = keyOf({ queue, jobId });
    this.#byJob.get(key)?.timer?.cancel();
    this.#byJob.set(key, {
      queue,
      jobId,
      leaseToken,
      attempt: known.attempt,
      traceparent: known.traceparent,
      since,
      seq: 0n,
      received,
      full: received,
      settling: false,
      reportedAt: Number.NEGATIVE_INFINITY,
      report: undefined,
      timer: undefined,
    });
  }

  #find(ref: LeaseRef): Entry | undefined {
    const entry = this.#byJob.get(keyOf(ref));
    return entry && sameToken(entry, ref) ? entry : undefined;
  }
}

function sameToken(one: LeaseRef, other: LeaseRef): boolean {
  return Buffer.compare(one.leaseToken, other.leaseToken) === 0;
}

/** What a delivery says of its attempt. */
type Known = Pick<Lease, "attempt" | "traceparent">;

const unseen = { attempt: 0, since: undefined, traceparent: "" };

function seen({ attempt, headers }: Pick<Claimed, "attempt" | "headers">): Known {
  return { attempt, traceparent: headers.traceparent ?? "" };
}

/** What is known of an attempt that is only named. */
export function attemptOf(ref: LeaseRef): AttemptSeen {
  const known = "headers" in ref ? seen(ref as Claimed) : undefined;
  return { queue: ref.queue, jobId: ref.jobId, ...unseen, ...known };
}

export function refOf({ queue, jobId, leaseToken }: LeaseRef): LeaseRef {
  return { queue, jobId, leaseToken };
}

/** Verbs of the storage are per queue. */
export function byQueue<T extends LeaseRef>(refs: readonly T[]): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const ref of refs) {
    const group = groups.get(ref.queue);
    if (group) group.push(ref);
    else groups.set(ref.queue, [ref]);
  }
  return [...groups];
}
