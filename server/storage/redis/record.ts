/** A job's record as prelude.lua stores it, read back into JobRecord. */
import type { FailedAttempt } from "../../job/job.ts";
import type { JobRecord } from "../../job/record.ts";
import { decodeFailure, decodeRetries } from "../blob.ts";

/** Fields that are numbers, and what is meant where one is absent: ABSENT of prelude.lua. */
const numbers = {
  version: 0,
  attempt: 0,
  maxAttempts: 3,
  crashes: 0,
  priority: 0,
  seq: 0,
  createTime: 0,
  startTime: 0,
  endTime: 0,
  expireTime: 0,
  dueTime: 0,
  runTimeoutMs: 0,
  startTimeoutMs: 0,
  resultTtlMs: 3_600_000,
  fence: 0,
  leaseUntil: 0,
  runUntil: 0,
} as const;
const texts = ["state", "owner", "workerId", "failureKind"] as const;
const bytes = ["leaseToken", "settledToken", "requestId", "digest"] as const;
const BACKOFF = "100,2,30000";
const REQUEST_ID_HEX = /.{32}/g;

export interface KeptRecord {
  record: JobRecord;
  /** The part of the payload's key that is the envelope. */
  envelopeBytes: number;
}

/** @param flat field, value, field, value, … as HGETALL answers */
export function decodeRecord(
  queue: string,
  jobId: string,
  flat: readonly Buffer[],
  history: readonly Buffer[],
  detail: Buffer | null,
): KeptRecord {
  const kept = new Map<string, Buffer>();
  for (let i = 0; i + 1 < flat.length; i += 2) kept.set(flat[i]!.toString(), flat[i + 1]!);
  const text = (field: string) => kept.get(field)?.toString("utf8") ?? "";
  const hex = (field: string) => kept.get(field)?.toString("hex") ?? "";
  const job: Record<string, unknown> = { queue, jobId };
  for (const [name, absent] of Object.entries(numbers)) job[name] = Number(kept.get(name) ?? absent);
  for (const name of texts) job[name] = text(name);
  for (const name of bytes) job[name] = hex(name);
  for (const name of ["waiters", "watchers"]) job[name] = splitNames(text(name));
  Object.assign(job, decodeRetries(text("backoff") || BACKOFF));
  job.cancelRequested = text("cancelRequested") === "1";
  job.joinedBy = hex("joinedBy").match(REQUEST_ID_HEX) ?? [];
  job.history = history.map(decodeAttempt);
  if (detail && job.state === "failed") job.failureDetail = decodeFailure(detail.toString("utf8"));
  return { record: job as unknown as JobRecord, envelopeBytes: Number(text("envelope")) };
}

/** "b1,b2" */
export function splitNames(text: string): string[] {
  return text === "" ? [] : text.split(",");
}

/** number, time, length of the worker's name, the name, the message: prelude.lua, log_attempt. */
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
