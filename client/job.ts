/** A job as callers see it. */
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  JobFailure as WireFailure,
  Job as WireJob,
  Progress as WireProgress,
} from "../gen/queuecall/v1/job_pb.js";
import { type PayloadCodec, plainCodec } from "../protocol/codec.ts";
import { type FailureKind, type JobState, kindOf, stateOf } from "./enums.ts";
import { JobCancelledError, JobFailedError, QueuecallError, statusName } from "./errors.ts";

/** What every answer says of a job. */
export interface JobStatus<Response> {
  readonly queue: string;
  readonly jobId: string;
  readonly state: JobState;
  /** Rises with every visible change, also across runs of one id. */
  readonly version: number;
  /** Tries so far, the current one included. */
  readonly attempt: number;
  /** Cancellation was asked for while it was running; the worker has not answered yet. */
  readonly cancelRequested: boolean;
  /** Set once it has ended. */
  readonly outcome: Outcome<Response> | undefined;
  /** What the worker sent along with the outcome. Lower-case names; values of names in "-bin" are base64. */
  readonly outcomeHeaders: Record<string, string> | undefined;
}

/** The whole job, as `get` and `watch` answer it. */
export interface Job<Response> extends JobStatus<Response> {
  readonly method: string;
  /** Tries in all. */
  readonly maxAttempts: number;
  readonly priority: number;
  /** When this run was accepted. */
  readonly createTime: Date | undefined;
  /** When the newest attempt was claimed. */
  readonly startTime: Date | undefined;
  readonly endTime: Date | undefined;
  /** When it will be forgotten. Set once it has ended. */
  readonly expireTime: Date | undefined;
  /** The newest report of the current attempt. */
  readonly progress: Progress | undefined;
  readonly labels: Record<string, string>;
  readonly headers: Record<string, string>;
}

/** How a job ended. */
export type Outcome<Response> =
  | { readonly state: "succeeded"; readonly result: Response }
  | { readonly state: "failed"; readonly error: JobFailedError }
  | { readonly state: "cancelled"; readonly error: JobCancelledError };

/** How far a running job is, as its worker last said. */
export interface Progress {
  /** Units done. */
  readonly current: number;
  /** Units in all; 0 if unknown. */
  readonly total: number;
  /** For people. */
  readonly message: string;
  /** Anything the worker added: JSON or bytes. */
  readonly details: unknown;
}

/** Why a job has no result. */
export interface JobFailure {
  readonly kind: FailureKind;
  /** The name of the gRPC status, e.g. "UNKNOWN", "NOT_FOUND". */
  readonly code: string;
  /** The handler's own message. */
  readonly message: string;
  /** The status details: protobuf messages in binary form. */
  readonly details: readonly { readonly typeUrl: string; readonly value: Uint8Array }[];
  /** The error's class at the worker, e.g. "TypeError". May be empty. */
  readonly type: string;
  /** Only if the broker is set to pass stacks on. */
  readonly stack: string | undefined;
  /** The newest tries that failed, oldest first. */
  readonly attempts: readonly FailedAttempt[];
}

/** One try that did not succeed. */
export interface FailedAttempt {
  /** From 1. */
  readonly number: number;
  readonly endTime: Date | undefined;
  readonly workerId: string;
  readonly message: string;
}

const plain = plainCodec<unknown>();

/** @param cached the outcome was there before the call asked */
export function statusOf<Response>(
  job: WireJob | undefined,
  codec: PayloadCodec<never, Response>,
  cached = false,
): JobStatus<Response> {
  if (job === undefined) throw new QueuecallError("INTERNAL", "the broker's answer has no job");
  return {
    queue: job.queue,
    jobId: job.jobId,
    state: stateOf(job.state),
    version: Number(job.version),
    attempt: job.attempt,
    cancelRequested: job.cancelRequested,
    outcome: outcomeOf(job, codec, cached),
    outcomeHeaders: job.outcome.case && job.outcomeHeaders,
  };
}

export function jobOf<Response>(job: WireJob | undefined, codec: PayloadCodec<never, Response>): Job<Response> {
  const status = statusOf(job, codec);
  const { method, maxAttempts, priority, labels, headers, createTime, startTime, endTime, expireTime, progress } = job!;
  return {
    ...status,
    method,
    maxAttempts,
    priority,
    createTime: dateOf(createTime),
    startTime: dateOf(startTime),
    endTime: dateOf(endTime),
    expireTime: dateOf(expireTime),
    progress: progress && progressOf(progress),
    labels,
    headers,
  };
}

/** The result, or the error that says why there is none. */
export function resultOf<Response>({ queue, jobId, outcome }: JobStatus<Response>): Response {
  if (outcome === undefined) {
    throw new QueuecallError("INTERNAL", `the broker ended the wait for job ${jobId} without an outcome`, {
      queue,
      jobId,
    });
  }
  if (outcome.state !== "succeeded") throw outcome.error;
  return outcome.result;
}

function outcomeOf<Response>(
  { outcome, queue, jobId, state }: WireJob,
  codec: PayloadCodec<never, Response>,
  cached: boolean,
): Outcome<Response> | undefined {
  if (outcome.case === "result") {
    return { state: "succeeded", result: decode(codec, outcome.value, { queue, jobId }) };
  }
  if (outcome.case === undefined) return undefined;
  const failure = failureOf(outcome.value);
  return stateOf(state) === "cancelled"
    ? { state: "cancelled", error: new JobCancelledError(failure, { queue, jobId }) }
    : { state: "failed", error: new JobFailedError(failure, { queue, jobId, cached }) };
}

function decode<Response>(
  codec: PayloadCodec<never, Response>,
  payload: Parameters<typeof codec.decode>[0],
  about: { queue: string; jobId: string },
): Response {
  try {
    return codec.decode(payload);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new QueuecallError("BAD_PAYLOAD", `the result of job ${about.jobId} cannot be read: ${why}`, {
      ...about,
      cause,
    });
  }
}

function failureOf({ kind, status, type, stack, attempts }: WireFailure): JobFailure {
  return {
    kind: kindOf(kind),
    code: statusName(status?.code ?? 2),
    message: status?.message ?? "",
    details: (status?.details ?? []).map(({ typeUrl, value }) => ({ typeUrl, value })),
    type,
    stack: stack || undefined,
    attempts: attempts.map(({ number, endTime, workerId, message }) => ({
      number,
      endTime: dateOf(endTime),
      workerId,
      message,
    })),
  };
}

function progressOf({ current, total, message, details }: WireProgress): Progress {
  return { current, total, message, details: readable(details) };
}

/** A report that cannot be read must not hide the job: it is passed on as bytes. */
function readable(details: WireProgress["details"]): unknown {
  try {
    return plain.decode(details);
  } catch {
    return details?.data;
  }
}

const dateOf = (time: Timestamp | undefined): Date | undefined => time && timestampDate(time);
