/** Between records and rows, and the statements that move them. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import type { FailedAttempt, FailureDetail, JobKey, Payload, Progress, Result } from "../../job/job.ts";
import { startBy } from "../../job/lifecycle.ts";
import type { JobRecord } from "../../job/record.ts";
import {
  bytesOf,
  decodeEnvelope,
  decodeFailure,
  decodePayload,
  decodeProgress,
  decodeRetries,
  type Envelope,
  encodeEnvelope,
  encodeFailure,
  encodePayload,
  encodeProgress,
  encodeRetries,
} from "../blob.ts";
import { asArrays } from "./node-sqlite.ts";
import { columnOf, numberFields, textFields } from "./schema.ts";

/** A record and the row it is kept in. */
export interface Kept {
  readonly id: number;
  readonly job: JobRecord;
  /** Of envelope and payload, as they were when the run was stored. */
  readonly bytes: number;
}

type Spec = Envelope & { payload: Payload };

/** The indexes, and what each is ordered by. Every query names its index, so that none can turn into a scan unseen. */
export const indexes = {
  scheduled: { index: "jobs_scheduled", holds: "state = 'scheduled'", by: "due_time" },
  queued: { index: "jobs_queued", holds: "state = 'queued'", by: "priority DESC, seq" },
  running: { index: "jobs_running", holds: "state = 'running'", by: "lease_until" },
  finished: { index: "jobs_finished", holds: "expire_time > 0", by: "expire_time" },
  start_by: { index: "jobs_start_by", holds: "start_by > 0", by: "start_by" },
  succeeded: { index: "jobs_ended", holds: "end_time > 0 AND state = 'succeeded'", by: "end_time" },
  failed: { index: "jobs_ended", holds: "end_time > 0 AND state = 'failed'", by: "end_time" },
  cancelled: { index: "jobs_ended", holds: "end_time > 0 AND state = 'cancelled'", by: "end_time" },
} as const;

export type IndexName = keyof typeof indexes;
/** The indexes that are ordered by a time at which something is to be done. */
export type TimeIndex = "scheduled" | "running" | "finished" | "start_by";

/** Tables with a part of a job each. */
const parts = ["specs", "results", "progress"] as const;

const keyFields = ["queue", "jobId"] as const;
const derived = ["cancel_requested", "backoff", "start_by", "bytes", "lists"];
const changing = [...[...numberFields, ...textFields].map(columnOf), ...derived];
const columns = [...keyFields.map(columnOf), ...changing];
const selected = ["id", ...keyFields, ...numberFields, ...textFields];
/** Rows for `fromRow`. */
export const select = `SELECT ${["id", ...columns].join(", ")} FROM jobs`;

type Lists = [FailedAttempt[], string[], string[], string[], string?];

