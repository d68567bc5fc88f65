/** The leases that one stream holds: delivered, not settled. */
import type { Clock, Timer } from "../../protocol/clock.ts";
import { PROGRESS_INTERVAL_MS } from "../../protocol/limits.ts";
import type { Progress } from "../job/job.ts";
import type { LeaseRef } from "./frames.ts";

export interface Lease extends LeaseRef {
  /** The frame it left in; 0: not sent, or adopted. */
  seq: bigint;
  /** The worker said that it has it. */
  received: boolean;
  /** It has the full lease: it was renewed, or adopted. */
  full: boolean;
}

interface Entry extends Lease {
  /** When progress was last stored. Monotonic milliseconds. */
  reportedAt: number;
  report: Progress | undefined;
  timer: Timer | undefined;
}

export class Leases {
  readonly #clock: Clock;
  readonly #byToken = new Map<string, Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#byToken.size;
  }

  all(): Lease[] {
    return [...this.#byToken.values()];
  }

  has(ref: LeaseRef): boolean {
    return this.#byToken.has(tokenOf(ref));
  }

  add(ref: LeaseRef, received: boolean): void {
    const entry = { ...refOf(ref), seq: 0n, received, full: received, reportedAt: Number.NEGATIVE_INFINITY };
    this.#byToken.set(tokenOf(ref), { ...entry, report: undefined, timer: undefined });
  }

  /** It was renewed. */
  renewed(ref: LeaseRef): void {
    const entry = this.#byToken.get(tokenOf(ref));
    if (entry) entry.full = true;
  }

  drop(ref: LeaseRef): void {
    this.#byToken.get(tokenOf(ref))?.timer?.cancel();
    this.#byToken.delete(tokenOf(ref));
  }

  sent(ref: LeaseRef, seq: bigint): void {
    const entry = this.#byToken.get(tokenOf(ref));
    if (entry) entry.seq = seq;
  }

  /** Everything up to this frame has arrived. */
  received(seq: bigint): void {
    for (const entry of this.#byToken.values()) if (entry.seq > 0n && entry.seq <= seq) entry.received = true;
  }

  /** Passes the newest report on, at most once per PROGRESS_INTERVAL_MS. False where the lease is not held. */
  report(ref: LeaseRef, progress: Progress, store: (progress: Progress) => void): boolean {
    const entry = this.#byToken.get(tokenOf(ref));
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

function tokenOf({ leaseToken }: LeaseRef): string {
  return Buffer.from(leaseToken.buffer, leaseToken.byteOffset, leaseToken.byteLength).toString("hex");
}
