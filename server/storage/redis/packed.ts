/**
 * What verbs are told and answer: MessagePack, as far as the server's cmsgpack writes it. One argument a verb, and one
 * reply for all of a call, cost both sides a fraction of what the Redis protocol costs for each value.
 */
import type { Argument, Reply } from "./client.ts";

/** More than what stands around a value. Bytes. */
const AROUND_BYTES = 5;
/** What may be longer gets a buffer of its own. */
const USUAL_BYTES = 16 * 1024;

const usual = Buffer.allocUnsafeSlow(USUAL_BYTES);
let out = usual;
let at = 0;

/** Values behind one another: texts and bytes as such, numbers as doubles. */
export function pack(values: readonly Argument[]): Buffer {
  const most = mostBytes(values);
  out = most <= USUAL_BYTES ? usual : Buffer.allocUnsafeSlow(most);
  at = 0;
  for (const value of values) {
    if (typeof value === "string") text(value);
    else if (typeof value === "number") double(value);
    else bytes(value);
  }
  return out === usual ? Buffer.from(out.subarray(0, at)) : out.subarray(0, at);
}

function mostBytes(values: readonly Argument[]): number {
  let most = 0;
  for (const value of values) {
    most +=
      AROUND_BYTES + (typeof value === "string" ? value.length * 3 : typeof value === "number" ? 8 : value.length);
  }
  return most;
}

function text(value: string): void {
  const start = at;
  head(value.length);
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0x7f) {
      at = start;
      head(Buffer.byteLength(value));
      at += out.write(value, at);
      return;
    }
    out[at++] = code;
  }
}

function bytes(value: Uint8Array): void {
  head(value.length);
  out.set(value, at);
  at += value.length;
}

function double(value: number): void {
  out[at++] = 0xcb;
  at = out.writeDoubleBE(value, at);
}

function head(length: number): void {
  if (length < 32) out[at++] = 0xa0 | length;
  else if (length < 0x1_00) at = out.writeUInt8(length, out.writeUInt8(0xd9, at));
  else if (length < 0x1_00_00) at = out.writeUInt16BE(length, out.writeUInt8(0xda, at));
  else at = out.writeUInt32BE(length, out.writeUInt8(0xdb, at));
}

let source: Buffer = usual;
let from = 0;

/** The one value of a text, in the kinds of a reply of Redis: null for what is not there. Bytes are a view of the text. */
export function unpack(packed: Buffer): Reply {
  source = packed;
  from = 0;
  return value();
}

function value(): Reply {
  const kind = source[from++]!;
  if (kind < 0x80) return kind;
  if (kind >= 0xe0) return kind - 0x1_00;
  if (kind >= 0xa0 && kind < 0xc0) return raw(kind & 0x1f);
  if (kind >= 0x90 && kind < 0xa0) return array(kind & 0x0f);
  switch (kind) {
    case 0xc0:
    case 0xc2:
      return null;
    case 0xc3:
      return 1;
    case 0xca:
      return source.readFloatBE(take(4));
    case 0xcb:
      return source.readDoubleBE(take(8));
    case 0xcc:
      return source[take(1)]!;
    case 0xcd:
      return source.readUInt16BE(take(2));
    case 0xce:
      return source.readUInt32BE(take(4));
    case 0xcf:
      return source.readUInt32BE(take(4)) * 0x1_0000_0000 + source.readUInt32BE(take(4));
    case 0xd0:
      return source.readInt8(take(1));
    case 0xd1:
      return source.readInt16BE(take(2));
    case 0xd2:
      return source.readInt32BE(take(4));
    case 0xd3:
      return source.readInt32BE(take(4)) * 0x1_0000_0000 + source.readUInt32BE(take(4));
    case 0xd9:
      return raw(source[take(1)]!);
    case 0xda:
      return raw(source.readUInt16BE(take(2)));
    case 0xdb:
      return raw(source.readUInt32BE(take(4)));
    case 0xdc:
      return array(source.readUInt16BE(take(2)));
    case 0xdd:
      return array(source.readUInt32BE(take(4)));
    default:
      throw new Error(`a verb answered something of kind 0x${kind.toString(16)}, which is none of a reply`);
  }
}

function take(count: number): number {
  from += count;
  return from - count;
}

const nothing = Buffer.alloc(0);

function raw(length: number): Buffer {
  if (length === 0) return nothing;
  const start = take(length);
  return source.subarray(start, from);
}

function array(length: number): Reply[] {
  const values: Reply[] = [];
  for (let i = 0; i < length; i++) values.push(value());
  return values;
}
