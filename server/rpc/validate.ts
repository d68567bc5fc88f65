/**
 * What a caller may send. Every refusal names the field, the limit and what to
 * send instead, and comes before anything is stored.
 */
import { createHash, hash } from "node:crypto";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type JobSpec as ProtoJobSpec,
  OnDuplicate as ProtoOnDuplicate,
  RetryOn as ProtoRetryOn,
} from "../../gen/queuecall/v1/job_pb.js";
import type { Backoff } from "../../protocol/backoff.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CallError, invalidField } from "../../protocol/errors.ts";
import { generateJobId, jobIdOfRequest } from "../../protocol/job-id.ts";
import * as limit from "../../protocol/limits.ts";
import type { JobKey, JobSpec, OnDuplicate, Payload, RetryOn } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import { payloadFrom } from "./translate.ts";

const NANOS_PER_MS = 1e6;
const CONTROL = /\p{Cc}/u;
/** Up to here, to copy what is hashed is cheaper than to make a Hash for it. */
const COPIED_BYTES = 16 * 1024;
/** What is hashed is put together here. */
const copied = Buffer.allocUnsafeSlow(COPIED_BYTES);

const policies: Partial<Record<ProtoOnDuplicate, OnDuplicate>> = {
  [ProtoOnDuplicate.UNSPECIFIED]: "join",
  [ProtoOnDuplicate.JOIN]: "join",
  [ProtoOnDuplicate.REJECT]: "reject",
  [ProtoOnDuplicate.RERUN_IF_FAILED]: "rerun_if_failed",
  [ProtoOnDuplicate.RERUN_IF_FINISHED]: "rerun_if_finished",
};

const retries: Partial<Record<ProtoRetryOn, RetryOn>> = {
  [ProtoRetryOn.UNSPECIFIED]: "failure",
  [ProtoRetryOn.FAILURE]: "failure",
  [ProtoRetryOn.UNAVAILABLE]: "unavailable",
};

/** What the fields of a spec are called, for refusals. Where it comes from elsewhere, they have other names. */
const specFields = {
  queue: "spec.queue",
  jobId: "spec.job_id",
  method: "spec.method",
  payload: "spec.payload",
  headers: "spec.headers",
  priority: "spec.priority",
  delay: "spec.delay",
  maxAttempts: "spec.max_attempts",
  backoff: "spec.backoff",
  retryOn: "spec.retry_on",
  runTimeout: "spec.run_timeout",
  startTimeout: "spec.start_timeout",
  resultTtl: "spec.result_ttl",
  onDuplicate: "spec.on_duplicate",
};
export type FieldNames = Record<keyof typeof specFields, string>;

/** A spec with every default filled in. */
export function jobSpec(
  spec: ProtoJobSpec | undefined,
  requestId: Uint8Array,
  clock: Clock,
  settings: BrokerSettings,
  fields: FieldNames = specFields,
): JobSpec {
  if (!spec) throw invalidField("spec", "is required");
  const payload = payloadOf(fields.payload, spec.payload, settings.maxPayloadBytes);
  const delayMs = durationMs(fields.delay, spec.delay, { zero: true }) ?? 0;
  const startTimeoutMs = durationMs(fields.startTimeout, spec.startTimeout) ?? 0;
  if (startTimeoutMs > 0 && startTimeoutMs <= delayMs) {
    throw invalidField(
      fields.startTimeout,
      `${startTimeoutMs} ms is not above ${fields.delay}, ${delayMs} ms: it could never start in time`,
    );
  }
  return {
    queue: queueName(fields.queue, spec.queue),
    jobId: spec.jobId === "" ? unnamed(requestId, clock) : jobId(fields.jobId, spec.jobId),
    method: text(fields.method, spec.method, limit.MAX_METHOD_BYTES),
    payload,
    digest: digestOf(spec.method, payload),
    ...headersAndLabels(fields.headers, spec, settings.maxHeadersBytes),
    priority: integer(fields.priority, spec.priority, limit.MIN_PRIORITY, limit.MAX_PRIORITY),
    delayMs,
    maxAttempts: integer(fields.maxAttempts, spec.maxAttempts, 0, limit.MAX_MAX_ATTEMPTS) || limit.DEFAULT_MAX_ATTEMPTS,
    backoff: backoff(fields.backoff, spec),
    retryOn: retryOn(fields.retryOn, spec.retryOn),
    runTimeoutMs: durationMs(fields.runTimeout, spec.runTimeout) ?? 0,
    startTimeoutMs,
    resultTtlMs: resultTtlMs(fields.resultTtl, spec.resultTtl) ?? limit.DEFAULT_RESULT_TTL_MS,
    onDuplicate: onDuplicate(fields.onDuplicate, spec.onDuplicate),
    rejectPayloadMismatch: spec.rejectPayloadMismatch,
  };
}

