/**
 * Between values and payload bytes. The caller's library and the worker's use
 * the same codec for a queue; the broker never looks inside.
 *
 *   value           content type               bytes
 *   undefined       (empty)                    none
 *   Uint8Array      application/octet-stream   as they are
 *   anything else   application/json           JSON.stringify
 *   with a schema   application/protobuf       the binary form
 */
import {
  create,
  type DescMessage,
  fromBinary,
  fromJsonString,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";

export const JSON_TYPE = "application/json";
export const BYTES_TYPE = "application/octet-stream";
export const PROTOBUF_TYPE = "application/protobuf";

/** What travels: the plain form of queuecall.v1.Payload. */
export interface EncodedPayload {
  data: Uint8Array;
  /** Media type; empty for "nothing". */
  contentType: string;
  /** Full protobuf message name where contentType is protobuf, else empty. */
  messageType: string;
}

/**
 * Both directions for one kind of payload. `In` is what may be sent, `Out` what arrives:
 * the same for JSON, an initialiser and a message for protobuf.
 */
export interface PayloadCodec<In, Out> {
  /** Throws TypeError for a value that has no form in bytes. */
  encode(value: In): EncodedPayload;
  /** An absent payload is zero bytes. Throws {@link PayloadError} for bytes that are not what they say. */
  decode(payload: EncodedPayload | undefined): Out;
}

/** Received bytes that cannot be read. Its message never quotes them. */
export class PayloadError extends Error {
  override readonly name = "PayloadError";
}

const nothing: EncodedPayload = { data: new Uint8Array(0), contentType: "", messageType: "" };
const utf8 = new TextDecoder("utf-8", { fatal: true });

const plain: PayloadCodec<unknown, unknown> = {
  encode(value) {
    if (value === undefined) return nothing;
    if (value instanceof Uint8Array) return { data: value, contentType: BYTES_TYPE, messageType: "" };
    return { data: Buffer.from(stringify(value)), contentType: JSON_TYPE, messageType: "" };
  },
  decode(payload = nothing) {
    const { data, contentType } = payload;
    if (isJson(contentType)) return data.length === 0 ? undefined : readAs("JSON", payload, () => parseJson(data));
    // Zero bytes of a named type are an empty value of it; without a name they are no value at all.
    if (data.length === 0 && contentType === "") return undefined;
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  },
};

/**
 * JSON by default, bytes as bytes, undefined as zero bytes. The type is the caller's word:
 * nothing is checked at run time. Bytes of a type that is neither JSON nor empty arrive as Uint8Array.
 */
export function plainCodec<T>(): PayloadCodec<T, T> {
  return plain as PayloadCodec<T, T>;
}

/** Messages of one type, as protobuf. Reads protobuf JSON too, for senders that have nothing else. */
export function messageCodec<Desc extends DescMessage>(
  schema: Desc,
): PayloadCodec<MessageInitShape<Desc>, MessageShape<Desc>> {
  return {
    encode: (value) => ({
      data: toBinary(schema, create(schema, value)),
      contentType: PROTOBUF_TYPE,
      messageType: schema.typeName,
    }),
    decode(payload = nothing) {
      const { data, contentType, messageType } = payload;
      if (messageType !== "" && messageType !== schema.typeName)
        throw new PayloadError(`the payload is a ${messageType}, not a ${schema.typeName}`);
      if (isJson(contentType))
        return readAs(schema.typeName, payload, () =>
          fromJsonString(schema, utf8.decode(data), { ignoreUnknownFields: true }),
        );
      if (contentType !== "" && !isProtobuf(contentType))
        throw new PayloadError(`the payload is ${contentType}, not ${PROTOBUF_TYPE} (${schema.typeName})`);
      return readAs(schema.typeName, payload, () => fromBinary(schema, data));
    },
  };
}

/** "application/json", with or without parameters, and the "+json" family. */
export function isJson(contentType: string): boolean {
  // As it is written here: nearly always.
  if (contentType === JSON_TYPE) return true;
  const type = mediaType(contentType);
  return type === JSON_TYPE || type.endsWith("+json");
}

function isProtobuf(contentType: string): boolean {
  if (contentType === PROTOBUF_TYPE) return true;
  const type = mediaType(contentType);
  return type === PROTOBUF_TYPE || type === "application/x-protobuf" || type === BYTES_TYPE;
}

function mediaType(contentType: string): string {
  return contentType.split(";", 1)[0]!.trim().toLowerCase();
}

function parseJson(data: Uint8Array): unknown {
  return JSON.parse(utf8.decode(data));
}

/** The reader's own message is dropped: it may quote the payload, which belongs in no log. */
function readAs<T>(form: string, payload: EncodedPayload, read: () => T): T {
  try {
    return read();
  } catch {
    throw new PayloadError(`the payload cannot be read as ${form} (${payload.data.length} bytes)`);
  }
}

function stringify(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(`the value cannot be sent as JSON: ${whyNotJson(cause)}`, { cause });
  }
  if (text === undefined) throw new TypeError(`the value cannot be sent as JSON: it is a ${typeof value}`);
  return text;
}

function whyNotJson(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/BigInt/.test(message)) return "it contains a BigInt; send it as a string";
  if (/circular/i.test(message)) return "it refers to itself";
  return message;
}
