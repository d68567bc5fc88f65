/**
 * What is in the file. A state change rewrites one row of `jobs`, a few hundred
 * bytes: payloads and results have tables of their own. Each index is partial
 * and answers one question: what is next in each state (with its bytes: what the queue holds is counted at each start),
 * what ended how and when, what is forgotten when.
 */
import type { DatabaseSync } from "node:sqlite";

/** "qcal": how a file is known as ours. */
export const APPLICATION_ID = 0x7163616c;
/** Rises with every change of the schema; a file with a higher one is refused. */
export const SCHEMA_VERSION = 3;

/** Columns that hold a field of JobRecord of the same name, in camelCase, as it is. */
export const numberFields = [
  "version",
  "attempt",
  "maxAttempts",
  "crashes",
  "priority",
  "seq",
  "createTime",
  "startTime",
  "endTime",
  "expireTime",
  "dueTime",
  "runTimeoutMs",
  "startTimeoutMs",
  "resultTtlMs",
  "fence",
  "leaseUntil",
  "runUntil",
] as const;

export const textFields = [
  "state",
  "leaseToken",
  "owner",
  "workerId",
  "settledToken",
  "requestId",
  "digest",
  "failureKind",
] as const;

/** "leaseUntil" → "lease_until". */
export const columnOf = (field: string): string => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const TABLES = `
  CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    job_id TEXT NOT NULL,
    ${numberFields.map((field) => `${columnOf(field)} INTEGER NOT NULL,`).join("\n    ")}
    ${textFields.map((field) => `${columnOf(field)} TEXT NOT NULL,`).join("\n    ")}
    cancel_requested INTEGER NOT NULL,
    backoff TEXT NOT NULL,   -- encodeRetries of ../blob.ts
    start_by INTEGER NOT NULL, -- lifecycle.startBy; 0: cannot time out
    bytes INTEGER NOT NULL,  -- of envelope and payload, as they were when the run was stored
    lists TEXT NOT NULL      -- JSON of what is usually empty; "" if all of it is
  );
  CREATE UNIQUE INDEX jobs_key ON jobs (queue, job_id);
  CREATE INDEX jobs_scheduled ON jobs (queue, due_time, bytes) WHERE state = 'scheduled';
  CREATE INDEX jobs_queued ON jobs (queue, priority DESC, seq, bytes) WHERE state = 'queued';
  CREATE INDEX jobs_running ON jobs (queue, lease_until, bytes) WHERE state = 'running';
  CREATE INDEX jobs_finished ON jobs (queue, expire_time) WHERE expire_time > 0;
  CREATE INDEX jobs_ended ON jobs (queue, state, end_time) WHERE end_time > 0;
  CREATE INDEX jobs_start_by ON jobs (queue, start_by) WHERE start_by > 0;

  -- Payload: NULL once the job succeeded.
  CREATE TABLE specs (id INTEGER PRIMARY KEY, envelope TEXT NOT NULL, payload BLOB) STRICT;
  CREATE TABLE results (id INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;
  CREATE TABLE progress (id INTEGER PRIMARY KEY, report TEXT NOT NULL) STRICT;
  CREATE TABLE queues (name TEXT PRIMARY KEY, grace_until INTEGER NOT NULL, looked_at INTEGER NOT NULL,
    paused INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  -- Methods: JSON.
  CREATE TABLE services (name TEXT PRIMARY KEY, methods TEXT NOT NULL, descriptor_set BLOB) STRICT, WITHOUT ROWID;
`;

/**
 * In one transaction, and before the file is switched to WAL: then the main file
 * is never seen without its application_id, also not after a kill.
 */
export function createSchema(db: DatabaseSync): void {
  db.exec(`BEGIN EXCLUSIVE;
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${SCHEMA_VERSION};
    ${TABLES}
    COMMIT;`);
}
