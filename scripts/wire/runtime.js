// The fast way between bytes and messages, for the regular case only: whatever is odd (a wrong type, a field that comes
// twice, a cut varint, text that is not UTF-8) throws IRREGULAR, and protocol/wire.ts asks the library, whose word counts.

export const IRREGULAR = Symbol("irregular");

// ── writing: from the end of a buffer to its start, so that lengths are known when they are due ──

const USUAL_BYTES = 64 * 1024;
/** Larger than this, the buffer is not kept. */
const KEPT_BYTES = 1024 * 1024;
/** Bytes of a field that are this many stay where they are until all is written. */
const LARGE_BYTES = 4 * 1024;
/** Units. V8 makes views and ropes of longer texts; to read those one by one costs more than a call. */
const SHORT_TEXT = 12;
export const EMPTY_BYTES = new Uint8Array(0);

let out = Buffer.allocUnsafeSlow(USUAL_BYTES);
/** Everything from here on is written. */
let from = out.length;
/** What stands behind that, the last first. */
let pieces = [];
let inPieces = 0;

export function room(bytes) {
  if (bytes <= from) return;
  const used = out.length - from;
  let size = out.length;
  while (size < used + bytes) size *= 2;
  const larger = Buffer.allocUnsafeSlow(size);
  larger.set(out.subarray(from), size - used);
  out = larger;
  from = size - used;
}

/** How much is written: a position that stays when the buffer grows. */
export function written() {
  return out.length - from + inPieces;
}

export function putVarint(value) {
  room(5);
  if (value < 0x80) {
    out[--from] = value;
    return;
  }
  from -= value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
  let at = from;
  let rest = value;
  while (rest > 0x7f) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at] = rest;
}

export function putUint32(value, tag) {
  if (value >>> 0 !== value) throw IRREGULAR;
  putVarint(value);
  putVarint(tag);
}

/** Also enums. What is negative takes ten bytes and is nobody's habit. */
export function putInt32(value, tag) {
  if (value >>> 0 !== value || value > 0x7fffffff) throw IRREGULAR;
  putVarint(value);
  putVarint(tag);
}

export function putBool(value, tag) {
  if (value !== true) throw IRREGULAR;
  room(1);
  out[--from] = 1;
  putVarint(tag);
}

/** A bigint of up to 53 bits. */
export function putLong(value, tag) {
  if (typeof value !== "bigint" || value < 0n || value > 0x1fffffffffffffn) throw IRREGULAR;
  const number = Number(value);
  if (number <= 0xffffffff) putVarint(number);
  else {
    const high = Math.floor(number / 0x10000000);
    let low = number % 0x10000000;
    putVarint(high);
    room(4);
    from -= 4;
    for (let i = 0; i < 4; i++) {
      out[from + i] = (low & 0x7f) | 0x80;
      low >>>= 7;
    }
  }
  putVarint(tag);
}

export function putDouble(value, tag) {
  if (typeof value !== "number") throw IRREGULAR;
  room(8);
  from -= 8;
  out.writeDoubleLE(value, from);
  putVarint(tag);
}

export function putBytes(value, tag) {
  if (!(value instanceof Uint8Array)) throw IRREGULAR;
  const { length } = value;
  if (length >= LARGE_BYTES) {
    if (from < out.length) putPiece(Buffer.from(out.subarray(from)));
    from = out.length;
    putPiece(value);
  } else {
    room(length);
    from -= length;
    out.set(value, from);
  }
  putVarint(length);
  putVarint(tag);
}

export function putPiece(bytes) {
  pieces.push(bytes);
  inPieces += bytes.length;
}

export function putText(value, tag) {
  if (typeof value !== "string") throw IRREGULAR;
  const { length } = value;
  putVarint(length <= SHORT_TEXT && putAscii(value, length) ? length : putUtf8(value, length));
  putVarint(tag);
}

export function putAscii(value, length) {
  room(length);
  let at = from;
  for (let i = length - 1; i >= 0; i--) {
    const code = value.charCodeAt(i);
    if (code > 0x7f) return false;
    out[--at] = code;
  }
  from = at;
  return true;
}

/** @returns how many bytes it is */
export function putUtf8(value, length) {
  const bytes = Buffer.byteLength(value);
  // As many bytes as units is ASCII.
  if (bytes !== length && !value.isWellFormed()) throw IRREGULAR;
  room(bytes);
  from -= bytes;
  out.utf8Write(value, from, bytes);
  return bytes;
}