/** A job without an id is named after its request, so that a repeat of it finds the job. */
function unnamed(requestId: Uint8Array, clock: Clock): string {
  return requestId.length === limit.REQUEST_ID_BYTES ? jobIdOfRequest(requestId) : generateJobId(clock);
}

/** Which job. */
export function jobKey(request: { queue: string; jobId: string }): JobKey {
  if (request.jobId === "") throw invalidField("job_id", "is required");
  return { queue: queueName("queue", request.queue), jobId: jobId("job_id", request.jobId) };
}

/** The caller's, or one of our own, so that a storage that repeats a step finds out that it did. */
export function requestId(id: Uint8Array, clock: Clock): Uint8Array {
  if (id.length === 0) return clock.randomBytes(limit.REQUEST_ID_BYTES);
  if (id.length !== limit.REQUEST_ID_BYTES) {
    throw invalidField("request_id", `has ${id.length} bytes; send ${limit.REQUEST_ID_BYTES} random ones, or none`);
  }
  return id;
}

/** Any length: what is too long is clamped by the broker. Undefined where absent. */
export function waitTimeoutMs(duration: Duration | undefined): number | undefined {
  return durationMs("wait_timeout", duration, { zero: true, max: Number.POSITIVE_INFINITY });
}

export function resultTtlMs(field: string, duration: Duration | undefined): number | undefined {
  return durationMs(field, duration, { min: limit.MIN_RESULT_TTL_MS });
}

export function queueName(field: string, queue: string): string {
  if (limit.QUEUE_PATTERN.test(queue)) return queue;
  const what = queue === "" ? "is required" : `${quoted(queue)} is not a queue name`;
  throw invalidField(field, `${what}: 1 to 128 characters of A-Z a-z 0-9 . _ / -`);
}

export function jobId(field: string, id: string): string {
  const bytes = Buffer.byteLength(id, "utf8");
  if (bytes > limit.MAX_JOB_ID_BYTES) {
    throw invalidField(field, `has ${bytes} bytes, the limit is ${limit.MAX_JOB_ID_BYTES}: send a hash of it`);
  }
  if (CONTROL.test(id)) throw invalidField(field, "has a control character: encode it");
  return id;
}

/** Milliseconds, rounded up; undefined where absent. Zero only where it means something. */
export function durationMs(
  field: string,
  duration: Duration | undefined,
  { zero = false, min = 0, max = limit.MAX_DURATION_MS }: { zero?: boolean; min?: number; max?: number } = {},
): number | undefined {
  if (!duration) return undefined;
  const { seconds, nanos } = duration;
  if (seconds < 0n || nanos < 0) throw invalidField(field, "is negative: durations are relative and count from now");
  if (nanos > 999_999_999) throw invalidField(field, `nanos is ${nanos}; it goes from 0 to 999,999,999`);
  const ms = Number(seconds) * 1000 + Math.ceil(nanos / NANOS_PER_MS);
  if (ms === 0 && !zero) throw invalidField(field, "is zero: leave it out for the default, or send more");
  if (ms < min) throw invalidField(field, `is ${ms} ms, the least is ${min} ms`);
  if (ms > max) throw invalidField(field, `is ${ms} ms, the most is ${max} ms (${max / 86_400_000} days)`);
  return ms;
}

