/** What calls reject with. All are {@link QueuecallError}s; `code` is for programs, `message` for people. */

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code as ConnectCode, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { WaitTimeoutSchema } from "../gen/queuecall/v1/broker_pb.js";
import { ERROR_DOMAIN, type FieldViolation, REASON_TRAILER, type Reason, reasons } from "../protocol/errors.ts";
import { type JobState, stateOf } from "./enums.ts";
import type { JobFailure } from "./job.ts";

/** What an error knows beside its message. */
export interface ErrorContext {
  /** The broker's reason, e.g. "QUEUE_FULL". Absent where no broker spoke. */
  reason?: string | undefined;
  queue?: string | undefined;
  jobId?: string | undefined;
  cause?: unknown;
}

/**
 * The base of all errors of this library.
 * `code` is one of the classes' own (`TIMEOUT`, `JOB_FAILED`, …), `CLIENT_CLOSED`, `BAD_PAYLOAD` (what a worker sent
 * cannot be read), or the name of a gRPC status (`PERMISSION_DENIED`, `INTERNAL`, …).
 */
export class QueuecallError extends Error {
  override readonly name: string = "QueuecallError";
  readonly code: string;
  readonly reason: string | undefined;
  readonly queue: string | undefined;
  readonly jobId: string | undefined;
  constructor(code: string, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.reason = context.reason;
    this.queue = context.queue;
    this.jobId = context.jobId;
  }
}

/**
 * The wait is over, the job is not: it was not cancelled and keeps its place. Its outcome can be fetched with
 * `queue.wait(error.jobId)` or the same call again.
 */
export class TimeoutError extends QueuecallError {
  override readonly name = "TimeoutError";
  declare readonly code: "TIMEOUT";
  declare readonly jobId: string;
  /** How long was waited. Milliseconds. */
  readonly timeoutMs: number;
  /** The job's state as the broker last said, if it did. */
  readonly state: JobState | undefined;
  /** The job's attempt as the broker last said, if it did. */
  readonly attempt: number | undefined;
  constructor(
    jobId: string,
    timeoutMs: number,
    context: ErrorContext & { state?: JobState | undefined; attempt?: number | undefined } = {},
  ) {
    super("TIMEOUT", `Job ${jobId} timed out after ${timeoutMs} ms`, { ...context, jobId });
    this.timeoutMs = timeoutMs;
    this.state = context.state;
    this.attempt = context.attempt;
  }

  /** The same from what a Connect client threw; undefined if that was anything but a wait that ended without an outcome. */
  static from(error: unknown): TimeoutError | undefined {
    if (error instanceof TimeoutError) return error;
    if (!(error instanceof ConnectError)) return undefined;
    const detail = error.findDetails(WaitTimeoutSchema)[0];
    if (detail === undefined) return undefined;
    const { queue, jobId, attempt, waited } = detail;
    return new TimeoutError(jobId, waited ? durationMs(waited) : 0, {
      queue,
      attempt,
      state: stateOf(detail.state),
      reason: "WAIT_TIMEOUT",
      cause: error,
    });
  }
}

/** The job ended without a result. The message is the handler's own. */
export class JobFailedError extends QueuecallError {
  override readonly name = "JobFailedError";
  declare readonly code: "JOB_FAILED";
  declare readonly jobId: string;
  /** What the handler threw, as near as it can be told: name, message, and the status name as `code`. */
  readonly originalError: OriginalError;
  /** All that the broker knows of it. */
  readonly failure: JobFailure;
  /** The job had failed before this call: the call ran nothing. */
  readonly cached: boolean;
  constructor(failure: JobFailure, context: ErrorContext & { cached?: boolean } = {}) {
    const originalError = new OriginalError(failure);
    super("JOB_FAILED", failure.message, { ...context, cause: originalError });
    this.originalError = originalError;
    this.failure = failure;
    this.cached = context.cached ?? false;
  }
}

/** An error that was thrown in a worker. Its stack is the worker's, where the broker passes stacks on. */
export class OriginalError extends Error {
  override readonly name: string;
  /** The error's class at the worker, e.g. "TypeError". May be empty. */
  readonly type: string;
  /** The name of the gRPC status it was given, e.g. "UNKNOWN". */
  readonly code: string;
  constructor({ message, type, code, stack }: JobFailure) {
    super(message);
    this.name = type || "Error";
    this.type = type;
    this.code = code;
    this.stack = stack ?? `${this.name}: ${message}`;
  }
}

/** The job was cancelled before it had a result. */
export class JobCancelledError extends QueuecallError {
  override readonly name = "JobCancelledError";
  declare readonly code: "JOB_CANCELLED";
  declare readonly jobId: string;
  readonly failure: JobFailure;
  constructor(failure: JobFailure, context: ErrorContext = {}) {
    super("JOB_CANCELLED", `Job ${context.jobId} was cancelled`, context);
    this.failure = failure;
  }
}

