/** How backends keep the parts of a job that their queries never look into. One codec for both. */
import type { FailureDetail, Payload, Progress, Result } from "../job/job.ts";
import type { JobRecord } from "../job/record.ts";

type Retries = Pick<JobRecord, "backoff" | "retryOn">;

/** Method, headers, labels, content type and message type: all a worker or a person reads beside the data. */
export interface Envelope {
  method: string;
  headers: Record<string, string>;
  labels: Record<string, string>;
}

/** In front of headers: no content type starts with it. */
const WITH_HEADERS = 1;

export function encodePayload(payload: Result): Buffer {
  return Buffer.concat(payloadParts(payload));
}

/** content type NUL message type NUL data: the data is not copied into text. Before it, where a result has any, headers as JSON. */
export function payloadParts({ contentType, messageType, data, headers }: Result): [types: Buffer, data: Uint8Array] {
  const before = headers ? `${String.fromCharCode(WITH_HEADERS)}${JSON.stringify(Object.entries(headers))}\0` : "";
  return [Buffer.from(`${before}${contentType}\0${messageType}\0`, "utf8"), data];
}

/** What a job counts for in its queue: Unfinished.bytes. */
export function bytesOf(spec: Envelope & { payload: Payload }): number {
  const { contentType, messageType, data } = spec.payload;
  const types = Buffer.byteLength(contentType) + Buffer.byteLength(messageType) + 2;
  return Buffer.byteLength(encodeEnvelope(spec)) + types + data.length;
}

export function decodePayload(blob: Uint8Array): Result {
  const buffer = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength);
  const start = buffer[0] === WITH_HEADERS ? buffer.indexOf(0) + 1 : 0;
  const first = buffer.indexOf(0, start);
  const second = buffer.indexOf(0, first + 1);
  return {
    contentType: buffer.toString("utf8", start, first),
    messageType: buffer.toString("utf8", first + 1, second),
    data: buffer.subarray(second + 1),
    ...(start > 0 && { headers: headersFrom(JSON.parse(buffer.toString("utf8", 1, start - 1))) }),
  };
}

/** fromEntries defines own properties, so "__proto__" stays an ordinary key. */
function headersFrom(entries: [string, string][]): Record<string, string> {
  return Object.fromEntries(entries);
}

/** The method alone where there is nothing else, to keep small jobs small; JSON otherwise (a method starts with "/" or is plain text, never with "["). */
export function encodeEnvelope(envelope: Envelope): string {
  const plain = Object.keys(envelope.headers).length === 0 && Object.keys(envelope.labels).length === 0;
  if (plain && !envelope.method.startsWith("[")) return envelope.method;
  return JSON.stringify([envelope.method, Object.entries(envelope.headers), Object.entries(envelope.labels)]);
}

export function decodeEnvelope(text: string): Envelope {
  if (!text.startsWith("[")) return { method: text, headers: {}, labels: {} };
  const [method, headers, labels] = JSON.parse(text) as [string, [string, string][], [string, string][]];
  return { method, headers: headersFrom(headers), labels: headersFrom(labels) };
}

export function encodeFailure(detail: FailureDetail): string {
  const { status, type, stack } = detail;
  const details = status.details.map((any) => [any.typeUrl, Buffer.from(any.value).toString("base64")]);
  const headers = detail.headers && [Object.entries(detail.headers)];
  return JSON.stringify([status.code, status.message, details, type, stack, ...(headers ?? [])]);
}

export function decodeFailure(text: string): FailureDetail {
  const [code, message, details, type, stack, headers] = JSON.parse(text) as [
    number,
    string,
    [string, string][],
    string,
    string,
    [string, string][]?,
  ];
  return {
    status: {
      code,
      message,
      details: details.map(([typeUrl, value]) => ({ typeUrl, value: Buffer.from(value, "base64") })),
    },
    type,
    stack,
    ...(headers && { headers: headersFrom(headers) }),
  };
}

/** How a job is retried: back-off, and what is retried where that is not any failure: "100,2,30000", "100,2,30000,unavailable". */
export function encodeRetries({ backoff, retryOn }: Retries): string {
  const { initialMs, multiplier, maxMs } = backoff;
  return `${initialMs},${multiplier},${maxMs}${retryOn === "unavailable" ? ",unavailable" : ""}`;
}

export function decodeRetries(text: string): Retries {
  const [initialMs, multiplier, maxMs, retryOn] = text.split(",");
  return {
    backoff: { initialMs: Number(initialMs), multiplier: Number(multiplier), maxMs: Number(maxMs) },
    retryOn: retryOn === "unavailable" ? retryOn : "failure",
  };
}

export function encodeProgress(progress: Progress): string {
  const details = progress.details && encodePayload(progress.details).toString("base64");
  return JSON.stringify([progress.current, progress.total, progress.message, details]);
}

export function decodeProgress(text: string): Progress {
  const [current, total, message, details] = JSON.parse(text) as [number, number, string, string?];
  const progress: Progress = { current, total, message };
  if (details) progress.details = decodePayload(Buffer.from(details, "base64"));
  return progress;
}
