/**
 * Every error that crosses the wire: ONE table of reason ↔ status code ↔ class.
 * contract.md section 6 in code. The broker throws {@link CallError}; the rpc
 * layer turns it into a gRPC status with ErrorInfo; the client turns the
 * reason back into the class named here.
 */

/** gRPC status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** The domain of every ErrorInfo we send. */
export const ERROR_DOMAIN = "queuecall";
/** Trailer with the reason, for clients that cannot read status details. */
export const REASON_TRAILER = "queuecall-reason";
/** Trailer with the job's id, percent-encoded outside printable ASCII. */
export const JOB_ID_TRAILER = "queuecall-job-id";
/** Trailer with what the enqueue did, where there was one: "created", "joined", "cached". */
export const DISPOSITION_TRAILER = "queuecall-disposition";

/** Header of transparent calls: "true" where the job of this id has another payload. */
export const PAYLOAD_MISMATCH_HEADER = "queuecall-payload-mismatch";

/** Reason → status code and the class that the TypeScript client throws. */
export const reasons = {
  INVALID_FIELD: { code: Code.INVALID_ARGUMENT, thrownAs: "InvalidRequestError" },
  PAYLOAD_TOO_LARGE: { code: Code.INVALID_ARGUMENT, thrownAs: "InvalidRequestError" },
  JOB_ALREADY_EXISTS: { code: Code.ALREADY_EXISTS, thrownAs: "JobExistsError" },
  PAYLOAD_MISMATCH: { code: Code.ALREADY_EXISTS, thrownAs: "JobExistsError" },
  JOB_NOT_FOUND: { code: Code.NOT_FOUND, thrownAs: "JobNotFoundError" },
  OUTCOME_EXPIRED: { code: Code.NOT_FOUND, thrownAs: "JobNotFoundError" },
  WRONG_STATE: { code: Code.FAILED_PRECONDITION, thrownAs: "InvalidRequestError" },
  WAIT_TIMEOUT: { code: Code.DEADLINE_EXCEEDED, thrownAs: "TimeoutError" },
  ENQUEUE_UNCONFIRMED: { code: Code.DEADLINE_EXCEEDED, thrownAs: "BrokerUnavailableError" },
  WAIT_INTERRUPTED: { code: Code.UNAVAILABLE, thrownAs: "BrokerUnavailableError" },
  BROKER_DRAINING: { code: Code.UNAVAILABLE, thrownAs: "BrokerUnavailableError" },
  STORE_UNAVAILABLE: { code: Code.UNAVAILABLE, thrownAs: "BrokerUnavailableError" },
  QUEUE_FULL: { code: Code.RESOURCE_EXHAUSTED, thrownAs: "OverloadedError" },
  RATE_LIMITED: { code: Code.RESOURCE_EXHAUSTED, thrownAs: "OverloadedError" },
  STORE_FULL: { code: Code.RESOURCE_EXHAUSTED, thrownAs: "OverloadedError" },
  TOO_MANY_WAITERS: { code: Code.RESOURCE_EXHAUSTED, thrownAs: "OverloadedError" },
  UNAUTHENTICATED: { code: Code.UNAUTHENTICATED, thrownAs: "QueuecallError" },
  PERMISSION_DENIED: { code: Code.PERMISSION_DENIED, thrownAs: "QueuecallError" },
  NO_SUCH_SERVICE: { code: Code.UNIMPLEMENTED, thrownAs: "QueuecallError" },
  NO_SUCH_METHOD: { code: Code.UNIMPLEMENTED, thrownAs: "QueuecallError" },
  /** Of transparent calls only, whose code is the failure's own. */
  JOB_FAILED: { code: Code.UNKNOWN, thrownAs: "QueuecallError" },
  PROTOCOL_VIOLATION: { code: Code.INVALID_ARGUMENT, thrownAs: "QueuecallError" },
  PROTOCOL_VERSION: { code: Code.FAILED_PRECONDITION, thrownAs: "QueuecallError" },
  SESSION_SUPERSEDED: { code: Code.ABORTED, thrownAs: "QueuecallError" },
  INTERNAL: { code: Code.INTERNAL, thrownAs: "QueuecallError" },
} as const;

/** Why a call failed: the `reason` of ErrorInfo. */
export type Reason = keyof typeof reasons;

/** One field that is wrong, as in google.rpc.BadRequest. */
export interface FieldViolation {
  /** Path in the request, e.g. "spec.queue". */
  field: string;
  /** What is wrong, the limit, and what to send instead. */
  description: string;
}

/** What goes with an error beside reason and message. */
export interface CallErrorOptions {
  /** Everything variable in the message, for programs. Keys in snake_case. */
  metadata?: Record<string, string>;
  /** The job it is about. */
  jobId?: string;
  /** What the enqueue did, where there was one before the error. */
  disposition?: "created" | "joined" | "cached";
  /** BadRequest details. */
  violations?: FieldViolation[];
  /** RetryInfo: try again after this long. Milliseconds. */
  retryAfterMs?: number;
  /** The WaitTimeout detail. */
  waitTimeout?: { queue: string; jobId: string; state: string; attempt: number; waitedMs: number };
  cause?: unknown;
}

/** An error that may cross the wire as it is: it names no internals. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly reason: Reason;
  readonly options: CallErrorOptions;
  constructor(reason: Reason, message: string, options: CallErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.options = options;
  }
  /** The same error, and more that goes with it. */
  with(more: CallErrorOptions): CallError {
    return new CallError(this.reason, this.message, { ...this.options, ...more });
  }
  /** The gRPC status code that the table gives this reason. */
  get code(): number {
    return reasons[this.reason].code;
  }
}

/** INVALID_FIELD for one field. */
export function invalidField(field: string, description: string): CallError {
  return new CallError("INVALID_FIELD", `${field}: ${description}`, {
    metadata: { field },
    violations: [{ field, description }],
  });
}

const final = new Set<number>([
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.ALREADY_EXISTS,
  Code.PERMISSION_DENIED,
  Code.UNAUTHENTICATED,
  Code.FAILED_PRECONDITION,
  Code.OUT_OF_RANGE,
  Code.UNIMPLEMENTED,
]);

/** Whether another try can help a failure of this code, where the worker did not say (contract.md section 4, rule 9). */
export function retryableByDefault(code: number): boolean {
  return !final.has(code);
}
