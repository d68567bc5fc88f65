/** How an attempt ended, in the protocol's words. The only place that turns what handlers throw into a Failed. */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Settlement } from "../gen/queuecall/v1/worker_pb.js";
import { CancelledSchema, FailedSchema, ReleasedSchema } from "../gen/queuecall/v1/worker_pb.js";
import { Code } from "../protocol/errors.ts";
import {
  MAX_DURATION_MS,
  MAX_FAILURE_DETAILS_BYTES,
  MAX_FAILURE_MESSAGE_BYTES,
  MAX_FAILURE_TYPE_BYTES,
  MAX_STACK_BYTES,
} from "../protocol/limits.ts";
import type { Answer } from "./attempt.ts";
import { NonRetryableError, RetryableError } from "./errors.ts";

export type Outcome = Exclude<Settlement["outcome"], { case: undefined }>;

export const released: Outcome = { case: "released", value: create(ReleasedSchema) };
export const cancelled: Outcome = { case: "cancelled", value: create(CancelledSchema) };

export function completed(answer: Answer | undefined): Outcome {
  const { payload, headers = {} } = answer ?? {};
  return { case: "completed", value: { $typeName: "queuecall.v1.Completed", payload, headers } };
}

/** A failure that the library itself reports. @param retryable absent: as the job says */
export function failure(code: number, message: string, retryable?: boolean, type = ""): Outcome {
  const said = retryable !== undefined && { retryable };
  return { case: "failed", value: create(FailedSchema, { status: { code, message }, type, ...said }) };
}

/** A failure from whatever was thrown: errors, DOMExceptions, strings, null. */
export function failed(thrown: unknown): Outcome {
  const { message, type, stack } = describe(thrown);
  const retryAfter = thrown instanceof RetryableError ? thrown.retryAfter : undefined;
  const retryable = thrown instanceof NonRetryableError ? false : thrown instanceof RetryableError ? true : undefined;
  const value = create(FailedSchema, {
    status: { code: codeOf(thrown), message: clip(message, MAX_FAILURE_MESSAGE_BYTES), details: detailsOf(thrown) },
    type: clip(type, MAX_FAILURE_TYPE_BYTES),
    stack: clip(stack, MAX_STACK_BYTES),
    headers: headersOf(thrown),
    ...(retryable !== undefined && { retryable }),
    ...(retryAfter !== undefined && { retryAfter: durationFromMs(Math.round(Math.min(retryAfter, MAX_DURATION_MS))) }),
  });
  return { case: "failed", value };
}

function describe(thrown: unknown): { message: string; type: string; stack: string } {
  if (typeof thrown === "object" && thrown !== null && "message" in thrown) {
    const error = thrown as { name?: unknown; message: unknown; rawMessage?: unknown; stack?: unknown };
    // ConnectError's message repeats its code in front; rawMessage is what the author wrote.
    const message = typeof error.rawMessage === "string" ? error.rawMessage : printed(error.message);
    return { message, type: classOf(error), stack: stackOf(error) };
  }
  return { message: printed(thrown), type: "", stack: "" };
}

/** A subclass that did not set its name is still known by its constructor. */
function classOf(error: object & { name?: unknown }): string {
  const name = typeof error.name === "string" ? error.name : "";
  return name === "" || name === "Error" ? (error.constructor?.name ?? name) : name;
}

/** With its causes: "fetch failed" alone helps nobody. */
function stackOf(error: { stack?: unknown; cause?: unknown }, depth = 0): string {
  const own = typeof error.stack === "string" ? error.stack : "";
  const { cause } = error;
  if (typeof cause !== "object" || cause === null || depth === 4) return own;
  const below = stackOf(cause, depth + 1);
  return below === "" ? own : `${own}\nCaused by: ${below}`;
}

/** gRPC and Connect errors carry a status code. A DOMException's `code` is a number of another table. */
function codeOf(thrown: unknown): number {
  if (typeof thrown !== "object" || thrown === null || thrown instanceof DOMException) return Code.UNKNOWN;
  const { code } = thrown as { code?: unknown };
  return typeof code === "number" && Number.isInteger(code) && code >= 1 && code <= 16 ? code : Code.UNKNOWN;
}

/** The metadata of a ConnectError. */
function headersOf(thrown: unknown): Record<string, string> {
  const metadata = typeof thrown === "object" && thrown !== null && "metadata" in thrown ? thrown.metadata : undefined;
  return metadata instanceof Headers ? Object.fromEntries(metadata) : {};
}

/** The details of a ConnectError, as they came from another call or as they were made here; together within the limit, or none. */
function detailsOf(thrown: unknown): { typeUrl: string; value: Uint8Array }[] {
  const details = typeof thrown === "object" && thrown !== null && "details" in thrown ? thrown.details : undefined;
  if (!Array.isArray(details)) return [];
  const kept = details.map(binary).filter((detail) => detail !== undefined);
  const bytes = kept.reduce((sum, { typeUrl, value }) => sum + typeUrl.length + value.length, 0);
  return bytes > MAX_FAILURE_DETAILS_BYTES - MAX_FAILURE_MESSAGE_BYTES - 1024 ? [] : kept;
}

/** Undefined for what is no detail: other errors have a property of this name, too. */
function binary(detail: Partial<{ type: string; desc: DescMessage; value: unknown }> | null) {
  const { type, desc, value } = detail ?? {};
  if (typeof type === "string" && value instanceof Uint8Array) return { typeUrl: `type.googleapis.com/${type}`, value };
  if (desc?.kind !== "message" || typeof value !== "object") return undefined;
  return {
    typeUrl: `type.googleapis.com/${desc.typeName}`,
    value: toBinary(desc, create(desc, value as MessageInitShape<DescMessage>)),
  };
}

function printed(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** Cuts at a character's border, so that `text` has at most `maxBytes` of valid UTF-8. */
export function clip(text: string, maxBytes: number): string {
  const whole = text.toWellFormed();
  if (whole.length * 3 <= maxBytes) return whole;
  const bytes = Buffer.from(whole);
  if (bytes.length <= maxBytes) return whole;
  let end = maxBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
