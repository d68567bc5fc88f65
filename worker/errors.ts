/** What handlers throw, and what they find in `ctx.signal.reason`. */

/** Throw it from a handler: this job failed for good, whatever tries are left. */
export class NonRetryableError extends Error {
  override readonly name: string = "NonRetryableError";
  /** gRPC status code (1–16) that the caller sees. Default 2, UNKNOWN. */
  readonly code: number | undefined;
  constructor(message: string, options: ErrorOptions & { code?: number } = {}) {
    super(message, options);
    this.code = options.code;
  }
}

/** Throw it from a handler: another try can help, also where the error's code says otherwise. */
export class RetryableError extends Error {
  override readonly name: string = "RetryableError";
  /** Wait this long before the next try, instead of the job's back-off. Milliseconds. Default: the job's back-off. */
  readonly retryAfter: number | undefined;
  /** gRPC status code (1–16) that the caller sees if no try is left. Default 2, UNKNOWN. */
  readonly code: number | undefined;
  /** @throws RangeError where `retryAfter` is negative or not finite */
  constructor(message: string, options: ErrorOptions & { retryAfter?: number; code?: number } = {}) {
    super(message, options);
    const { retryAfter } = options;
    if (retryAfter !== undefined && !(retryAfter >= 0 && Number.isFinite(retryAfter))) {
      throw new RangeError(`retryAfter is ${retryAfter}: give milliseconds, zero or more`);
    }
    this.retryAfter = retryAfter;
    this.code = options.code;
  }
}

/**
 * Why an attempt should stop:
 * - `cancel-requested`: a caller cancelled the job. Rejecting ends it CANCELLED, a result still wins.
 * - `lease-lost`: the job is not this worker's any more, or the broker was silent for so long that it may not be. A result is most likely dropped.
 * - `run-timeout`: the attempt ran longer than the job's run_timeout. A result is most likely dropped, too.
 * - `worker-stopping`: the drain took too long. The job is handed back unless the handler completes at once.
 */
export type StopReason = "cancel-requested" | "lease-lost" | "run-timeout" | "worker-stopping";

/** The `reason` of a handler's abort signal. */
export class AttemptStoppedError extends Error {
  override readonly name: string = "AttemptStoppedError";
  /** Which of the four it was. */
  readonly why: StopReason;
  constructor(why: StopReason, message: string) {
    super(message);
    this.why = why;
  }
}

/** A payload that the handler's codec cannot read, or a result that it cannot write: no other try would help. */
export class CodecError extends NonRetryableError {
  override readonly name: string = "CodecError";
}
