/**
 * What verbs are told and answer: MessagePack, as far as the server's cmsgpack writes it. One argument a verb, and one
 * reply for all of a call, cost both sides a fraction of what the Redis protocol costs for each value.
 */
import { lengthOf, type Pieces } from "../../../protocol/pieces.ts";
import type { Argument, Reply } from "./client.ts";
import { PieceWriter } from "./pieces.ts";

/** Most of what stands in front of a value. */
const HEAD_BYTES = 5;

/** Also bytes in parts. */
export type Packable = Argument | Pieces;
export type Packed = Pieces;

const out = new PieceWriter();

/** Values behind one another, in pieces: texts and bytes as such, numbers as doubles. */
export function pack(values: readonly Packable[]): Packed {
  for (const value of values) put(value);
  return out.take();
}

/** A verb as run.lua takes it: its name, nothing, and its ARGV from 3 on. */
export function packVerb(name: string, args: readonly Packable[]): Packed {
  put(name);
  put("");
  return pack(args);
}

function put(value: Packable): void {
  if (typeof value === "string") out.text(value, head, HEAD_BYTES);
  else if (typeof value === "number") double(value);
  else if (value instanceof Uint8Array) bytes(value);
  else parts(value);
}

function parts(value: Pieces): void {
  head(lengthOf(value));
  for (const part of value) out.bytes(part);
}

function bytes(value: Uint8Array): void {
  head(value.length);
  out.bytes(value);
}

function double(value: number): void {
  out.byte(0xcb);
  out.double(value);
}

function head(length: number): void {
  if (length < 32) out.byte(0xa0 | length);
  else if (length < 0x1_00) {
    out.byte(0xd9);
    out.byte(length);
  } else if (length < 0x1_00_00) {
    out.byte(0xda);
    out.uint16(length);
  } else {
    out.byte(0xdb);
    out.uint32(length);
  }
}

const nothing = Buffer.alloc(0);

let source: Buffer = nothing;
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
