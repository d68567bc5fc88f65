/**
 * Keeps leases alive, and knows when they are not. Renewals leave every third of
 * a lease from the session's own timer, whatever the handlers do. The broker does
 * not answer each one; a ping behind them is answered, and its pong proves that
 * they arrived. A lease counts from before the sending of what proved it, so the
 * worker never believes longer than the broker; a tenth of it is the margin.
 */
import type { Clock, Timer } from "../protocol/clock.ts";
import type { Attempt } from "./attempt.ts";
import type { Stream } from "./stream.ts";

/** Renewals whose pong has not come. More means a broker that does not answer; the oldest are of no use. */
const MAX_UNPROVEN = 8;

export interface LeasesHost {
  readonly clock: Clock;
  /** The attempts that are held now. */
  held(): readonly Attempt[];
  /** Sends renewals with a ping behind them. Undefined while there is no stream. */
  renew(attempts: readonly Attempt[]): { stream: Stream; nonce: bigint } | undefined;
  /** Nothing has proved this lease for nine tenths of its length. */
  expired(attempt: Attempt): void;
}

interface Unproven {
  stream: Stream;
  nonce: bigint;
  sentAt: number;
  attempts: readonly Attempt[];
}

export class LeaseKeeper {
  readonly #host: LeasesHost;
  #leaseMs = Number.POSITIVE_INFINITY;
  #unproven: Unproven[] = [];
  #renewal: Timer | undefined;
  #expiry: Timer | undefined;

  constructor(host: LeasesHost) {
    this.#host = host;
  }

  /** A broker announced its lease. */
  start(leaseMs: number): void {
    this.stop();
    this.#leaseMs = leaseMs;
    this.#armRenewal();
    this.watch();
  }

  stop(): void {
    this.#renewal?.cancel();
    this.#expiry?.cancel();
    this.#expiry = undefined;
    this.#unproven = [];
  }

  /** A pong came: all that was sent before its ping has arrived. */
  proven(stream: Stream, nonce: bigint): void {
    const rest: Unproven[] = [];
    for (const renewal of this.#unproven) {
      if (renewal.stream !== stream || renewal.nonce > nonce) rest.push(renewal);
      else for (const attempt of renewal.attempts) attempt.confirmedAt = Math.max(attempt.confirmedAt, renewal.sentAt);
    }
    this.#unproven = rest;
  }

  /** A lease came to be held: makes sure that its end is noticed. New leases and proof only bring later ends, so an armed timer is early enough. */
  watch(): void {
    if (this.#expiry) return;
    let first = Number.POSITIVE_INFINITY;
    for (const attempt of this.#host.held()) if (attempt.trusting) first = Math.min(first, attempt.confirmedAt);
    const at = first + this.#leaseMs * 0.9;
    if (!Number.isFinite(at)) return;
    this.#expiry = this.#host.clock.setTimer(() => this.#expire(), at - this.#host.clock.monotonic(), { unref: true });
  }

  #expire(): void {
    this.#expiry = undefined;
    const now = this.#host.clock.monotonic();
    for (const attempt of this.#host.held()) {
      if (attempt.trusting && now - attempt.confirmedAt >= this.#leaseMs * 0.9) this.#host.expired(attempt);
    }
    this.watch();
  }

  #armRenewal(): void {
    const { clock } = this.#host;
    this.#renewal = clock.setTimer(
      () => {
        this.#armRenewal();
        const attempts = this.#host.held();
        if (attempts.length === 0) return;
        const sentAt = clock.monotonic();
        const sent = this.#host.renew(attempts);
        if (sent) this.#unproven = [...this.#unproven, { ...sent, sentAt, attempts }].slice(-MAX_UNPROVEN);
      },
      this.#leaseMs / 3,
      { unref: true },
    );
  }
}
