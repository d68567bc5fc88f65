/** All work that time alone causes, of one queue at a time, at most 100 jobs of each kind: for tick, and before each claim. */
import { becomeDue, expireLease, expireRun, expireStart, msOf, overdue } from "../../job/lifecycle.ts";
import type { JobRecord } from "../../job/record.ts";
import type { Changed, TickAnswer } from "../storage.ts";
import type { Jobs } from "./jobs.ts";
import { type Grace, NO_GRACE, type Queues } from "./queues.ts";
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
    const mayReap = this.#mayReap(queue, graceMs, msOf(nowUs));
    const changed = [
      ...(mayReap ? this.#each("running", queue, nowUs, (job) => expire(job, jitter, nowUs)) : []),
      ...this.#each("start_by", queue, nowUs, (job) => expireStart(job, nowUs)),
      ...this.#each("scheduled", queue, nowUs, becomeDue),
    ];
    for (const kept of this.#due("finished", queue, nowUs)) this.#jobs.remove(kept);
    return changed.map((kept) => this.#jobs.changed(kept, nowUs));
  }

  /** When `run` will have work again. */
  next(queue: string, nowUs: number): Pick<TickAnswer, "nextInMs"> {
    const { rows } = this.#jobs;
    const lease = rows.first("running", queue);
    const times = [
      lease && Math.max(lease, this.#queues.grace(queue).until),
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

  /** A row of graces that follow each other without a chance to reap between lasts at most twice what its first one asked for. */
  #mayReap(queue: string, graceMs: number | undefined, now: number): boolean {
    const before = this.#queues.grace(queue);
    const grace = graceMs === undefined ? before : extended(before, graceMs, now);
    const over = now >= grace.until;
    const after = over ? NO_GRACE : grace;
    if (after.until !== before.until || after.limit !== before.limit) {
      this.#queues.setGrace(queue, after);
    }
    return over;
  }
}

function extended({ until, limit }: Grace, graceMs: number, now: number): Grace {
  const bound = limit === 0 ? now + 2 * graceMs : limit;
  return { until: Math.max(until, Math.min(now + graceMs, bound)), limit: bound };
}

function expire(job: JobRecord, jitter: number, nowUs: number): JobRecord {
  return overdue(job, nowUs) === "run_timeout" ? expireRun(job, jitter, nowUs) : expireLease(job, nowUs);
}
