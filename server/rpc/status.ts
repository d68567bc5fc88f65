/** From an error to what goes on the wire: code, message, details, trailers. The only door; what is not a CallError leaves as INTERNAL without a word about its cause. */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { CallError, ERROR_DOMAIN, JOB_ID_TRAILER, REASON_TRAILER } from "../../protocol/errors.ts";
import type { JobState } from "../job/job.ts";
import { durationOf, stateOf } from "./translate.ts";

export interface WireStatus {
  code: number;
  message: string;
  /** google.rpc.Status, for grpc-status-details-bin. */
  details: Uint8Array;
  trailers: Record<string, string>;
}

export function toWireStatus(error: unknown): WireStatus {
  const known =
    error instanceof CallError ? error : new CallError("INTERNAL", "internal error; the broker's log has more");
  const { code, message, reason, options } = known;
  const details = detailsOf(known);
  const status = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
  const trailers: Record<string, string> = { [REASON_TRAILER]: reason };
  if (options.jobId) trailers[JOB_ID_TRAILER] = percentEncode(options.jobId);
  return { code, message, details: status, trailers };
}

function detailsOf({ reason, options }: CallError) {
  const metadata = { ...options.metadata, ...(options.jobId && { job_id: options.jobId }) };
  const details = [any(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata })];
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

function any<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>) {
  return { typeUrl: `type.googleapis.com/${schema.typeName}`, value: toBinary(schema, create(schema, init)) };
}

/** Header values are printable ASCII; everything else, and "%", is percent-encoded. */
function percentEncode(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/gu, (part) =>
    [...Buffer.from(part, "utf8")].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}
