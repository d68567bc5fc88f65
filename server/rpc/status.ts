/** From an error to what goes on the wire: code, message, details, trailers. The only door; what is neither a CallError nor a worker's own status leaves as INTERNAL without a word about its cause. */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";
import {
  CallError,
  DISPOSITION_TRAILER,
  ERROR_DOMAIN,
  JOB_ID_TRAILER,
  REASON_TRAILER,
  type Reason,
} from "../../protocol/errors.ts";
import { percentEncode } from "../../protocol/metadata.ts";
import type { JobState } from "../job/job.ts";
import { durationOf, stateOf } from "./translate.ts";

/** google.protobuf.Any. */
export interface Detail {
  typeUrl: string;
  value: Uint8Array;
}

export interface WireStatus {
  code: number;
  message: string;
  details: Detail[];
  /** Values of names in "-bin" are base64. */
  trailers: Record<string, string>;
}

/** A status that leaves as it is: what a worker said of a job that failed. */
export class JobFailed extends Error {
  override readonly name = "JobFailed";
  readonly status: WireStatus;
  constructor(status: WireStatus) {
    super(status.message);
    this.status = status;
  }
}

export function toWireStatus(error: unknown): WireStatus {
  if (error instanceof JobFailed) return error.status;
  const known =
    error instanceof CallError ? error : new CallError("INTERNAL", "internal error; the broker's log has more");
  const { code, message, reason, options } = known;
  const trailers: Record<string, string> = { [REASON_TRAILER]: reason };
  if (options.jobId) trailers[JOB_ID_TRAILER] = percentEncode(options.jobId);
  if (options.disposition) trailers[DISPOSITION_TRAILER] = options.disposition;
  return { code, message, details: detailsOf(known), trailers };
}

/** google.rpc.Status, for grpc-status-details-bin. */
export function statusBytes({ code, message, details }: WireStatus): Uint8Array {
  return toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
}

/** The detail that every error of ours has. */
export function errorInfo(reason: Reason, metadata: Record<string, string>): Detail {
  return any(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata });
}

function detailsOf({ reason, options }: CallError): Detail[] {
  const details = [errorInfo(reason, { ...options.metadata, ...(options.jobId && { job_id: options.jobId }) })];
  if (options.violations) details.push(any(BadRequestSchema, { fieldViolations: options.violations }));
  if (options.retryAfterMs !== undefined) {
    details.push(any(RetryInfoSchema, { retryDelay: durationOf(options.retryAfterMs) }));
  }
  if (options.waitTimeout) {
    const { queue, jobId, state, attempt, waitedMs } = options.waitTimeout;
    const waited = durationOf(waitedMs);
    details.push(any(WaitTimeoutSchema, { queue, jobId, state: stateOf(state as JobState), attempt, waited }));
  }
  return details;
}

function any<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Detail {
  return { typeUrl: `type.googleapis.com/${schema.typeName}`, value: toBinary(schema, create(schema, init)) };
}