/** All of it, behind one another: what is large is a view of what was given. */
export function finishInPieces() {
  const all = [Buffer.from(out.subarray(from))];
  for (let i = pieces.length - 1; i >= 0; i--) all.push(pieces[i]);
  reset();
  return all;
}

export function finish() {
  // Node's own are not cleared first.
  const bytes = inPieces === 0 ? new Uint8Array(written()) : new Uint8Array(Buffer.allocUnsafeSlow(written()).buffer);
  bytes.set(out.subarray(from));
  let at = out.length - from;
  for (let i = pieces.length - 1; i >= 0; i--) {
    bytes.set(pieces[i], at);
    at += pieces[i].length;
  }
  reset();
  return bytes;
}

export function reset() {
  if (out.length > KEPT_BYTES) out = Buffer.allocUnsafeSlow(USUAL_BYTES);
  from = out.length;
  if (inPieces === 0) return;
  pieces = [];
  inPieces = 0;
}

// ── reading ──

const { latin1Slice } = Buffer.prototype;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

let bytes = EMPTY_BYTES;
let at = 0;

export function varint() {
  let byte = bytes[at++];
  if (byte < 0x80) return byte;
  let value = byte & 0x7f;
  for (let shift = 7; shift < 28; shift += 7) {
    byte = bytes[at++];
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  byte = bytes[at++];
  // Also where the bytes are at their end.
  if (!(byte < 0x10)) throw IRREGULAR;
  return (value | (byte << 28)) >>> 0;
}

export function int32() {
  const value = varint();
  if (value > 0x7fffffff) throw IRREGULAR;
  return value;
}

export function bool() {
  const value = varint();
  if (value > 1) throw IRREGULAR;
  return value === 1;
}

/** Up to 56 bits. */
export function long() {
  let low = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = bytes[at++];
    low |= (byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt(low);
  }
  const high = varint();
  if (high > 0xfffffff) throw IRREGULAR;
  return (BigInt(high) << 28n) | BigInt(low);
}

export function double() {
  if (at + 8 > bytes.length) throw IRREGULAR;
  const value = new DataView(bytes.buffer, bytes.byteOffset + at, 8).getFloat64(0, true);
  at += 8;
  return value;
}

/** Where what has a length ends. */
export function extent(end) {
  const length = varint();
  const to = at + length;
  if (!(to <= end)) throw IRREGULAR;
  return to;
}

export function binary(end) {
  const to = extent(end);
  const value = bytes.subarray(at, to);
  at = to;
  return value;
}

export function text(end) {
  const to = extent(end);
  const start = at;
  at = to;
  if (start === to) return "";
  for (let i = start; i < to; i++) if (bytes[i] > 0x7f) return unicode(start, to);
  return latin1Slice.call(bytes, start, to);
}

export function unicode(start, to) {
  try {
    return utf8.decode(bytes.subarray(start, to));
  } catch {
    throw IRREGULAR;
  }
}

export function entry(end, map) {
  const to = extent(end);
  let key = "";
  let value = "";
  while (at < to) {
    const tag = varint();
    if (tag === 10) key = text(to);
    else if (tag === 18) value = text(to);
    else throw IRREGULAR;
  }
  if (at !== to || key === "__proto__") throw IRREGULAR;
  map[key] = value;
}

/** A field that is not known here. `last`: the highest number of those that are, which has then a wrong type. */
export function skip(tag, end, last) {
  if (tag >>> 3 <= last) throw IRREGULAR;
  const type = tag & 7;
  if (type === 0) while (bytes[at++] > 0x7f);
  else if (type === 1) at += 8;
  else if (type === 2) at = extent(end);
  else if (type === 5) at += 4;
  else throw IRREGULAR;
}

/** The bytes of a message as `done` gives them, or undefined where it is not regular. */
export function encode(write, message, done) {
  try {
    write(message);
    return done();
  } catch {
    // Whatever it was: if it is a mistake, the library says which.
    reset();
    return undefined;
  }
}

/** The message of these bytes, or undefined where they are not regular. */
export function decode(read, from) {
  bytes = from;
  at = 0;
  try {
    return read(from.length);
  } catch (error) {
    if (error === IRREGULAR) return undefined;
    throw error;
  } finally {
    bytes = EMPTY_BYTES;
  }
}