export function payloadOf(field: string, message: ProtoJobSpec["payload"], maxBytes: number): Payload {
  const payload = payloadFrom(message);
  if (payload.data.length > maxBytes) {
    throw tooLarge(field, payload.data.length, maxBytes, "store the data elsewhere and send a reference");
  }
  text(`${field}.content_type`, payload.contentType, limit.MAX_CONTENT_TYPE_BYTES);
  text(`${field}.message_type`, payload.messageType, limit.MAX_MESSAGE_TYPE_BYTES);
  return payload;
}

export function text(field: string, value: string, maxBytes: number): string {
  const bytes = Buffer.byteLength(value, "utf8");
  if (bytes > maxBytes) throw invalidField(field, `has ${bytes} bytes, the limit is ${maxBytes}`);
  if (CONTROL.test(value)) throw invalidField(field, "has a control character: leave it out");
  return value;
}

export function integer(field: string, value: number, min: number, max: number): number {
  if (value < min || value > max) throw invalidField(field, `is ${value}; it goes from ${min} to ${max}`);
  return value;
}

function onDuplicate(field: string, policy: ProtoOnDuplicate): OnDuplicate {
  const known = policies[policy];
  if (!known) throw invalidField(field, `${policy} is not a policy this broker knows`);
  return known;
}

function retryOn(field: string, asked: ProtoRetryOn): RetryOn {
  const known = retries[asked];
  if (!known) throw invalidField(field, `${asked} is nothing this broker knows`);
  return known;
}

function backoff(field: string, { backoff: asked }: ProtoJobSpec): Backoff {
  const most = { max: limit.MAX_BACKOFF_MS };
  const initialMs = durationMs(`${field}.initial`, asked?.initial, most) ?? limit.DEFAULT_BACKOFF_INITIAL_MS;
  const maxMs = durationMs(`${field}.max`, asked?.max, most) ?? Math.max(initialMs, limit.DEFAULT_BACKOFF_MAX_MS);
  const multiplier = asked?.multiplier || limit.DEFAULT_BACKOFF_MULTIPLIER;
  if (!(multiplier >= 1 && multiplier <= limit.MAX_BACKOFF_MULTIPLIER)) {
    throw invalidField(`${field}.multiplier`, `is ${multiplier}; it goes from 1 to ${limit.MAX_BACKOFF_MULTIPLIER}`);
  }
  if (maxMs < initialMs) throw invalidField(`${field}.max`, `is ${maxMs} ms, below ${field}.initial, ${initialMs} ms`);
  return { initialMs, multiplier, maxMs };
}

function headersAndLabels(field: string, { headers, labels }: ProtoJobSpec, maxBytes: number) {
  let bytes = 0;
  for (const [name, value] of [...Object.entries(headers), ...Object.entries(labels)]) {
    bytes += Buffer.byteLength(name, "utf8") + Buffer.byteLength(value, "utf8");
  }
  if (bytes > maxBytes)
    throw tooLarge(field, bytes, maxBytes, "headers and labels together: send less, or put it into the payload");
  return { headers, labels };
}

function tooLarge(field: string, bytes: number, maxBytes: number, remedy: string): CallError {
  const description = `has ${bytes} bytes, the limit is ${maxBytes}: ${remedy}`;
  return new CallError("PAYLOAD_TOO_LARGE", `${field}: ${description}`, {
    metadata: { field, limit_bytes: String(maxBytes), size_bytes: String(bytes) },
    violations: [{ field, description }],
  });
}

/** What makes two payloads the same; empty data names a job without describing it. */
function digestOf(method: string, payload: Payload): Uint8Array {
  if (payload.data.length === 0) return new Uint8Array();
  const about = `${method}\0${payload.contentType}\0`;
  return sha256(about, payload.data).subarray(0, 16);
}

function sha256(about: string, data: Uint8Array): Buffer {
  const most = about.length * 3 + data.length;
  if (most > COPIED_BYTES) return createHash("sha256").update(about).update(data).digest();
  const at = copied.write(about);
  copied.set(data, at);
  return hash("sha256", copied.subarray(0, at + data.length), "buffer");
}

function quoted(value: string): string {
  return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
}
