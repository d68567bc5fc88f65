/** A job's record as prelude.lua keeps it: the same fields, read back into JobRecord. */
import type { FailedAttempt } from "../../job/job.ts";
import type { JobRecord } from "../../job/record.ts";
import { decodeFailure } from "../blob.ts";

/** Field of the hash → field of JobRecord, and what is meant where it is absent. prelude.lua has the same two tables. */
const numbers = {
  v: ["version", 0],
  a: ["attempt", 0],
  A: ["maxAttempts", 3],
  c: ["crashes", 0],
  P: ["priority", 0],
  n: ["seq", 0],
  C: ["createTime", 0],
  S: ["startTime", 0],
  E: ["endTime", 0],
  X: ["expireTime", 0],
  D: ["dueTime", 0],
  R: ["runTimeoutMs", 0],
  B: ["startTimeoutMs", 0],
  T: ["resultTtlMs", 3_600_000],
  F: ["fence", 0],
  L: ["leaseUntil", 0],
  U: ["runUntil", 0],
} as const;
const texts = { s: "state", O: "owner", W: "workerId", f: "failureKind" } as const;
const bytes = { k: "leaseToken", K: "settledToken", i: "requestId", d: "digest" } as const;
const names = { w: "waiters", y: "watchers" } as const;
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
  for (const [field, [name, absent]] of Object.entries(numbers)) job[name] = Number(kept.get(field) ?? absent);
  for (const [field, name] of Object.entries(texts)) job[name] = text(field);
  for (const [field, name] of Object.entries(bytes)) job[name] = hex(field);
  for (const [field, name] of Object.entries(names)) job[name] = splitNames(text(field));
  const [initialMs, multiplier, maxMs] = (text("b") || BACKOFF).split(",").map(Number);
  job.backoff = { initialMs, multiplier, maxMs };
  job.cancelRequested = text("q") === "1";
  job.joinedBy = hex("J").match(REQUEST_ID_HEX) ?? [];
  job.history = history.map(decodeAttempt);
  if (detail && job.state === "failed") job.failureDetail = decodeFailure(detail.toString("utf8"));
  return { record: job as unknown as JobRecord, envelopeBytes: Number(text("e")) };
}

/** "b1,b2" */
export function splitNames(text: string): string[] {
  return text === "" ? [] : text.split(",");
}

/** number, time, length of the worker's name, the name, the message: lifecycle.lua, remember. */
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