export class Rows {
  readonly #db: DatabaseSync;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #remove: StatementSync[];
  readonly #addSpec: StatementSync;
  readonly #changeSpec: StatementSync;
  readonly #spec: StatementSync;
  readonly #dropPayload: StatementSync;
  readonly #payloadBytes: StatementSync;
  readonly #setResult: StatementSync;
  readonly #result: StatementSync;
  readonly #dropResult: StatementSync;
  readonly #setProgress: StatementSync;
  readonly #progress: StatementSync;
  readonly #dropProgress: StatementSync;
  readonly #best: StatementSync;
  readonly #due = new Map<TimeIndex, StatementSync>();
  readonly #first = new Map<TimeIndex, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
    const marks = (names: readonly string[]) => names.map(() => "?").join(", ");
    const arrays = (sql: string) => asArrays(db.prepare(sql));
    this.#find = arrays(`${select} WHERE queue = ? AND job_id = ?`);
    this.#insert = db.prepare(`INSERT INTO jobs (${columns.join(", ")}) VALUES (${marks(columns)})`);
    this.#update = db.prepare(`UPDATE jobs SET ${changing.map((column) => `${column} = ?`).join(", ")} WHERE id = ?`);
    this.#remove = ["jobs", ...parts].map((table) => db.prepare(`DELETE FROM ${table} WHERE id = ?`));
    this.#addSpec = db.prepare("INSERT INTO specs (id, envelope, payload) VALUES (?, ?, ?)");
    this.#changeSpec = db.prepare("UPDATE specs SET envelope = ?, payload = ? WHERE id = ?");
    this.#spec = arrays("SELECT envelope, payload FROM specs WHERE id = ?");
    this.#dropPayload = db.prepare("UPDATE specs SET payload = NULL WHERE id = ?");
    this.#payloadBytes = arrays("SELECT length(payload) FROM specs WHERE id = ?");
    this.#setResult = db.prepare("INSERT OR REPLACE INTO results (id, payload) VALUES (?, ?)");
    this.#result = arrays("SELECT payload FROM results WHERE id = ?");
    this.#dropResult = db.prepare("DELETE FROM results WHERE id = ?");
    this.#setProgress = db.prepare("INSERT OR REPLACE INTO progress (id, report) VALUES (?, ?)");
    this.#progress = arrays("SELECT report FROM progress WHERE id = ?");
    this.#dropProgress = db.prepare("DELETE FROM progress WHERE id = ?");
    const { index, holds, by } = indexes.queued;
    this.#best = arrays(`${select} INDEXED BY ${index} WHERE queue = ? AND ${holds} ORDER BY ${by} LIMIT 1`);
    for (const name of ["scheduled", "running", "finished", "start_by"] as const) {
      const { index, holds, by } = indexes[name];
      const from = `INDEXED BY ${index} WHERE queue = ? AND ${holds}`;
      this.#due.set(name, arrays(`${select} ${from} AND ${by} <= ? ORDER BY ${by} LIMIT 1`));
      this.#first.set(name, arrays(`SELECT min(${by}) FROM jobs ${from}`));
    }
  }

  find({ queue, jobId }: JobKey): Kept | undefined {
    const row = one(this.#find, queue, jobId);
    return row && fromRow(row);
  }

  /** The QUEUED job that is next in line. */
  best(queue: string): Kept | undefined {
    const row = one(this.#best, queue);
    return row && fromRow(row);
  }

  /** The job whose time in that index came first, if it has come. */
  due(index: TimeIndex, queue: string, nowMs: number): Kept | undefined {
    const row = one(this.#due.get(index)!, queue, nowMs);
    return row && fromRow(row);
  }

  /** The earliest time in that index. */
  first(index: TimeIndex, queue: string): number | undefined {
    return (one(this.#first.get(index)!, queue)?.[0] as number | null) ?? undefined;
  }

  add(job: JobRecord, spec: Spec): Kept {
    const bytes = bytesOf(spec);
    const { lastInsertRowid } = this.#insert.run(job.queue, job.jobId, ...toRow(job, bytes));
    const id = Number(lastInsertRowid);
    this.#addSpec.run(id, encodeEnvelope(spec), encodePayload(spec.payload));
    return { id, job, bytes };
  }

  save({ id, job, bytes }: Kept): void {
    this.#update.run(...toRow(job, bytes), id);
  }

  remove({ id }: Kept): void {
    for (const statement of this.#remove) statement.run(id);
  }

  /** For a new run. What is answered is yet to be saved. */
  changeSpec(kept: Kept, spec: Spec): Kept {
    this.#changeSpec.run(encodeEnvelope(spec), encodePayload(spec.payload), kept.id);
    return { ...kept, bytes: bytesOf(spec) };
  }

  envelope({ id }: Kept): Envelope {
    return decodeEnvelope((one(this.#spec, id)?.[0] as string | undefined) ?? "");
  }

  payload({ id }: Kept): Payload | undefined {
    const blob = one(this.#spec, id)?.[1] as Uint8Array | null | undefined;
    return blob ? decodePayload(blob) : undefined;
  }

  /** As it is stored, content type and all; costs no reading of it. */
  payloadBytes({ id }: Kept): number {
    return (one(this.#payloadBytes, id)![0] as number | null) ?? 0;
  }

  dropPayload({ id }: Kept): void {
    this.#dropPayload.run(id);
  }

  result({ id }: Kept): Result | undefined {
    const row = one(this.#result, id);
    return row && decodePayload(row[0] as Uint8Array);
  }

  setResult({ id }: Kept, payload: Result): void {
    this.#setResult.run(id, encodePayload(payload));
  }

  progress({ id }: Kept): Progress | undefined {
    const row = one(this.#progress, id);
    return row && decodeProgress(row[0] as string);
  }

  setProgress({ id }: Kept, progress: Progress): void {
    this.#setProgress.run(id, encodeProgress(progress));
  }

  /** What a run left behind, before the next run of the same id. */
  dropTraces({ id }: Kept): void {
    this.#dropResult.run(id);
    this.#dropProgress.run(id);
  }

  /** Everything, for inspect: not prepared, not bounded. */
  all(queue: string): Kept[] {
    return all(asArrays(this.#db.prepare(`${select} WHERE queue = ? ORDER BY job_id`)), queue).map(fromRow);
  }

  /** Queues that have jobs. */
  queues(): string[] {
    return all(asArrays(this.#db.prepare("SELECT DISTINCT queue FROM jobs ORDER BY queue"))).map(
      ([name]) => name as string,
    );
  }

  /** Rows of other tables without their job, of all queues: which queue it was is not known any more. */
  orphans(): string[] {
    return parts.flatMap((table) => {
      const sql = `SELECT id FROM ${table} WHERE id NOT IN (SELECT id FROM jobs) ORDER BY id`;
      return all(asArrays(this.#db.prepare(sql))).map(([id]) => `${table} ${id}`);
    });
  }

  /** The ids of one index, in its order. */
  entries(name: IndexName, queue: string): string[] {
    const { index, holds, by } = indexes[name];
    const sql = `SELECT job_id FROM jobs INDEXED BY ${index} WHERE queue = ? AND ${holds} ORDER BY ${by}, id`;
    return all(asArrays(this.#db.prepare(sql)), queue).map(([jobId]) => jobId as string);
  }
}

/** Of a statement that answers arrays, which the types of node:sqlite do not know. */
export function one(statement: StatementSync, ...values: SQLInputValue[]): SQLOutputValue[] | undefined {
  return statement.get(...values) as unknown as SQLOutputValue[] | undefined;
}

export function all(statement: StatementSync, ...values: SQLInputValue[]): SQLOutputValue[][] {
  return statement.all(...values) as unknown as SQLOutputValue[][];
}

/** The values of `changing`, in its order. */
function toRow(job: JobRecord, bytes: number): SQLInputValue[] {
  return [
    ...numberFields.map((field) => job[field]),
    ...textFields.map((field) => job[field]),
    job.cancelRequested ? 1 : 0,
    encodeRetries(job),
    startBy(job),
    bytes,
    encodeLists(job),
  ];
}

export function fromRow(row: SQLOutputValue[]): Kept {
  const job: Record<string, unknown> = {};
  for (let i = 1; i < selected.length; i++) job[selected[i] as string] = row[i];
  const [cancelRequested, retries, , bytes, lists] = row.slice(selected.length) as [
    ...[number, string, number, number, string],
  ];
  job.cancelRequested = cancelRequested === 1;
  Object.assign(job, decodeRetries(retries));
  decodeLists(job as unknown as JobRecord, lists);
  return { id: row[0] as number, job: job as unknown as JobRecord, bytes };
}

function encodeLists(job: JobRecord): string {
  const { history, joinedBy, waiters, watchers, failureDetail } = job;
  if (!failureDetail && history.length + joinedBy.length + waiters.length + watchers.length === 0) return "";
  const lists: Lists = [history, joinedBy, waiters, watchers];
  if (failureDetail) lists.push(encodeFailure(failureDetail));
  return JSON.stringify(lists);
}

function decodeLists(job: JobRecord, text: string): void {
  const [history, joinedBy, waiters, watchers, failure] = text === "" ? [[], [], [], []] : (JSON.parse(text) as Lists);
  const detail: FailureDetail | undefined = failure === undefined ? undefined : decodeFailure(failure);
  Object.assign(job, { history, joinedBy, waiters, watchers }, detail && { failureDetail: detail });
}
