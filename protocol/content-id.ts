/** A job id made from what the job is asked to do: the same request is the same job. */
import { createHash } from "node:crypto";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

/**
 * SHA-256, as 64 hexadecimal digits, of a value's canonical JSON (RFC 8785), or of the bytes of a Uint8Array.
 * The value is taken as JSON.stringify takes it (toJSON, undefined properties left out), so objects that differ only in
 * the order of their keys have one id.
 * @throws TypeError for what JSON cannot say: NaN, Infinity, BigInt, cycles, lone surrogates, a root of undefined
 */
export function contentId(value: unknown): string;
/**
 * SHA-256, as 64 hexadecimal digits, of a message's binary form.
 * Map fields are hashed in the order they were filled in.
 */
export function contentId<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): string;
export function contentId(value: unknown, ...message: unknown[]): string {
  return createHash("sha256").update(contentOf(value, message)).digest("hex");
}

function contentOf(value: unknown, message: unknown[]): Uint8Array | string {
  if (message.length > 0) {
    const schema = value as DescMessage;
    return toBinary(schema, create(schema, message[0] as MessageInitShape<DescMessage>));
  }
  if (value instanceof Uint8Array) return value;
  if (typeof value === "object" && value !== null && "$typeName" in value) {
    throw new TypeError(`contentId of a ${String(value.$typeName)} needs its schema: contentId(schema, message)`);
  }
  return canonicalJson(value);
}

/**
 * A value's canonical JSON by RFC 8785: no white space, keys in the order of their UTF-16 code units, numbers and
 * strings as ECMAScript writes them.
 * @throws TypeError as {@link contentId}
 */
export function canonicalJson(value: unknown): string {
  const text = write(value, "", []);
  if (text === undefined) throw new TypeError(`no canonical JSON: the value is ${describe(value)}`);
  return text;
}

/** `undefined` where JSON.stringify would leave the value out. `above` are the objects around it. */
function write(value: unknown, key: string, above: object[]): string | undefined {
  const plain = unwrap(value, key);
  switch (typeof plain) {
    case "string":
      if (!plain.isWellFormed()) throw new TypeError(`no canonical JSON: ${at(key)}a string with a lone surrogate`);
      return JSON.stringify(plain);
    case "number":
      if (!Number.isFinite(plain)) throw new TypeError(`no canonical JSON: ${at(key)}${plain}`);
      // Writes −0 as 0, as RFC 8785 asks.
      return JSON.stringify(plain);
    case "boolean":
      return String(plain);
    case "bigint":
      throw new TypeError(`no canonical JSON: ${at(key)}a BigInt`);
    case "object":
      return plain === null ? "null" : writeObject(plain, key, above);
    default:
      return undefined;
  }
}

function writeObject(value: object, key: string, above: object[]): string {
  if (above.includes(value)) throw new TypeError(`no canonical JSON: ${at(key)}a value that refers to itself`);
  above.push(value);
  const text = Array.isArray(value) ? writeArray(value, above) : writeRecord(value, above);
  above.pop();
  return text;
}

function writeArray(values: unknown[], above: object[]): string {
  return `[${Array.from(values, (value, index) => write(value, String(index), above) ?? "null").join(",")}]`;
}

function writeRecord(record: object, above: object[]): string {
  const members: string[] = [];
  // The default order of sort() is that of UTF-16 code units.
  for (const key of Object.keys(record).sort()) {
    const text = write((record as Record<string, unknown>)[key], key, above);
    if (text !== undefined) members.push(`${write(key, key, above)}:${text}`);
  }
  return `{${members.join(",")}}`;
}

/** What JSON.stringify would write in its place. */
function unwrap(value: unknown, key: string): unknown {
  const json =
    (typeof value === "object" || typeof value === "bigint") && value !== null && hasToJson(value)
      ? value.toJSON(key)
      : value;
  return json instanceof Number || json instanceof String || json instanceof Boolean ? json.valueOf() : json;
}

function hasToJson(value: object | bigint): value is { toJSON(key: string): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === "function";
}

const at = (key: string) => (key === "" ? "" : `at ${JSON.stringify(key)}, `);
const describe = (value: unknown) => (value === undefined ? "undefined" : `a ${typeof value}`);
