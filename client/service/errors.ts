/** From the errors of queues to those of Connect clients: what a stub of any language would get of a broker for the same call. */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code as ConnectCode, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { JobState as WireState } from "../../gen/queuecall/v1/job_pb.js";
import { Code, ERROR_DOMAIN, JOB_ID_TRAILER, REASON_TRAILER, type Reason } from "../../protocol/errors.ts";
import { percentEncode } from "../../protocol/metadata.ts";
import {
  BrokerUnavailableError,
  InvalidRequestError,
  type JobCancelledError,
  type JobFailedError,
  QueuecallError,
  TimeoutError,
} from "../errors.ts";

interface Detail {
  type: string;
  value: Uint8Array;
}

/** A job that ended without a result: the handler's own status, or what else became of the job. @param headers go along */
export function failedCall(error: JobFailedError | JobCancelledError, headers: Record<string, string>): ConnectError {
  const { queue = "", jobId = "", failure } = error;
  const about = { kind: failure.kind.replaceAll("-", "_").toUpperCase(), queue, job_id: jobId };
  const own = failure.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  const details = failure.kind === "handler" ? own : [errorInfo("JOB_FAILED", about)];
  const metadata = { ...headers, [REASON_TRAILER]: "JOB_FAILED" };
  return connectError(failure.message, codeOf(failure.code), metadata, details, error);
}

/** @param thrown by a queue, or by what is around the call */
export function unansweredCall(thrown: unknown): ConnectError {
  if (thrown instanceof TimeoutError) return timedOut(thrown);
  if (thrown instanceof BrokerUnavailableError)
    return connectError(thrown.message, ConnectCode.Unavailable, metadataOf(thrown), [], thrown);
  if (!(thrown instanceof QueuecallError)) return ConnectError.from(thrown);
  // What a broker said comes as it was said.
  if (thrown.cause instanceof ConnectError) return thrown.cause;
  if (thrown instanceof InvalidRequestError) return invalid(thrown);
  const code = thrown.code === "CLIENT_CLOSED" ? ConnectCode.Canceled : ConnectCode.Internal;
  return connectError(thrown.message, code, metadataOf(thrown), [], thrown);
}

/** Streams cannot be jobs. @param path "/acme.v1.Thumbnailer/Preview" */
export function noStreams(path: string): ConnectError {
  const message = `${path} is a streaming method: only unary calls can be jobs; call its server directly`;
  const details = [errorInfo("NO_SUCH_METHOD", { method: path })];
  return connectError(message, ConnectCode.Unimplemented, { [REASON_TRAILER]: "NO_SUCH_METHOD" }, details);
}

function timedOut(error: TimeoutError): ConnectError {
  const { queue = "", jobId, state = "unspecified", attempt = 0, timeoutMs, message } = error;
  const wait = {
    queue,
    jobId,
    state: WireState[state.toUpperCase() as keyof typeof WireState],
    attempt,
    waited: durationFromMs(Math.ceil(timeoutMs)),
  };
  const details = [errorInfo("WAIT_TIMEOUT", { queue, job_id: jobId }), detail(WaitTimeoutSchema, wait)];
  const metadata = { [REASON_TRAILER]: "WAIT_TIMEOUT", [JOB_ID_TRAILER]: percentEncode(jobId) };
  return connectError(message, ConnectCode.DeadlineExceeded, metadata, details, error);
}

function invalid(error: InvalidRequestError): ConnectError {
  const fieldViolations = error.violations;
  const details = [
    errorInfo("INVALID_FIELD", { field: fieldViolations[0]?.field ?? "" }),
    detail(BadRequestSchema, { fieldViolations }),
  ];
  const metadata = { [REASON_TRAILER]: "INVALID_FIELD" };
  return connectError(error.message, ConnectCode.InvalidArgument, metadata, details, error);
}

function metadataOf({ reason, jobId }: QueuecallError): Record<string, string> {
  return {
    ...(reason !== undefined && { [REASON_TRAILER]: reason }),
    ...(jobId && { [JOB_ID_TRAILER]: percentEncode(jobId) }),
  };
}

/** What is no status of an error is UNKNOWN. */
function codeOf(name: string): ConnectCode {
  const code = Code[name as keyof typeof Code] ?? Code.UNKNOWN;
  return code === Code.OK ? Code.UNKNOWN : code;
}

function errorInfo(reason: Reason, metadata: Record<string, string>): Detail {
  return detail(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata });
}

function detail<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Detail {
  return { type: schema.typeName, value: toBinary(schema, create(schema, init)) };
}

/** The details are those of an error that came over the wire: findDetails() reads them by whatever type is asked for. */
function connectError(
  message: string,
  code: ConnectCode,
  metadata: Record<string, string>,
  details: Detail[],
  cause?: unknown,
): ConnectError {
  const error = new ConnectError(message, code, metadata, undefined, cause);
  error.details = details;
  return error;
}
