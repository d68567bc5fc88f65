/** From the words of the command line to what the client takes. */
import { readFileSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import { BYTES_TYPE, type EncodedPayload, isJson, JSON_TYPE } from "../protocol/codec.ts";
import type { QueueDefinition } from "../protocol/define-queue.ts";
import { parseDuration } from "../protocol/units.ts";
import { InputError, UsageError } from "./exit.ts";

/** A queue whose payloads pass through as they are. */
export function rawQueue(
  name: string,
): QueueDefinition<EncodedPayload, EncodedPayload, EncodedPayload, EncodedPayload> {
  const codec = {
    encode: (payload: EncodedPayload) => payload,
    decode: (payload: EncodedPayload = nothing) => payload,
  };
  return { name, request: codec, response: codec };
}

const nothing: EncodedPayload = { data: new Uint8Array(0), contentType: "", messageType: "" };

export interface PayloadOptions {
  data?: string;
  dataFile?: string;
  contentType?: string;
  messageType?: string;
}

/** `--data JSON|@FILE|-` or `--data-file FILE|-`. Without either: no payload, zero bytes. */
export function readPayload({ data, dataFile, contentType, messageType = "" }: PayloadOptions): EncodedPayload {
  if (data !== undefined && dataFile !== undefined)
    throw new UsageError("give one of --data and --data-file, not both");
  if (dataFile !== undefined) {
    return { data: readInput(dataFile, "--data-file"), contentType: contentType ?? BYTES_TYPE, messageType };
  }
  if (data === undefined) return { ...nothing, contentType: contentType ?? "", messageType };
  const bytes = data === "-" || data.startsWith("@") ? readInput(data.replace(/^@/, ""), "--data") : Buffer.from(data);
  checkJson(bytes);
  return { data: bytes, contentType: contentType ?? JSON_TYPE, messageType };
}

/** A result as JSON: JSON as it is, nothing as null, other bytes in base64 with their type. */
export function toJson({ data, contentType, messageType }: EncodedPayload): unknown {
  if (data.length === 0 && contentType === "") return null;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (isJson(contentType)) return data.length === 0 ? null : JSON.parse(bytes.toString());
  return { contentType, ...(messageType !== "" && { messageType }), base64: bytes.toString("base64") };
}

function readInput(file: string, option: string): Buffer {
  try {
    return readFileSync(file === "-" ? 0 : file);
  } catch (error) {
    throw new InputError(`${option}: cannot read ${file} (${(error as NodeJS.ErrnoException).code})`);
  }
}

function checkJson(bytes: Buffer): void {
  try {
    JSON.parse(bytes.toString());
  } catch {
    throw new InputError(`--data is not JSON; a string needs its quotes ('"text"'), other bytes go with --data-file`);
  }
}

/** For commander: `1m30s` as milliseconds. */
export function milliseconds(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined)
    throw new InvalidArgumentError("Expected a duration with its unit, such as 500ms, 25s or 1h30m.");
  return ms;
}

/** For commander. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
}

/** For commander: `name=value`, repeatable. */
export function pair(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected NAME=VALUE.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
