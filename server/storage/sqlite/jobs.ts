/** The jobs of the file: records in and out, with everything that must go along with a change of one. */
import type { DatabaseSync } from "node:sqlite";
import {
  isTerminal,
  type Job,
  type JobKey,
  type JobSpec,
  type JobState,
  type JobStatus,
  type Result,
} from "../../job/job.ts";
import { isForgotten, msOf, startBy, statusOf } from "../../job/lifecycle.ts";
import type { JobRecord } from "../../job/record.ts";
import type { Changed } from "../storage.ts";
import { type Counts, Memory, noJobs, nothing } from "./memory.ts";
import { Pages } from "./pages.ts";
import { indexes, type Kept, Rows } from "./rows.ts";

export class Jobs {
  readonly rows: Rows;
  readonly memory: Memory;
  readonly pages: Pages;

  constructor(db: DatabaseSync) {
    this.rows = new Rows(db);
    const { seq } = db.prepare("SELECT coalesce(max(seq), 0) AS seq FROM jobs").get() as { seq: number };
    this.memory = new Memory(seq, countsOf(db));
    this.pages = new Pages(db);
  }

  /** The job, unless its time is over: then it is as good as absent, whether or not it is collected yet. */
  find(key: JobKey, nowUs: number): Kept | undefined {
    const kept = this.stored(key);
    return kept && !isForgotten(kept.job, nowUs) ? kept : undefined;
  }

  /** The job, whether or not its time is over. */
  stored(key: JobKey): Kept | undefined {
    return this.memory.running(key) ?? this.rows.find(key);
  }

  /** The job, if it is not forgotten; one that is goes now: its id is about to be taken. */
  orCollect(kept: Kept | undefined, nowUs: number): Kept | undefined {
    if (!kept || !isForgotten(kept.job, nowUs)) return kept;
    this.remove(kept);
    return undefined;
  }

  /** The job, if that token is its current one; also past the lease's end: decisions/0003. */
  leased({ leaseToken, ...key }: JobKey & { leaseToken: string }, nowUs: number): Kept | undefined {
    const kept = this.find(key, nowUs);
    return kept?.job.state === "running" && kept.job.leaseToken === leaseToken ? kept : undefined;
  }

  add(job: JobRecord, spec: JobSpec): Kept {
    const kept = this.rows.add(job, spec);
    this.memory.wrote(kept);
    this.memory.counted(undefined, job, kept.bytes);
    return kept;
  }

  /** Keeps the job's new record. */
  change(kept: Kept, job: JobRecord): Kept {
    if (job === kept.job) return kept;
    const after = { ...kept, job };
    this.rows.save(after);
    this.memory.wrote(after);
    this.memory.counted(kept.job, job, kept.bytes);
    return after;
  }

  remove(kept: Kept): void {
    this.rows.remove(kept);
    this.memory.wrote(kept, true);
    this.memory.counted(kept.job, undefined, kept.bytes);
  }

  /** @param result if it is at hand, to save reading it */
  status(kept: Kept, result?: Result): JobStatus {
    const status = statusOf(kept.job);
    if (kept.job.state === "succeeded") {
      status.outcome = { kind: "result", payload: result ?? this.rows.result(kept)! };
    }
    return status;
  }

  whole(kept: Kept): Job {
    const { maxAttempts, priority, createTime, startTime, endTime, expireTime } = kept.job;
    const progress = this.rows.progress(kept);
    return {
      ...this.status(kept),
      ...this.rows.envelope(kept),
      maxAttempts,
      priority,
      createTime,
      ...(startTime > 0 && { startTime }),
      ...(endTime > 0 && { endTime }),
      ...(expireTime > 0 && { expireTime }),
      ...(progress && { progress }),
    };
  }

  /** The file has one broker, so there is never another one to tell or to wake. @param result as in status() */
  changed(kept: Kept, nowUs: number, result?: Result): Changed {
    const due = [kept.job.dueTime, startBy(kept.job)].filter((time) => time > 0);
    const tick = due.length > 0 && { tickInMs: Math.max(1, Math.min(...due) - msOf(nowUs)) };
    return { status: this.status(kept, result), tell: [], wake: [], ...tick };
  }
}

/** Once, at the start, over the indexes alone. */
function countsOf(db: DatabaseSync): Map<string, Counts> {
  const counts = new Map<string, Counts>();
  for (const state of Object.keys(noJobs) as JobState[]) {
    const { index, holds } = indexes[state];
    const sum = isTerminal(state) ? "0" : "sum(bytes)";
    const sql = `SELECT queue, count(*) AS n, ${sum} AS bytes FROM jobs INDEXED BY ${index} WHERE ${holds} GROUP BY queue`;
    for (const { queue, n, bytes } of db.prepare(sql).all() as { queue: string; n: number; bytes: number }[]) {
      const before = counts.get(queue) ?? nothing;
      counts.set(queue, { jobs: { ...before.jobs, [state]: n }, bytes: before.bytes + bytes });
    }
  }
  return counts;
}
