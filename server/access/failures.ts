/**
 * How often one address may come with credentials that are not good. It keeps nobody out whose are: many may share an
 * address. Tokens cannot be guessed; what this bounds is the work and the noise of a fleet with an old token.
 */
import type { Clock } from "../../protocol/clock.ts";

/** Refusals in a row, and those that come back each second. */
const BURST = 200;
const PER_SECOND = 10;
/** Addresses that are remembered: those that failed last. One that is forgotten starts afresh. */
const MAX_PEERS = 10_000;

interface Bucket {
  left: number;
  /** Monotonic milliseconds. */
  at: number;
}

export class Failures {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Notes one. Answers 0 while there may be more, else how long to wait. Milliseconds. */
  note(peer: string): number {
    const at = this.#clock.monotonic();
    const left = this.#left(peer, at);
    this.#buckets.delete(peer);
    this.#buckets.set(peer, { left: left >= 1 ? left - 1 : left, at });
    if (this.#buckets.size > MAX_PEERS) this.#buckets.delete(this.#buckets.keys().next().value!);
    return left >= 1 ? 0 : Math.ceil(((1 - left) * 1_000) / PER_SECOND);
  }

  #left(peer: string, now: number): number {
    const bucket = this.#buckets.get(peer);
    return bucket ? Math.min(BURST, bucket.left + ((now - bucket.at) * PER_SECOND) / 1_000) : BURST;
  }
}
