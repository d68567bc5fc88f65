/** Between the proto messages and the domain's words. Shapes only: what is allowed is decided in validate.ts. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import {
  JobFailure_Kind,
  type JobSchema,
  Disposition as ProtoDisposition,
  type Job as ProtoJob,
  type Payload as ProtoPayload,
  JobState as ProtoState,
} from "../../gen/queuecall/v1/job_pb.js";
import type {
  Disposition,
  Failure,
  FailureKind,
  Job,
  JobState,
  JobStatus,
  Outcome,
  Payload,
  Progress,
  Status,
} from "../job/job.ts";

type JobInit = Exclude<MessageInitShape<typeof JobSchema>, ProtoJob>;

const states: Record<JobState, ProtoState> = {
  scheduled: ProtoState.SCHEDULED,
  queued: ProtoState.QUEUED,
  running: ProtoState.RUNNING,
  succeeded: ProtoState.SUCCEEDED,
  failed: ProtoState.FAILED,
  cancelled: ProtoState.CANCELLED,
};

const dispositions: Record<Disposition, ProtoDisposition> = {
  created: ProtoDisposition.CREATED,
  joined: ProtoDisposition.JOINED,
  cached: ProtoDisposition.CACHED,
};

const kinds: Record<FailureKind, JobFailure_Kind> = {
  handler: JobFailure_Kind.HANDLER,
  run_timeout: JobFailure_Kind.RUN_TIMEOUT,
  start_timeout: JobFailure_Kind.START_TIMEOUT,
  crash_loop: JobFailure_Kind.CRASH_LOOP,
  result_too_large: JobFailure_Kind.RESULT_TOO_LARGE,
  cancelled: JobFailure_Kind.CANCELLED,
};

const statesFrom = new Map(Object.entries(states).map(([state, proto]) => [proto, state as JobState]));

/** Undefined for a state that this broker does not know. */
export const stateFrom = (state: ProtoState): JobState | undefined => statesFrom.get(state);
export const failureKindOf = (kind: FailureKind): JobFailure_Kind => kinds[kind];
export const stateOf = (state: JobState): ProtoState => states[state];
export const dispositionOf = (disposition: Disposition): ProtoDisposition => dispositions[disposition];

/** Milliseconds, fractions allowed, to a Duration. */
export function durationOf(ms: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) % 1_000_000_000 };
}

/** Milliseconds since 1970. */
export function timestampOf(ms: number): { seconds: bigint; nanos: number } {
  return durationOf(ms);
}

/** Absent is zero bytes of nothing in particular. */
export function payloadFrom(payload: ProtoPayload | undefined): Payload {
  if (!payload) return { data: new Uint8Array(), contentType: "", messageType: "" };
  return { data: payload.data, contentType: payload.contentType, messageType: payload.messageType };
}

/** The short form. */
export function statusMessage(status: JobStatus, options: { stacks: boolean }): JobInit {
  const message = stateMessage(status);
  const { outcome } = status;
  if (outcome) {
    message.outcome = outcomeMessage(outcome, options);
    message.outcomeHeaders = headersOf(outcome);
  }
  return message;
}

/** The same, without what came out. */
export function stateMessage({ queue, jobId, state, version, attempt, cancelRequested }: JobStatus): JobInit {
  return { queue, jobId, state: stateOf(state), version: BigInt(version), attempt, cancelRequested };
}

/** What the worker sent along. */
export function headersOf(outcome: Outcome): Record<string, string> {
  return (outcome.kind === "result" ? outcome.payload.headers : outcome.failure.headers) ?? {};
}

/** The whole job. */
export function jobMessage(job: Job, options: { stacks: boolean }): JobInit {
  const { method, maxAttempts, priority, createTime, startTime, endTime, expireTime, progress, headers, labels } = job;
  return {
    ...statusMessage(job, options),
    method,
    maxAttempts,
    priority,
    createTime: timestampOf(createTime),
    ...(startTime && { startTime: timestampOf(startTime) }),
    ...(endTime && { endTime: timestampOf(endTime) }),
    ...(expireTime && { expireTime: timestampOf(expireTime) }),
    ...(progress && { progress: progressMessage(progress) }),
    headers,
    labels,
  };
}

function progressMessage({ current, total, message, details }: Progress) {
  return { current, total, message, ...(details && { details }) };
}

function outcomeMessage(outcome: Outcome, options: { stacks: boolean }): NonNullable<JobInit["outcome"]> {
  if (outcome.kind === "result") return { case: "result", value: outcome.payload };
  return { case: "failure", value: failureMessage(outcome.failure, options) };
}

function failureMessage({ kind, status, type, stack, attempts }: Failure, options: { stacks: boolean }) {
  return {
    kind: kinds[kind],
    status: statusInit(status),
    type,
    stack: options.stacks ? stack : "",
    attempts: attempts.map(({ number, endTime, workerId, message }) => ({
      number,
      endTime: timestampOf(endTime),
      workerId,
      message,
    })),
  };
}

/** google.rpc.Status. */
export function statusInit({ code, message, details }: Status) {
  return { code, message, details: details.map(({ typeUrl, value }) => ({ typeUrl, value })) };
}

export type { Duration, Timestamp };
