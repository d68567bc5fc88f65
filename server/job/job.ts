/** The words of the domain, as callers and workers see them. Times are milliseconds since 1970 on the storage's clock; durations are milliseconds. */
import type { Backoff } from "../../protocol/backoff.ts";

export type JobState = "scheduled" | "queued" | "running" | "succeeded" | "failed" | "cancelled";
export type TerminalState = "succeeded" | "failed" | "cancelled";
export type FailureKind = "handler" | "run_timeout" | "start_timeout" | "crash_loop" | "result_too_large" | "cancelled";
/** Which failures are retried where the worker does not say. Lost workers always are. */
export type RetryOn = "failure" | "unavailable";
export type OnDuplicate = "join" | "reject" | "rerun_if_failed" | "rerun_if_finished";
export type Disposition = "created" | "joined" | "cached";

/** Opaque bytes and what they are. */
export interface Payload {
  data: Uint8Array;
  contentType: string;
  messageType: string;
}

/** What a worker answers, and what it sent along. */
export interface Result extends Payload {
  /** Absent: none. */
  headers?: Record<string, string>;
}

/** google.rpc.Status. */
export interface Status {
  code: number;
  message: string;
  details: { typeUrl: string; value: Uint8Array }[];
}

/** One try that did not succeed. */
export interface FailedAttempt {
  number: number;
  endTime: number;
  workerId: string;
  message: string;
}

/** What a worker said of a failure. */
export interface FailureDetail {
  status: Status;
  type: string;
  stack: string;
  /** What the worker sent along. Absent: nothing. */
  headers?: Record<string, string>;
}

export interface Failure extends FailureDetail {
  kind: FailureKind;
  attempts: FailedAttempt[];
}

export type Outcome = { kind: "result"; payload: Result } | { kind: "failure"; failure: Failure };

export interface Progress {
  current: number;
  total: number;
  message: string;
  details?: Payload;
}

/** A job's identity. */
export interface JobKey {
  queue: string;
  jobId: string;
}

/** The short form that enqueues and waits answer. */
export interface JobStatus extends JobKey {
  state: JobState;
  version: number;
  attempt: number;
  cancelRequested: boolean;
  outcome?: Outcome;
}

/** The whole job. */
export interface Job extends JobStatus {
  method: string;
  maxAttempts: number;
  priority: number;
  createTime: number;
  startTime?: number;
  endTime?: number;
  expireTime?: number;
  progress?: Progress;
  headers: Record<string, string>;
  labels: Record<string, string>;
}

/** A job in a list: what its record alone says. */
export interface JobSummary extends JobKey {
  state: JobState;
  version: number;
  attempt: number;
  maxAttempts: number;
  priority: number;
  createTime: number;
  startTime?: number;
  endTime?: number;
  /** SCHEDULED: when it becomes QUEUED. */
  dueTime?: number;
  /** RUNNING: who has it. "" otherwise. */
  workerId: string;
  cancelRequested: boolean;
  /** FAILED, CANCELLED: why. */
  failureKind?: FailureKind;
}

/** A validated JobSpec: every default filled in, every duration in milliseconds. */
export interface JobSpec extends JobKey {
  method: string;
  payload: Payload;
  /** SHA-256 of method, content type and data, first 16 bytes; empty where the data is empty. */
  digest: Uint8Array;
  headers: Record<string, string>;
  labels: Record<string, string>;
  priority: number;
  delayMs: number;
  maxAttempts: number;
  backoff: Backoff;
  retryOn: RetryOn;
  /** 0: none. */
  runTimeoutMs: number;
  /** 0: none. */
  startTimeoutMs: number;
  resultTtlMs: number;
  onDuplicate: OnDuplicate;
  rejectPayloadMismatch: boolean;
}

/** The jobs of a queue that are SCHEDULED, QUEUED or RUNNING. */
export interface Unfinished {
  length: number;
  /** Of payloads, their types, methods, headers and labels, as they are stored; not what the storage needs beside them. */
  bytes: number;
}

/** What a queue takes: an enqueue that would make a job beyond it is refused. Infinity: no limit. */
export interface QueueLimits {
  /** Unfinished jobs. */
  maxLength: number;
  /** Their bytes: Unfinished.bytes. */
  maxBytes: number;
}
export const unlimited: Readonly<QueueLimits> = {
  maxLength: Number.POSITIVE_INFINITY,
  maxBytes: Number.POSITIVE_INFINITY,
};
export type LimitName = "max_length" | "max_bytes";

export function isTerminal(state: JobState): state is TerminalState {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}
