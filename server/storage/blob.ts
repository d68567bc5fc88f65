/** How backends keep the parts of a job that their queries never look into. One codec for both. */
import type { FailureDetail, Payload, Progress } from "../job/job.ts";

/** Method, headers, labels, content type and message type: all a worker or a person reads beside the data. */
export interface Envelope {
  method: string;
  headers: Record<string, string>;
  labels: Record<string, string>;
}

/** content type NUL message type NUL data: the data is not copied into text. */
export function encodePayload(payload: Payload): Buffer {
  return Buffer.concat([Buffer.from(`${payload.contentType}\0${payload.messageType}\0`, "utf8"), payload.data]);
}

/** What a job counts for in its queue: Unfinished.bytes. */
export function bytesOf({ payload, ...envelope }: Envelope & { payload: Payload }): number {
  const { contentType, messageType, data } = payload;
  const types = Buffer.byteLength(contentType) + Buffer.byteLength(messageType) + 2;
  return Buffer.byteLength(encodeEnvelope(envelope)) + types + data.length;
}

export function decodePayload(blob: Uint8Array): Payload {
  const buffer = Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength);
  const first = buffer.indexOf(0);
  const second = buffer.indexOf(0, first + 1);
  return {
    contentType: buffer.toString("utf8", 0, first),
    messageType: buffer.toString("utf8", first + 1, second),
    data: buffer.subarray(second + 1),
  };
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
  // fromEntries defines own properties, so "__proto__" stays an ordinary key.
  return { method, headers: Object.fromEntries(headers), labels: Object.fromEntries(labels) };
}

export function encodeFailure(detail: FailureDetail): string {
  const { status, type, stack } = detail;
  const details = status.details.map((any) => [any.typeUrl, Buffer.from(any.value).toString("base64")]);
  return JSON.stringify([status.code, status.message, details, type, stack]);
}

export function decodeFailure(text: string): FailureDetail {
  const [code, message, details, type, stack] = JSON.parse(text) as [
    number,
    string,
    [string, string][],
    string,
    string,
  ];
  return {
    status: {
      code,
      message,
      details: details.map(([typeUrl, value]) => ({ typeUrl, value: Buffer.from(value, "base64") })),
    },
    type,
    stack,
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
