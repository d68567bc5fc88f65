/** All work that time alone causes, of one queue at a time, at most 100 jobs of each kind: for tick, and before each claim. */
import { becomeDue, expireLease, expireRun, expireStart, msOf, overdue } from "../../job/lifecycle.ts";
import type { JobRecord } from "../../job/record.ts";
import type { Changed, TickAnswer } from "../storage.ts";
import type { Jobs } from "./jobs.ts";
import type { Look, Queues } from "./queues.ts";
import type { Kept, TimeIndex } from "./rows.ts";

const MAX_PER_KIND = 100;

export class TimeDriven {
  readonly #jobs: Jobs;
  readonly #queues: Queues;

  constructor(jobs: Jobs, queues: Queues) {
    this.#jobs = jobs;
    this.#queues = queues;
  }

  /** Leases before due times: a job that is back in line is claimed in its old place, not after those that were waiting. */
  run(queue: string, jitter: number, graceMs: number | undefined, nowUs: number): Changed[] {
    const before = this.#queues.look(queue);
    const graceUntil = this.#graceUntil(queue, before, graceMs, msOf(nowUs));
    const changed = [
      ...(graceUntil === 0 ? this.#each("running", queue, nowUs, (job) => expire(job, jitter, nowUs)) : []),
      ...this.#each("start_by", queue, nowUs, (job) => expireStart(job, nowUs)),
      ...this.#each("scheduled", queue, nowUs, becomeDue),
    ];
    for (const kept of this.#due("finished", queue, nowUs)) this.#jobs.remove(kept);
    if (graceUntil !== before.graceUntil) this.#queues.setLook(queue, { ...before, graceUntil });
    return changed.map((kept) => this.#jobs.changed(kept, nowUs));
  }

  /** When `run` will have work again. */
  next(queue: string, nowUs: number): Pick<TickAnswer, "nextInMs"> {
    const { rows } = this.#jobs;
    const lease = rows.first("running", queue);
    const times = [
      lease && Math.max(lease, this.#queues.look(queue).graceUntil),
      rows.first("scheduled", queue),
      rows.first("start_by", queue),
      rows.first("finished", queue),
    ].filter((time) => time !== undefined);
    return times.length > 0 ? { nextInMs: Math.max(1, Math.min(...times) - msOf(nowUs)) } : {};
  }

  #each(index: TimeIndex, queue: string, nowUs: number, step: (job: JobRecord) => JobRecord): Kept[] {
    return Array.from(this.#due(index, queue, nowUs), (kept) => this.#jobs.change(kept, step(kept.job)));
  }

  /** One by one: what is done with a job takes it out of the index, and the next one comes first. */
  *#due(index: TimeIndex, queue: string, nowUs: number): Generator<Kept> {
    for (let n = 0; n < MAX_PER_KIND; n++) {
      const kept = this.#jobs.rows.due(index, queue, msOf(nowUs));
      if (!kept) return;
      yield kept;
    }
  }

  /** Behind `run`, and behind what it was run for. Looks count while leases run; to within a part of the grace, so that they cost few writes. */
  looked(queue: string, graceMs = 0, nowUs: number): void {
    const before = this.#queues.look(queue);
    const now = msOf(nowUs);
    const worth = graceMs > 0 && now - before.lookedAt > graceMs / 4;
    if (worth && this.#jobs.memory.counts(queue).jobs.running > 0) {
      this.#queues.setLook(queue, { ...before, lookedAt: now });
    }
  }

  /** Until when leases that are over are left alone, so that workers can renew; 0: they are not. A grace is always followed by a look that reaps. */
  #graceUntil(queue: string, { graceUntil, lookedAt }: Look, graceMs = 0, now: number): number {
    if (graceUntil > 0) return now < graceUntil ? graceUntil : 0;
    if (graceMs === 0 || now - lookedAt <= graceMs * 1.5) return 0;
    const lease = this.#jobs.rows.first("running", queue);
    return lease !== undefined && lease <= now ? now + graceMs : 0;
  }
}

function expire(job: JobRecord, jitter: number, nowUs: number): JobRecord {
  return overdue(job, nowUs) === "run_timeout" ? expireRun(job, jitter, nowUs) : expireLease(job, nowUs);
}
