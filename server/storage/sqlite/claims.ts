/** Handing out jobs: the larger half of `claim`. Due time-driven work was done before. */
import { MAX_CLAIM_BATCH } from "../../../protocol/limits.ts";
import type { JobSpec } from "../../job/job.ts";
import * as lifecycle from "../../job/lifecycle.ts";
import type { Claim, ClaimAtOnce, Claimed } from "../storage.ts";
import { hex } from "./hex.ts";
import type { Jobs } from "./jobs.ts";
import type { Kept } from "./rows.ts";

export class Claims {
  readonly #jobs: Jobs;
  readonly #brokerId: string;

  constructor(jobs: Jobs, brokerId: string) {
    this.#jobs = jobs;
    this.#brokerId = brokerId;
  }

  /** The best jobs in line; of a repeat, those that it still holds. */
  claim(request: Claim, nowUs: number): Claimed[] {
    const before = this.#jobs.memory.lane(request.queue, request.lane);
    // An older claim than the last one was answered before the last one was sent: nobody waits for it.
    if (before && request.claimId < before.claimId) return [];
    const kept =
      before?.claimId === request.claimId
        ? before.jobs.map((lease) => this.#jobs.leased({ queue: request.queue, ...lease }, nowUs))
        : this.#lease(request, nowUs);
    return kept.filter((job) => job !== undefined).map((job) => this.claimed(job, nowUs));
  }

  #lease(request: Claim, nowUs: number): Kept[] {
    const { queue, lane, claimId, tokens } = request;
    const leased: Kept[] = [];
    for (const kept of this.#best(request)) {
      const terms = this.terms(request, tokens[leased.length]!);
      leased.push(this.#jobs.change(kept, lifecycle.claim(kept.job, terms, nowUs)));
    }
    // A repeat of a claim that got nothing may as well get something: there is nothing to remember.
    if (leased.length > 0) {
      const jobs = leased.map(({ job: { jobId, leaseToken } }) => ({ jobId, leaseToken }));
      this.#jobs.memory.setLane(queue, lane, { claimId, jobs });
    }
    return leased;
  }

  terms({ lane, workerId, leaseMs }: Omit<ClaimAtOnce, "leaseToken">, leaseToken: Uint8Array): lifecycle.ClaimTerms {
    return { leaseToken: hex(leaseToken), leaseMs, owner: `${this.#brokerId}.${lane}`, workerId };
  }

  /** As many as are asked for and fit; the first always does. Each is claimed before the next is looked for. */
  *#best({ queue, max, maxBytes }: Claim): Generator<Kept> {
    for (let n = 0, bytes = 0; n < Math.min(max, MAX_CLAIM_BATCH); n++) {
      const kept = this.#jobs.rows.best(queue);
      if (!kept) return;
      bytes += this.#jobs.rows.payloadBytes(kept);
      if (n > 0 && bytes > maxBytes) return;
      yield kept;
    }
  }

  /** As it is handed to the worker. @param spec if it is at hand, to save reading it */
  claimed(kept: Kept, nowUs: number, spec?: JobSpec): Claimed {
    const { queue, jobId, attempt, maxAttempts, fence, leaseToken, runUntil, createTime } = kept.job;
    const { method, headers } = spec ?? this.#jobs.rows.envelope(kept);
    return {
      queue,
      jobId,
      method,
      payload: spec?.payload ?? this.#jobs.rows.payload(kept)!,
      headers,
      attempt,
      maxAttempts,
      fence,
      leaseToken: Buffer.from(leaseToken, "hex"),
      runTimeoutLeftMs: runUntil > 0 ? Math.max(1, runUntil - lifecycle.msOf(nowUs)) : 0,
      createTime,
      status: this.#jobs.status(kept),
      tell: [],
    };
  }
}
