/** A job's record as prelude.lua stores it, read back into JobRecord. */
import type { FailedAttempt } from "../../job/job.ts";
import type { JobRecord } from "../../job/record.ts";
import { decodeFailure, decodeRetries } from "../blob.ts";

/** As prelude.lua sends a record: its fields in its order, whole numbers and bytes. */
export type RecordReply = readonly (number | Buffer)[];

/** "" in a record: most jobs have it. */
export const DEFAULT_BACKOFF = "100,2,30000";
const REQUEST_ID_HEX = /.{32}/g;
const number = (field: number | Buffer) => field;
const text = (field: number | Buffer) => String(field);
const hex = (field: number | Buffer) => (field as Buffer).toString("hex");
const names = (field: number | Buffer) => splitNames(String(field));

/** Fields of a record in the order of prelude.lua, and what each becomes. */
export const recordFields = {
  state: text,
  version: number,
  attempt: number,
  maxAttempts: number,
  crashes: number,
  priority: number,
  seq: number,
  createTime: number,
  startTime: number,
  endTime: number,
  expireTime: number,
  dueTime: number,
  runTimeoutMs: number,
  startTimeoutMs: number,
  resultTtlMs: number,
  backoff: text,
  fence: number,
  leaseToken: hex,
  leaseUntil: number,
  runUntil: number,
  owner: text,
  workerId: text,
  settledToken: hex,
  cancelRequested: (field: number | Buffer) => field === 1,
  requestId: hex,
  joinedBy: (field: number | Buffer) => hex(field).match(REQUEST_ID_HEX) ?? [],
  digest: hex,
  failureKind: text,
  waiters: names,
  watchers: names,
  payloadBytes: number,
  envelope: text,
} as const;

export interface KeptRecord {
  record: JobRecord;
  /** Not read yet: blob.ts. */
  envelope: string;
}

export function decodeRecord(
  queue: string,
  jobId: string,
  fields: RecordReply,
  history: Buffer | null,
  detail: Buffer | null,
): KeptRecord {
  const kept: Record<string, unknown> = { queue, jobId };
  for (const [i, [name, read]] of Object.entries(recordFields).entries()) kept[name] = read(fields[i]!);
  const { backoff, payloadBytes, envelope, ...rest } = kept;
  const job = {
    ...rest,
    ...decodeRetries(String(backoff) || DEFAULT_BACKOFF),
    history: decodeHistory(history),
  } as JobRecord;
  if (detail && job.state === "failed") job.failureDetail = decodeFailure(detail.toString("utf8"));
  return { record: job, envelope: String(envelope) };
}

/** "b1,b2" */
export function splitNames(text: string): string[] {
  return text === "" ? [] : text.split(",");
}

/** Length, entry, length, entry, …: prelude.lua, log_attempt. */
function decodeHistory(log: Buffer | null): FailedAttempt[] {
  const attempts: FailedAttempt[] = [];
  for (let at = 0; log && at < log.length; ) {
    const start = at + 4;
    at = start + log.readUInt32LE(at);
    attempts.push(decodeAttempt(log.subarray(start, at)));
  }
  return attempts;
}

/** number, time, length of the worker's name, the name, the message. */
function decodeAttempt(entry: Buffer): FailedAttempt {
  const [, number, endTime, length] = /^(\d+),(\d+),(\d+),/.exec(entry.toString("latin1")) ?? [];
  const start = `${number},${endTime},${length},`.length;
  const end = start + Number(length);
  return {
    number: Number(number),
    endTime: Number(endTime),
    workerId: entry.toString("utf8", start, end),
    message: entry.toString("utf8", end),
  };
}