/** There is no such job, or its outcome is no longer kept (reason `OUTCOME_EXPIRED`). */
export class JobNotFoundError extends QueuecallError {
  override readonly name = "JobNotFoundError";
  declare readonly code: "JOB_NOT_FOUND";
  constructor(message: string, context: ErrorContext = {}) {
    super("JOB_NOT_FOUND", message, context);
  }
}

/** The id exists, and `onDuplicate` or `rejectPayloadMismatch` said to refuse that. */
export class JobExistsError extends QueuecallError {
  override readonly name = "JobExistsError";
  declare readonly code: "JOB_EXISTS";
  constructor(message: string, context: ErrorContext = {}) {
    super("JOB_EXISTS", message, context);
  }
}

/** The request can never be accepted as it is. Nothing was stored. */
export class InvalidRequestError extends QueuecallError {
  override readonly name = "InvalidRequestError";
  declare readonly code: "INVALID_REQUEST";
  /** The fields that are wrong, where it is about fields. */
  readonly violations: FieldViolation[];
  constructor(message: string, context: ErrorContext & { violations?: FieldViolation[] } = {}) {
    super("INVALID_REQUEST", message, context);
    this.violations = context.violations ?? [];
  }
}

/** A limit of the broker is reached. Nothing was stored. */
export class OverloadedError extends QueuecallError {
  override readonly name = "OverloadedError";
  declare readonly code: "OVERLOADED";
  /** When the broker suggests to try again. Milliseconds. */
  readonly retryAfterMs: number | undefined;
  constructor(message: string, context: ErrorContext & { retryAfterMs?: number | undefined } = {}) {
    super("OVERLOADED", message, context);
    this.retryAfterMs = context.retryAfterMs;
  }
}

/** No broker could be reached, or none that could do its work, within the timeout. */
export class BrokerUnavailableError extends QueuecallError {
  override readonly name = "BrokerUnavailableError";
  declare readonly code: "BROKER_UNAVAILABLE";
  /** Whether the request may have taken effect: "no" if it never left this process. */
  readonly accepted: "no" | "unknown";
  constructor(message: string, accepted: "no" | "unknown", context: ErrorContext = {}) {
    super("BROKER_UNAVAILABLE", message, context);
    this.accepted = accepted;
  }
}

/** The broker's reason; undefined if the error does not come from one. */
export function reasonOf(error: ConnectError): Reason | undefined {
  const info = error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === ERROR_DOMAIN);
  const reason = info?.reason ?? error.metadata.get(REASON_TRAILER) ?? "";
  return Object.hasOwn(reasons, reason) ? (reason as Reason) : undefined;
}

/** When the broker suggests to try again. Milliseconds. */
export function retryAfterMsOf(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay && durationMs(delay);
}

/** From what a Connect client threw to one of the classes above, by the one table of reasons. */
export function fromConnectError(
  thrown: unknown,
  about: { queue: string; jobId: string } = { queue: "", jobId: "" },
): QueuecallError {
  if (thrown instanceof QueuecallError) return thrown;
  const error = ConnectError.from(thrown);
  const reason = reasonOf(error);
  const context = { ...about, reason, cause: error };
  const message = error.rawMessage;
  switch (reason ? reasons[reason].thrownAs : classOf[error.code]) {
    case "TimeoutError":
      return TimeoutError.from(error) ?? new TimeoutError(about.jobId, 0, context);
    case "JobNotFoundError":
      return new JobNotFoundError(message, context);
    case "JobExistsError":
      return new JobExistsError(message, context);
    case "InvalidRequestError": {
      const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
      return new InvalidRequestError(message, {
        ...context,
        violations: violations.map(({ field, description }) => ({ field, description })),
      });
    }
    case "OverloadedError":
      return new OverloadedError(message, { ...context, retryAfterMs: retryAfterMsOf(error) });
    case "BrokerUnavailableError":
      return new BrokerUnavailableError(message, "unknown", context);
    default:
      return new QueuecallError(statusName(error.code), message, context);
  }
}

/** For errors without a reason of ours: from a proxy, an interceptor, or the connection. */
const classOf: Partial<Record<ConnectCode, string>> = {
  [ConnectCode.Unavailable]: "BrokerUnavailableError",
  [ConnectCode.ResourceExhausted]: "OverloadedError",
};

/** "PERMISSION_DENIED" for 7. */
export function statusName(code: number): string {
  return (ConnectCode[code] ?? "Unknown")
    .replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`)
    .toUpperCase()
    .replace("CANCELED", "CANCELLED");
}
