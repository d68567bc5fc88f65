// Made by scripts/wire/protoc-gen-wire.mjs from the .proto files. Do not edit.
// The fast way between bytes and messages, for the regular case only: whatever is odd (a wrong type, a field that comes
// twice, a cut varint, text that is not UTF-8) throws IRREGULAR, and protocol/wire.ts asks the library, whose word counts.

const IRREGULAR = Symbol("irregular");

// ── writing: from the end of a buffer to its start, so that lengths are known when they are due ──

const USUAL_BYTES = 64 * 1024;
/** Larger than this, the buffer is not kept. */
const KEPT_BYTES = 1024 * 1024;
/** Bytes of a field that are this many stay where they are until all is written. */
const LARGE_BYTES = 4 * 1024;
/** Units. V8 makes views and ropes of longer texts; to read those one by one costs more than a call. */
const SHORT_TEXT = 12;
const EMPTY_BYTES = new Uint8Array(0);

let out = Buffer.allocUnsafeSlow(USUAL_BYTES);
/** Everything from here on is written. */
let from = out.length;
/** What stands behind that, the last first. */
let pieces = [];
let inPieces = 0;

function room(bytes) {
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
function written() {
  return out.length - from + inPieces;
}

function putVarint(value) {
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

function putUint32(value, tag) {
  if (value >>> 0 !== value) throw IRREGULAR;
  putVarint(value);
  putVarint(tag);
}

/** Also enums. What is negative takes ten bytes and is nobody's habit. */
function putInt32(value, tag) {
  if (value >>> 0 !== value || value > 0x7fffffff) throw IRREGULAR;
  putVarint(value);
  putVarint(tag);
}

function putBool(value, tag) {
  if (value !== true) throw IRREGULAR;
  room(1);
  out[--from] = 1;
  putVarint(tag);
}

/** A bigint of up to 53 bits. */
function putLong(value, tag) {
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

function putDouble(value, tag) {
  if (typeof value !== "number") throw IRREGULAR;
  room(8);
  from -= 8;
  out.writeDoubleLE(value, from);
  putVarint(tag);
}

function putBytes(value, tag) {
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

function putPiece(bytes) {
  pieces.push(bytes);
  inPieces += bytes.length;
}

function putText(value, tag) {
  if (typeof value !== "string") throw IRREGULAR;
  const { length } = value;
  putVarint(length <= SHORT_TEXT && putAscii(value, length) ? length : putUtf8(value, length));
  putVarint(tag);
}

function putAscii(value, length) {
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
function putUtf8(value, length) {
  const bytes = Buffer.byteLength(value);
  // As many bytes as units is ASCII.
  if (bytes !== length && !value.isWellFormed()) throw IRREGULAR;
  room(bytes);
  from -= bytes;
  out.utf8Write(value, from, bytes);
  return bytes;
}

/** All of it, behind one another: what is large is a view of what was given. */
function finishInPieces() {
  const all = [Buffer.from(out.subarray(from))];
  for (let i = pieces.length - 1; i >= 0; i--) all.push(pieces[i]);
  reset();
  return all;
}

function finish() {
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

function reset() {
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

function varint() {
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

function int32() {
  const value = varint();
  if (value > 0x7fffffff) throw IRREGULAR;
  return value;
}

function bool() {
  const value = varint();
  if (value > 1) throw IRREGULAR;
  return value === 1;
}

/** Up to 56 bits. */
function long() {
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

function double() {
  if (at + 8 > bytes.length) throw IRREGULAR;
  const value = new DataView(bytes.buffer, bytes.byteOffset + at, 8).getFloat64(0, true);
  at += 8;
  return value;
}

/** Where what has a length ends. */
function extent(end) {
  const length = varint();
  const to = at + length;
  if (!(to <= end)) throw IRREGULAR;
  return to;
}

function binary(end) {
  const to = extent(end);
  const value = bytes.subarray(at, to);
  at = to;
  return value;
}

function text(end) {
  const to = extent(end);
  const start = at;
  at = to;
  if (start === to) return "";
  for (let i = start; i < to; i++) if (bytes[i] > 0x7f) return unicode(start, to);
  return latin1Slice.call(bytes, start, to);
}

function unicode(start, to) {
  try {
    return utf8.decode(bytes.subarray(start, to));
  } catch {
    throw IRREGULAR;
  }
}

function entry(end, map) {
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
function skip(tag, end, last) {
  if (tag >>> 3 <= last) throw IRREGULAR;
  const type = tag & 7;
  if (type === 0) while (bytes[at++] > 0x7f);
  else if (type === 1) at += 8;
  else if (type === 2) at = extent(end);
  else if (type === 5) at += 4;
  else throw IRREGULAR;
}

/** The bytes of a message as `done` gives them, or undefined where it is not regular. */
function encode(write, message, done) {
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
function decode(read, from) {
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

function writeExchangeRequest(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.pong != null) {
    const before5 = written();
    writePong(m.pong);
    putVarint(written() - before5);
    putVarint(42);
  }
  if (m.ping != null) {
    const before4 = written();
    writePing(m.ping);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.cancels != null) {
    for (let i = m.cancels.length - 1; i >= 0; i--) {
      const before3 = written();
      writeExchangeCancel(m.cancels[i]);
      putVarint(written() - before3);
      putVarint(26);
    }
  }
  if (m.calls != null) {
    for (let i = m.calls.length - 1; i >= 0; i--) {
      const before2 = written();
      writeExchangeCall(m.calls[i]);
      putVarint(written() - before2);
      putVarint(18);
    }
  }
  if (m.hello != null) {
    const before1 = written();
    writeExchangeHello(m.hello);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readExchangeRequest(end) {
  const m = { $typeName: "queuecall.v1.ExchangeRequest", calls: [], cancels: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.hello !== undefined) throw IRREGULAR;
        m.hello = readExchangeHello(extent(end));
        break;
      case 18:
        m.calls.push(readExchangeCall(extent(end)));
        break;
      case 26:
        m.cancels.push(readExchangeCancel(extent(end)));
        break;
      case 34:
        if (m.ping !== undefined) throw IRREGULAR;
        m.ping = readPing(extent(end));
        break;
      case 42:
        if (m.pong !== undefined) throw IRREGULAR;
        m.pong = readPong(extent(end));
        break;
      default:
        skip(tag, end, 5);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeExchangeResponse(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.drain != null) {
    const before5 = written();
    writeDrain(m.drain);
    putVarint(written() - before5);
    putVarint(42);
  }
  if (m.pong != null) {
    const before4 = written();
    writePong(m.pong);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.ping != null) {
    const before3 = written();
    writePing(m.ping);
    putVarint(written() - before3);
    putVarint(26);
  }
  if (m.replies != null) {
    for (let i = m.replies.length - 1; i >= 0; i--) {
      const before2 = written();
      writeExchangeReply(m.replies[i]);
      putVarint(written() - before2);
      putVarint(18);
    }
  }
  if (m.welcome != null) {
    const before1 = written();
    writeExchangeWelcome(m.welcome);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readExchangeResponse(end) {
  const m = { $typeName: "queuecall.v1.ExchangeResponse", replies: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.welcome !== undefined) throw IRREGULAR;
        m.welcome = readExchangeWelcome(extent(end));
        break;
      case 18:
        m.replies.push(readExchangeReply(extent(end)));
        break;
      case 26:
        if (m.ping !== undefined) throw IRREGULAR;
        m.ping = readPing(extent(end));
        break;
      case 34:
        if (m.pong !== undefined) throw IRREGULAR;
        m.pong = readPong(extent(end));
        break;
      case 42:
        if (m.drain !== undefined) throw IRREGULAR;
        m.drain = readDrain(extent(end));
        break;
      default:
        skip(tag, end, 5);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeWorkRequest(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.kind?.case === "frame") {
    const v = m.kind.value;
    const before2 = written();
    writeWorkerFrame(v);
    putVarint(written() - before2);
    putVarint(18);
  }
  if (m.kind?.case === "hello") {
    const v = m.kind.value;
    const before1 = written();
    writeHello(v);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readWorkRequest(end) {
  const m = { $typeName: "queuecall.v1.WorkRequest", kind: { case: undefined } };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.kind.case !== undefined) throw IRREGULAR;
        m.kind = { case: "hello", value: readHello(extent(end)) };
        break;
      case 18:
        if (m.kind.case !== undefined) throw IRREGULAR;
        m.kind = { case: "frame", value: readWorkerFrame(extent(end)) };
        break;
      default:
        skip(tag, end, 2);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeWorkResponse(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.kind?.case === "frame") {
    const v = m.kind.value;
    const before2 = written();
    writeBrokerFrame(v);
    putVarint(written() - before2);
    putVarint(18);
  }
  if (m.kind?.case === "welcome") {
    const v = m.kind.value;
    const before1 = written();
    writeWelcome(v);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readWorkResponse(end) {
  const m = { $typeName: "queuecall.v1.WorkResponse", kind: { case: undefined } };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.kind.case !== undefined) throw IRREGULAR;
        m.kind = { case: "welcome", value: readWelcome(extent(end)) };
        break;
      case 18:
        if (m.kind.case !== undefined) throw IRREGULAR;
        m.kind = { case: "frame", value: readBrokerFrame(extent(end)) };
        break;
      default:
        skip(tag, end, 2);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeEnqueueRequest(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.requestId != null && m.requestId.length !== 0) putBytes(m.requestId, 18);
  if (m.spec != null) {
    const before1 = written();
    writeJobSpec(m.spec);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readEnqueueRequest(end) {
  const m = { $typeName: "queuecall.v1.EnqueueRequest", requestId: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.spec !== undefined) throw IRREGULAR;
        m.spec = readJobSpec(extent(end));
        break;
      case 18:
        m.requestId = binary(end);
        break;
      default:
        skip(tag, end, 2);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeEnqueueResponse(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.payloadMismatch != null && m.payloadMismatch !== false) putBool(m.payloadMismatch, 24);
  if (m.disposition != null && m.disposition !== 0) putInt32(m.disposition, 16);
  if (m.job != null) {
    const before1 = written();
    writeJob(m.job);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readEnqueueResponse(end) {
  const m = { $typeName: "queuecall.v1.EnqueueResponse", disposition: 0, payloadMismatch: false };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.job !== undefined) throw IRREGULAR;
        m.job = readJob(extent(end));
        break;
      case 16:
        m.disposition = int32();
        break;
      case 24:
        m.payloadMismatch = bool();
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeEnqueueBatchRequest(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.items != null) {
    for (let i = m.items.length - 1; i >= 0; i--) {
      const before1 = written();
      writeEnqueueRequest(m.items[i]);
      putVarint(written() - before1);
      putVarint(10);
    }
  }
}

function readEnqueueBatchRequest(end) {
  const m = { $typeName: "queuecall.v1.EnqueueBatchRequest", items: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.items.push(readEnqueueRequest(extent(end)));
        break;
      default:
        skip(tag, end, 1);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeEnqueueBatchResponse(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.items != null) {
    for (let i = m.items.length - 1; i >= 0; i--) {
      const before1 = written();
      writeEnqueueBatchResponseItem(m.items[i]);
      putVarint(written() - before1);
      putVarint(10);
    }
  }
}

function readEnqueueBatchResponse(end) {
  const m = { $typeName: "queuecall.v1.EnqueueBatchResponse", items: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.items.push(readEnqueueBatchResponseItem(extent(end)));
        break;
      default:
        skip(tag, end, 1);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeEnqueueAndWaitRequest(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.waitTimeout != null) {
    const before3 = written();
    writeDuration(m.waitTimeout);
    putVarint(written() - before3);
    putVarint(26);
  }
  if (m.requestId != null && m.requestId.length !== 0) putBytes(m.requestId, 18);
  if (m.spec != null) {
    const before1 = written();
    writeJobSpec(m.spec);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readEnqueueAndWaitRequest(end) {
  const m = { $typeName: "queuecall.v1.EnqueueAndWaitRequest", requestId: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.spec !== undefined) throw IRREGULAR;
        m.spec = readJobSpec(extent(end));
        break;
      case 18:
        m.requestId = binary(end);
        break;
      case 26:
        if (m.waitTimeout !== undefined) throw IRREGULAR;
        m.waitTimeout = readDuration(extent(end));
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeEnqueueAndWaitResponse(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.payloadMismatch != null && m.payloadMismatch !== false) putBool(m.payloadMismatch, 24);
  if (m.disposition != null && m.disposition !== 0) putInt32(m.disposition, 16);
  if (m.job != null) {
    const before1 = written();
    writeJob(m.job);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readEnqueueAndWaitResponse(end) {
  const m = { $typeName: "queuecall.v1.EnqueueAndWaitResponse", disposition: 0, payloadMismatch: false };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.job !== undefined) throw IRREGULAR;
        m.job = readJob(extent(end));
        break;
      case 16:
        m.disposition = int32();
        break;
      case 24:
        m.payloadMismatch = bool();
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeExchangeHello(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.protocolVersion != null && m.protocolVersion !== 0) putUint32(m.protocolVersion, 8);
}

function readExchangeHello(end) {
  const m = { $typeName: "queuecall.v1.ExchangeHello", protocolVersion: 0 };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.protocolVersion = varint();
        break;
      default:
        skip(tag, end, 1);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeExchangeCall(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.message != null && m.message.length !== 0) putBytes(m.message, 42);
  if (m.headers != null) {
    const keys = Object.keys(m.headers);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.headers[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(34);
    }
  }
  if (m.timeout != null) {
    const before3 = written();
    writeDuration(m.timeout);
    putVarint(written() - before3);
    putVarint(26);
  }
  if (m.method != null && m.method !== "") putText(m.method, 18);
  if (m.callId != null && m.callId !== 0) putUint32(m.callId, 8);
}

function readExchangeCall(end) {
  const m = { $typeName: "queuecall.v1.ExchangeCall", callId: 0, method: "", headers: {}, message: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.callId = varint();
        break;
      case 18:
        m.method = text(end);
        break;
      case 26:
        if (m.timeout !== undefined) throw IRREGULAR;
        m.timeout = readDuration(extent(end));
        break;
      case 34:
        entry(end, m.headers);
        break;
      case 42:
        m.message = binary(end);
        break;
      default:
        skip(tag, end, 5);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeExchangeCancel(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.callId != null && m.callId !== 0) putUint32(m.callId, 8);
}

function readExchangeCancel(end) {
  const m = { $typeName: "queuecall.v1.ExchangeCancel", callId: 0 };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.callId = varint();
        break;
      default:
        skip(tag, end, 1);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writePing(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.nonce != null && m.nonce !== 0n) putLong(m.nonce, 8);
}

function readPing(end) {
  const m = { $typeName: "queuecall.v1.Ping", nonce: 0n };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.nonce = long();
        break;
      default:
        skip(tag, end, 1);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writePong(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.nonce != null && m.nonce !== 0n) putLong(m.nonce, 8);
}

function readPong(end) {
  const m = { $typeName: "queuecall.v1.Pong", nonce: 0n };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.nonce = long();
        break;
      default:
        skip(tag, end, 1);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeExchangeWelcome(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.maxMessageBytes != null && m.maxMessageBytes !== 0n) putLong(m.maxMessageBytes, 32);
  if (m.maxInFlight != null && m.maxInFlight !== 0) putUint32(m.maxInFlight, 24);
  if (m.brokerId != null && m.brokerId !== "") putText(m.brokerId, 18);
  if (m.protocolVersion != null && m.protocolVersion !== 0) putUint32(m.protocolVersion, 8);
}

function readExchangeWelcome(end) {
  const m = { $typeName: "queuecall.v1.ExchangeWelcome", protocolVersion: 0, brokerId: "", maxInFlight: 0, maxMessageBytes: 0n };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.protocolVersion = varint();
        break;
      case 18:
        m.brokerId = text(end);
        break;
      case 24:
        m.maxInFlight = varint();
        break;
      case 32:
        m.maxMessageBytes = long();
        break;
      default:
        skip(tag, end, 4);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeExchangeReply(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.message != null && m.message.length !== 0) putBytes(m.message, 42);
  if (m.trailers != null) {
    const keys = Object.keys(m.trailers);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.trailers[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(34);
    }
  }
  if (m.headers != null) {
    const keys = Object.keys(m.headers);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.headers[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(26);
    }
  }
  if (m.status != null) {
    const before2 = written();
    writeStatus(m.status);
    putVarint(written() - before2);
    putVarint(18);
  }
  if (m.callId != null && m.callId !== 0) putUint32(m.callId, 8);
}

function readExchangeReply(end) {
  const m = { $typeName: "queuecall.v1.ExchangeReply", callId: 0, headers: {}, trailers: {}, message: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.callId = varint();
        break;
      case 18:
        if (m.status !== undefined) throw IRREGULAR;
        m.status = readStatus(extent(end));
        break;
      case 26:
        entry(end, m.headers);
        break;
      case 34:
        entry(end, m.trailers);
        break;
      case 42:
        m.message = binary(end);
        break;
      default:
        skip(tag, end, 5);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeDrain(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.reason != null && m.reason !== "") putText(m.reason, 10);
}

function readDrain(end) {
  const m = { $typeName: "queuecall.v1.Drain", reason: "" };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.reason = text(end);
        break;
      default:
        skip(tag, end, 1);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeHello(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.labels != null) {
    const keys = Object.keys(m.labels);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.labels[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(74);
    }
  }
  if (m.clientInfo != null && m.clientInfo !== "") putText(m.clientInfo, 66);
  if (m.renewOnPong != null && m.renewOnPong !== false) putBool(m.renewOnPong, 56);
  if (m.held != null) {
    for (let i = m.held.length - 1; i >= 0; i--) {
      const before6 = written();
      writeHeldLease(m.held[i]);
      putVarint(written() - before6);
      putVarint(50);
    }
  }
  if (m.window != null && m.window !== 0) putUint32(m.window, 40);
  if (m.subscriptions != null) {
    for (let i = m.subscriptions.length - 1; i >= 0; i--) {
      const before4 = written();
      writeSubscription(m.subscriptions[i]);
      putVarint(written() - before4);
      putVarint(34);
    }
  }
  if (m.sessionId != null && m.sessionId !== "") putText(m.sessionId, 26);
  if (m.workerId != null && m.workerId !== "") putText(m.workerId, 18);
  if (m.protocolVersion != null && m.protocolVersion !== 0) putUint32(m.protocolVersion, 8);
}

function readHello(end) {
  const m = { $typeName: "queuecall.v1.Hello", protocolVersion: 0, workerId: "", sessionId: "", subscriptions: [], window: 0, held: [], renewOnPong: false, clientInfo: "", labels: {} };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.protocolVersion = varint();
        break;
      case 18:
        m.workerId = text(end);
        break;
      case 26:
        m.sessionId = text(end);
        break;
      case 34:
        m.subscriptions.push(readSubscription(extent(end)));
        break;
      case 40:
        m.window = varint();
        break;
      case 50:
        m.held.push(readHeldLease(extent(end)));
        break;
      case 56:
        m.renewOnPong = bool();
        break;
      case 66:
        m.clientInfo = text(end);
        break;
      case 74:
        entry(end, m.labels);
        break;
      default:
        skip(tag, end, 9);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeWorkerFrame(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.drain != null) {
    const before9 = written();
    writeDrain(m.drain);
    putVarint(written() - before9);
    putVarint(74);
  }
  if (m.pong != null) {
    const before8 = written();
    writePong(m.pong);
    putVarint(written() - before8);
    putVarint(66);
  }
  if (m.ping != null) {
    const before7 = written();
    writePing(m.ping);
    putVarint(written() - before7);
    putVarint(58);
  }
  if (m.progress != null) {
    for (let i = m.progress.length - 1; i >= 0; i--) {
      const before6 = written();
      writeProgressReport(m.progress[i]);
      putVarint(written() - before6);
      putVarint(50);
    }
  }
  if (m.settlements != null) {
    for (let i = m.settlements.length - 1; i >= 0; i--) {
      const before5 = written();
      writeSettlement(m.settlements[i]);
      putVarint(written() - before5);
      putVarint(42);
    }
  }
  if (m.renewals != null) {
    for (let i = m.renewals.length - 1; i >= 0; i--) {
      const before4 = written();
      writeRenewal(m.renewals[i]);
      putVarint(written() - before4);
      putVarint(34);
    }
  }
  if (m.subscriptionsUpdate != null) {
    const before3 = written();
    writeSubscriptionsUpdate(m.subscriptionsUpdate);
    putVarint(written() - before3);
    putVarint(26);
  }
  if (m.window != null) putUint32(m.window, 16);
  if (m.receivedSeq != null && m.receivedSeq !== 0n) putLong(m.receivedSeq, 8);
}

function readWorkerFrame(end) {
  const m = { $typeName: "queuecall.v1.WorkerFrame", receivedSeq: 0n, renewals: [], settlements: [], progress: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.receivedSeq = long();
        break;
      case 16:
        m.window = varint();
        break;
      case 26:
        if (m.subscriptionsUpdate !== undefined) throw IRREGULAR;
        m.subscriptionsUpdate = readSubscriptionsUpdate(extent(end));
        break;
      case 34:
        m.renewals.push(readRenewal(extent(end)));
        break;
      case 42:
        m.settlements.push(readSettlement(extent(end)));
        break;
      case 50:
        m.progress.push(readProgressReport(extent(end)));
        break;
      case 58:
        if (m.ping !== undefined) throw IRREGULAR;
        m.ping = readPing(extent(end));
        break;
      case 66:
        if (m.pong !== undefined) throw IRREGULAR;
        m.pong = readPong(extent(end));
        break;
      case 74:
        if (m.drain !== undefined) throw IRREGULAR;
        m.drain = readDrain(extent(end));
        break;
      default:
        skip(tag, end, 9);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeWelcome(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.deliveryLease != null) {
    const before8 = written();
    writeDuration(m.deliveryLease);
    putVarint(written() - before8);
    putVarint(66);
  }
  if (m.protocolVersion != null && m.protocolVersion !== 0) putUint32(m.protocolVersion, 56);
  if (m.maxResultBytes != null && m.maxResultBytes !== 0n) putLong(m.maxResultBytes, 48);
  if (m.maxMessageBytes != null && m.maxMessageBytes !== 0n) putLong(m.maxMessageBytes, 40);
  if (m.reconnectGrace != null) {
    const before4 = written();
    writeDuration(m.reconnectGrace);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.pingInterval != null) {
    const before3 = written();
    writeDuration(m.pingInterval);
    putVarint(written() - before3);
    putVarint(26);
  }
  if (m.lease != null) {
    const before2 = written();
    writeDuration(m.lease);
    putVarint(written() - before2);
    putVarint(18);
  }
  if (m.brokerId != null && m.brokerId !== "") putText(m.brokerId, 10);
}

function readWelcome(end) {
  const m = { $typeName: "queuecall.v1.Welcome", brokerId: "", maxMessageBytes: 0n, maxResultBytes: 0n, protocolVersion: 0 };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.brokerId = text(end);
        break;
      case 18:
        if (m.lease !== undefined) throw IRREGULAR;
        m.lease = readDuration(extent(end));
        break;
      case 26:
        if (m.pingInterval !== undefined) throw IRREGULAR;
        m.pingInterval = readDuration(extent(end));
        break;
      case 34:
        if (m.reconnectGrace !== undefined) throw IRREGULAR;
        m.reconnectGrace = readDuration(extent(end));
        break;
      case 40:
        m.maxMessageBytes = long();
        break;
      case 48:
        m.maxResultBytes = long();
        break;
      case 56:
        m.protocolVersion = varint();
        break;
      case 66:
        if (m.deliveryLease !== undefined) throw IRREGULAR;
        m.deliveryLease = readDuration(extent(end));
        break;
      default:
        skip(tag, end, 8);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeBrokerFrame(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.drain != null) {
    const before9 = written();
    writeDrain(m.drain);
    putVarint(written() - before9);
    putVarint(74);
  }
  if (m.pong != null) {
    const before8 = written();
    writePong(m.pong);
    putVarint(written() - before8);
    putVarint(66);
  }
  if (m.ping != null) {
    const before7 = written();
    writePing(m.ping);
    putVarint(written() - before7);
    putVarint(58);
  }
  if (m.cancels != null) {
    for (let i = m.cancels.length - 1; i >= 0; i--) {
      const before6 = written();
      writeCancel(m.cancels[i]);
      putVarint(written() - before6);
      putVarint(50);
    }
  }
  if (m.lost != null) {
    for (let i = m.lost.length - 1; i >= 0; i--) {
      const before5 = written();
      writeLost(m.lost[i]);
      putVarint(written() - before5);
      putVarint(42);
    }
  }
  if (m.adopted != null) {
    for (let i = m.adopted.length - 1; i >= 0; i--) {
      const before4 = written();
      writeAdopted(m.adopted[i]);
      putVarint(written() - before4);
      putVarint(34);
    }
  }
  if (m.settled != null) {
    for (let i = m.settled.length - 1; i >= 0; i--) {
      const before3 = written();
      writeSettled(m.settled[i]);
      putVarint(written() - before3);
      putVarint(26);
    }
  }
  if (m.deliveries != null) {
    for (let i = m.deliveries.length - 1; i >= 0; i--) {
      const before2 = written();
      writeDelivery(m.deliveries[i]);
      putVarint(written() - before2);
      putVarint(18);
    }
  }
  if (m.seq != null && m.seq !== 0n) putLong(m.seq, 8);
}

function readBrokerFrame(end) {
  const m = { $typeName: "queuecall.v1.BrokerFrame", seq: 0n, deliveries: [], settled: [], adopted: [], lost: [], cancels: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.seq = long();
        break;
      case 18:
        m.deliveries.push(readDelivery(extent(end)));
        break;
      case 26:
        m.settled.push(readSettled(extent(end)));
        break;
      case 34:
        m.adopted.push(readAdopted(extent(end)));
        break;
      case 42:
        m.lost.push(readLost(extent(end)));
        break;
      case 50:
        m.cancels.push(readCancel(extent(end)));
        break;
      case 58:
        if (m.ping !== undefined) throw IRREGULAR;
        m.ping = readPing(extent(end));
        break;
      case 66:
        if (m.pong !== undefined) throw IRREGULAR;
        m.pong = readPong(extent(end));
        break;
      case 74:
        if (m.drain !== undefined) throw IRREGULAR;
        m.drain = readDrain(extent(end));
        break;
      default:
        skip(tag, end, 9);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeJobSpec(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.retryOn != null && m.retryOn !== 0) putInt32(m.retryOn, 128);
  if (m.rejectPayloadMismatch != null && m.rejectPayloadMismatch !== false) putBool(m.rejectPayloadMismatch, 120);
  if (m.onDuplicate != null && m.onDuplicate !== 0) putInt32(m.onDuplicate, 112);
  if (m.resultTtl != null) {
    const before13 = written();
    writeDuration(m.resultTtl);
    putVarint(written() - before13);
    putVarint(106);
  }
  if (m.startTimeout != null) {
    const before12 = written();
    writeDuration(m.startTimeout);
    putVarint(written() - before12);
    putVarint(98);
  }
  if (m.runTimeout != null) {
    const before11 = written();
    writeDuration(m.runTimeout);
    putVarint(written() - before11);
    putVarint(90);
  }
  if (m.backoff != null) {
    const before10 = written();
    writeBackoff(m.backoff);
    putVarint(written() - before10);
    putVarint(82);
  }
  if (m.maxAttempts != null && m.maxAttempts !== 0) putUint32(m.maxAttempts, 72);
  if (m.delay != null) {
    const before8 = written();
    writeDuration(m.delay);
    putVarint(written() - before8);
    putVarint(66);
  }
  if (m.priority != null && m.priority !== 0) putInt32(m.priority, 56);
  if (m.labels != null) {
    const keys = Object.keys(m.labels);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.labels[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(50);
    }
  }
  if (m.headers != null) {
    const keys = Object.keys(m.headers);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.headers[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(42);
    }
  }
  if (m.payload != null) {
    const before4 = written();
    writePayload(m.payload);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.method != null && m.method !== "") putText(m.method, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readJobSpec(end) {
  const m = { $typeName: "queuecall.v1.JobSpec", queue: "", jobId: "", method: "", headers: {}, labels: {}, priority: 0, maxAttempts: 0, onDuplicate: 0, rejectPayloadMismatch: false, retryOn: 0 };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.method = text(end);
        break;
      case 34:
        if (m.payload !== undefined) throw IRREGULAR;
        m.payload = readPayload(extent(end));
        break;
      case 42:
        entry(end, m.headers);
        break;
      case 50:
        entry(end, m.labels);
        break;
      case 56:
        m.priority = int32();
        break;
      case 66:
        if (m.delay !== undefined) throw IRREGULAR;
        m.delay = readDuration(extent(end));
        break;
      case 72:
        m.maxAttempts = varint();
        break;
      case 82:
        if (m.backoff !== undefined) throw IRREGULAR;
        m.backoff = readBackoff(extent(end));
        break;
      case 90:
        if (m.runTimeout !== undefined) throw IRREGULAR;
        m.runTimeout = readDuration(extent(end));
        break;
      case 98:
        if (m.startTimeout !== undefined) throw IRREGULAR;
        m.startTimeout = readDuration(extent(end));
        break;
      case 106:
        if (m.resultTtl !== undefined) throw IRREGULAR;
        m.resultTtl = readDuration(extent(end));
        break;
      case 112:
        m.onDuplicate = int32();
        break;
      case 120:
        m.rejectPayloadMismatch = bool();
        break;
      case 128:
        m.retryOn = int32();
        break;
      default:
        skip(tag, end, 16);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeJob(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.outcomeHeaders != null) {
    const keys = Object.keys(m.outcomeHeaders);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.outcomeHeaders[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(154);
    }
  }
  if (m.outcome?.case === "failure") {
    const v = m.outcome.value;
    const before18 = written();
    writeJobFailure(v);
    putVarint(written() - before18);
    putVarint(146);
  }
  if (m.outcome?.case === "result") {
    const v = m.outcome.value;
    const before17 = written();
    writePayload(v);
    putVarint(written() - before17);
    putVarint(138);
  }
  if (m.headers != null) {
    const keys = Object.keys(m.headers);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.headers[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(130);
    }
  }
  if (m.labels != null) {
    const keys = Object.keys(m.labels);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.labels[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(122);
    }
  }
  if (m.cancelRequested != null && m.cancelRequested !== false) putBool(m.cancelRequested, 112);
  if (m.progress != null) {
    const before13 = written();
    writeProgress(m.progress);
    putVarint(written() - before13);
    putVarint(106);
  }
  if (m.expireTime != null) {
    const before12 = written();
    writeTimestamp(m.expireTime);
    putVarint(written() - before12);
    putVarint(98);
  }
  if (m.endTime != null) {
    const before11 = written();
    writeTimestamp(m.endTime);
    putVarint(written() - before11);
    putVarint(90);
  }
  if (m.startTime != null) {
    const before10 = written();
    writeTimestamp(m.startTime);
    putVarint(written() - before10);
    putVarint(82);
  }
  if (m.createTime != null) {
    const before9 = written();
    writeTimestamp(m.createTime);
    putVarint(written() - before9);
    putVarint(74);
  }
  if (m.priority != null && m.priority !== 0) putInt32(m.priority, 64);
  if (m.maxAttempts != null && m.maxAttempts !== 0) putUint32(m.maxAttempts, 56);
  if (m.attempt != null && m.attempt !== 0) putUint32(m.attempt, 48);
  if (m.version != null && m.version !== 0n) putLong(m.version, 40);
  if (m.state != null && m.state !== 0) putInt32(m.state, 32);
  if (m.method != null && m.method !== "") putText(m.method, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readJob(end) {
  const m = { $typeName: "queuecall.v1.Job", queue: "", jobId: "", method: "", state: 0, version: 0n, attempt: 0, maxAttempts: 0, priority: 0, cancelRequested: false, labels: {}, headers: {}, outcome: { case: undefined }, outcomeHeaders: {} };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.method = text(end);
        break;
      case 32:
        m.state = int32();
        break;
      case 40:
        m.version = long();
        break;
      case 48:
        m.attempt = varint();
        break;
      case 56:
        m.maxAttempts = varint();
        break;
      case 64:
        m.priority = int32();
        break;
      case 74:
        if (m.createTime !== undefined) throw IRREGULAR;
        m.createTime = readTimestamp(extent(end));
        break;
      case 82:
        if (m.startTime !== undefined) throw IRREGULAR;
        m.startTime = readTimestamp(extent(end));
        break;
      case 90:
        if (m.endTime !== undefined) throw IRREGULAR;
        m.endTime = readTimestamp(extent(end));
        break;
      case 98:
        if (m.expireTime !== undefined) throw IRREGULAR;
        m.expireTime = readTimestamp(extent(end));
        break;
      case 106:
        if (m.progress !== undefined) throw IRREGULAR;
        m.progress = readProgress(extent(end));
        break;
      case 112:
        m.cancelRequested = bool();
        break;
      case 122:
        entry(end, m.labels);
        break;
      case 130:
        entry(end, m.headers);
        break;
      case 138:
        if (m.outcome.case !== undefined) throw IRREGULAR;
        m.outcome = { case: "result", value: readPayload(extent(end)) };
        break;
      case 146:
        if (m.outcome.case !== undefined) throw IRREGULAR;
        m.outcome = { case: "failure", value: readJobFailure(extent(end)) };
        break;
      case 154:
        entry(end, m.outcomeHeaders);
        break;
      default:
        skip(tag, end, 19);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeEnqueueBatchResponseItem(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.status != null) {
    const before4 = written();
    writeStatus(m.status);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.payloadMismatch != null && m.payloadMismatch !== false) putBool(m.payloadMismatch, 24);
  if (m.disposition != null && m.disposition !== 0) putInt32(m.disposition, 16);
  if (m.job != null) {
    const before1 = written();
    writeJob(m.job);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readEnqueueBatchResponseItem(end) {
  const m = { $typeName: "queuecall.v1.EnqueueBatchResponse.Item", disposition: 0, payloadMismatch: false };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.job !== undefined) throw IRREGULAR;
        m.job = readJob(extent(end));
        break;
      case 16:
        m.disposition = int32();
        break;
      case 24:
        m.payloadMismatch = bool();
        break;
      case 34:
        if (m.status !== undefined) throw IRREGULAR;
        m.status = readStatus(extent(end));
        break;
      default:
        skip(tag, end, 4);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeDuration(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.nanos != null && m.nanos !== 0) putInt32(m.nanos, 16);
  if (m.seconds != null && m.seconds !== 0n) putLong(m.seconds, 8);
}

function readDuration(end) {
  const m = { $typeName: "google.protobuf.Duration", seconds: 0n, nanos: 0 };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.seconds = long();
        break;
      case 16:
        m.nanos = int32();
        break;
      default:
        skip(tag, end, 2);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeStatus(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.details != null) {
    for (let i = m.details.length - 1; i >= 0; i--) {
      const before3 = written();
      writeAny(m.details[i]);
      putVarint(written() - before3);
      putVarint(26);
    }
  }
  if (m.message != null && m.message !== "") putText(m.message, 18);
  if (m.code != null && m.code !== 0) putInt32(m.code, 8);
}

function readStatus(end) {
  const m = { $typeName: "google.rpc.Status", code: 0, message: "", details: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.code = int32();
        break;
      case 18:
        m.message = text(end);
        break;
      case 26:
        m.details.push(readAny(extent(end)));
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeSubscription(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.descriptorSet != null && m.descriptorSet.length !== 0) putBytes(m.descriptorSet, 26);
  if (m.methods != null) {
    for (let i = m.methods.length - 1; i >= 0; i--) {
      putText(m.methods[i], 18);
    }
  }
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readSubscription(end) {
  const m = { $typeName: "queuecall.v1.Subscription", queue: "", methods: [], descriptorSet: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.methods.push(text(end));
        break;
      case 26:
        m.descriptorSet = binary(end);
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeHeldLease(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.leaseToken != null && m.leaseToken.length !== 0) putBytes(m.leaseToken, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readHeldLease(end) {
  const m = { $typeName: "queuecall.v1.HeldLease", queue: "", jobId: "", leaseToken: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.leaseToken = binary(end);
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeSubscriptionsUpdate(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.subscriptions != null) {
    for (let i = m.subscriptions.length - 1; i >= 0; i--) {
      const before1 = written();
      writeSubscription(m.subscriptions[i]);
      putVarint(written() - before1);
      putVarint(10);
    }
  }
}

function readSubscriptionsUpdate(end) {
  const m = { $typeName: "queuecall.v1.SubscriptionsUpdate", subscriptions: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.subscriptions.push(readSubscription(extent(end)));
        break;
      default:
        skip(tag, end, 1);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeRenewal(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.leaseToken != null && m.leaseToken.length !== 0) putBytes(m.leaseToken, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readRenewal(end) {
  const m = { $typeName: "queuecall.v1.Renewal", queue: "", jobId: "", leaseToken: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.leaseToken = binary(end);
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeSettlement(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.outcome?.case === "cancelled") {
    const v = m.outcome.value;
    const before8 = written();
    writeCancelled(v);
    putVarint(written() - before8);
    putVarint(66);
  }
  if (m.outcome?.case === "released") {
    const v = m.outcome.value;
    const before7 = written();
    writeReleased(v);
    putVarint(written() - before7);
    putVarint(58);
  }
  if (m.outcome?.case === "failed") {
    const v = m.outcome.value;
    const before6 = written();
    writeFailed(v);
    putVarint(written() - before6);
    putVarint(50);
  }
  if (m.outcome?.case === "completed") {
    const v = m.outcome.value;
    const before5 = written();
    writeCompleted(v);
    putVarint(written() - before5);
    putVarint(42);
  }
  if (m.leaseToken != null && m.leaseToken.length !== 0) putBytes(m.leaseToken, 34);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 26);
  if (m.queue != null && m.queue !== "") putText(m.queue, 18);
  if (m.settleId != null && m.settleId !== 0n) putLong(m.settleId, 8);
}

function readSettlement(end) {
  const m = { $typeName: "queuecall.v1.Settlement", settleId: 0n, queue: "", jobId: "", leaseToken: new Uint8Array(0), outcome: { case: undefined } };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.settleId = long();
        break;
      case 18:
        m.queue = text(end);
        break;
      case 26:
        m.jobId = text(end);
        break;
      case 34:
        m.leaseToken = binary(end);
        break;
      case 42:
        if (m.outcome.case !== undefined) throw IRREGULAR;
        m.outcome = { case: "completed", value: readCompleted(extent(end)) };
        break;
      case 50:
        if (m.outcome.case !== undefined) throw IRREGULAR;
        m.outcome = { case: "failed", value: readFailed(extent(end)) };
        break;
      case 58:
        if (m.outcome.case !== undefined) throw IRREGULAR;
        m.outcome = { case: "released", value: readReleased(extent(end)) };
        break;
      case 66:
        if (m.outcome.case !== undefined) throw IRREGULAR;
        m.outcome = { case: "cancelled", value: readCancelled(extent(end)) };
        break;
      default:
        skip(tag, end, 8);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeProgressReport(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.progress != null) {
    const before4 = written();
    writeProgress(m.progress);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.leaseToken != null && m.leaseToken.length !== 0) putBytes(m.leaseToken, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readProgressReport(end) {
  const m = { $typeName: "queuecall.v1.ProgressReport", queue: "", jobId: "", leaseToken: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.leaseToken = binary(end);
        break;
      case 34:
        if (m.progress !== undefined) throw IRREGULAR;
        m.progress = readProgress(extent(end));
        break;
      default:
        skip(tag, end, 4);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeDelivery(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.enqueueTime != null) {
    const before11 = written();
    writeTimestamp(m.enqueueTime);
    putVarint(written() - before11);
    putVarint(90);
  }
  if (m.runTimeoutLeft != null) {
    const before10 = written();
    writeDuration(m.runTimeoutLeft);
    putVarint(written() - before10);
    putVarint(82);
  }
  if (m.leaseToken != null && m.leaseToken.length !== 0) putBytes(m.leaseToken, 74);
  if (m.fence != null && m.fence !== 0n) putLong(m.fence, 64);
  if (m.maxAttempts != null && m.maxAttempts !== 0) putUint32(m.maxAttempts, 56);
  if (m.attempt != null && m.attempt !== 0) putUint32(m.attempt, 48);
  if (m.headers != null) {
    const keys = Object.keys(m.headers);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.headers[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(42);
    }
  }
  if (m.payload != null) {
    const before4 = written();
    writePayload(m.payload);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.method != null && m.method !== "") putText(m.method, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readDelivery(end) {
  const m = { $typeName: "queuecall.v1.Delivery", queue: "", jobId: "", method: "", headers: {}, attempt: 0, maxAttempts: 0, fence: 0n, leaseToken: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.method = text(end);
        break;
      case 34:
        if (m.payload !== undefined) throw IRREGULAR;
        m.payload = readPayload(extent(end));
        break;
      case 42:
        entry(end, m.headers);
        break;
      case 48:
        m.attempt = varint();
        break;
      case 56:
        m.maxAttempts = varint();
        break;
      case 64:
        m.fence = long();
        break;
      case 74:
        m.leaseToken = binary(end);
        break;
      case 82:
        if (m.runTimeoutLeft !== undefined) throw IRREGULAR;
        m.runTimeoutLeft = readDuration(extent(end));
        break;
      case 90:
        if (m.enqueueTime !== undefined) throw IRREGULAR;
        m.enqueueTime = readTimestamp(extent(end));
        break;
      default:
        skip(tag, end, 11);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeSettled(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.status != null) {
    const before3 = written();
    writeStatus(m.status);
    putVarint(written() - before3);
    putVarint(26);
  }
  if (m.result != null && m.result !== 0) putInt32(m.result, 16);
  if (m.settleId != null && m.settleId !== 0n) putLong(m.settleId, 8);
}

function readSettled(end) {
  const m = { $typeName: "queuecall.v1.Settled", settleId: 0n, result: 0 };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.settleId = long();
        break;
      case 16:
        m.result = int32();
        break;
      case 26:
        if (m.status !== undefined) throw IRREGULAR;
        m.status = readStatus(extent(end));
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeAdopted(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.leaseToken != null && m.leaseToken.length !== 0) putBytes(m.leaseToken, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readAdopted(end) {
  const m = { $typeName: "queuecall.v1.Adopted", queue: "", jobId: "", leaseToken: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.leaseToken = binary(end);
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeLost(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.reason != null && m.reason !== "") putText(m.reason, 34);
  if (m.leaseToken != null && m.leaseToken.length !== 0) putBytes(m.leaseToken, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readLost(end) {
  const m = { $typeName: "queuecall.v1.Lost", queue: "", jobId: "", leaseToken: new Uint8Array(0), reason: "" };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.leaseToken = binary(end);
        break;
      case 34:
        m.reason = text(end);
        break;
      default:
        skip(tag, end, 4);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeCancel(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.leaseToken != null && m.leaseToken.length !== 0) putBytes(m.leaseToken, 26);
  if (m.jobId != null && m.jobId !== "") putText(m.jobId, 18);
  if (m.queue != null && m.queue !== "") putText(m.queue, 10);
}

function readCancel(end) {
  const m = { $typeName: "queuecall.v1.Cancel", queue: "", jobId: "", leaseToken: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.queue = text(end);
        break;
      case 18:
        m.jobId = text(end);
        break;
      case 26:
        m.leaseToken = binary(end);
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writePayload(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.messageType != null && m.messageType !== "") putText(m.messageType, 26);
  if (m.contentType != null && m.contentType !== "") putText(m.contentType, 18);
  if (m.data != null && m.data.length !== 0) putBytes(m.data, 10);
}

function readPayload(end) {
  const m = { $typeName: "queuecall.v1.Payload", data: new Uint8Array(0), contentType: "", messageType: "" };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.data = binary(end);
        break;
      case 18:
        m.contentType = text(end);
        break;
      case 26:
        m.messageType = text(end);
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeBackoff(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.max != null) {
    const before3 = written();
    writeDuration(m.max);
    putVarint(written() - before3);
    putVarint(26);
  }
  if (m.multiplier != null && !Object.is(m.multiplier, 0)) putDouble(m.multiplier, 17);
  if (m.initial != null) {
    const before1 = written();
    writeDuration(m.initial);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readBackoff(end) {
  const m = { $typeName: "queuecall.v1.Backoff", multiplier: 0 };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.initial !== undefined) throw IRREGULAR;
        m.initial = readDuration(extent(end));
        break;
      case 17:
        m.multiplier = double();
        break;
      case 26:
        if (m.max !== undefined) throw IRREGULAR;
        m.max = readDuration(extent(end));
        break;
      default:
        skip(tag, end, 3);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeTimestamp(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.nanos != null && m.nanos !== 0) putInt32(m.nanos, 16);
  if (m.seconds != null && m.seconds !== 0n) putLong(m.seconds, 8);
}

function readTimestamp(end) {
  const m = { $typeName: "google.protobuf.Timestamp", seconds: 0n, nanos: 0 };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.seconds = long();
        break;
      case 16:
        m.nanos = int32();
        break;
      default:
        skip(tag, end, 2);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeProgress(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.details != null) {
    const before4 = written();
    writePayload(m.details);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.message != null && m.message !== "") putText(m.message, 26);
  if (m.total != null && !Object.is(m.total, 0)) putDouble(m.total, 17);
  if (m.current != null && !Object.is(m.current, 0)) putDouble(m.current, 9);
}

function readProgress(end) {
  const m = { $typeName: "queuecall.v1.Progress", current: 0, total: 0, message: "" };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 9:
        m.current = double();
        break;
      case 17:
        m.total = double();
        break;
      case 26:
        m.message = text(end);
        break;
      case 34:
        if (m.details !== undefined) throw IRREGULAR;
        m.details = readPayload(extent(end));
        break;
      default:
        skip(tag, end, 4);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeJobFailure(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.attempts != null) {
    for (let i = m.attempts.length - 1; i >= 0; i--) {
      const before5 = written();
      writeJobFailureAttempt(m.attempts[i]);
      putVarint(written() - before5);
      putVarint(42);
    }
  }
  if (m.stack != null && m.stack !== "") putText(m.stack, 34);
  if (m.type != null && m.type !== "") putText(m.type, 26);
  if (m.status != null) {
    const before2 = written();
    writeStatus(m.status);
    putVarint(written() - before2);
    putVarint(18);
  }
  if (m.kind != null && m.kind !== 0) putInt32(m.kind, 8);
}

function readJobFailure(end) {
  const m = { $typeName: "queuecall.v1.JobFailure", kind: 0, type: "", stack: "", attempts: [] };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.kind = int32();
        break;
      case 18:
        if (m.status !== undefined) throw IRREGULAR;
        m.status = readStatus(extent(end));
        break;
      case 26:
        m.type = text(end);
        break;
      case 34:
        m.stack = text(end);
        break;
      case 42:
        m.attempts.push(readJobFailureAttempt(extent(end)));
        break;
      default:
        skip(tag, end, 5);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeAny(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.value != null && m.value.length !== 0) putBytes(m.value, 18);
  if (m.typeUrl != null && m.typeUrl !== "") putText(m.typeUrl, 10);
}

function readAny(end) {
  const m = { $typeName: "google.protobuf.Any", typeUrl: "", value: new Uint8Array(0) };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        m.typeUrl = text(end);
        break;
      case 18:
        m.value = binary(end);
        break;
      default:
        skip(tag, end, 2);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeCompleted(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.headers != null) {
    const keys = Object.keys(m.headers);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.headers[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(18);
    }
  }
  if (m.payload != null) {
    const before1 = written();
    writePayload(m.payload);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readCompleted(end) {
  const m = { $typeName: "queuecall.v1.Completed", headers: {} };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.payload !== undefined) throw IRREGULAR;
        m.payload = readPayload(extent(end));
        break;
      case 18:
        entry(end, m.headers);
        break;
      default:
        skip(tag, end, 2);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeFailed(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.headers != null) {
    const keys = Object.keys(m.headers);
    for (let i = keys.length - 1; i >= 0; i--) {
      const before = written();
      putText(m.headers[keys[i]], 18);
      putText(keys[i], 10);
      putVarint(written() - before);
      putVarint(50);
    }
  }
  if (m.stack != null && m.stack !== "") putText(m.stack, 42);
  if (m.retryAfter != null) {
    const before4 = written();
    writeDuration(m.retryAfter);
    putVarint(written() - before4);
    putVarint(34);
  }
  if (m.retryable != null) { if (m.retryable === false) { putVarint(0); putVarint(24); } else putBool(m.retryable, 24); }
  if (m.type != null && m.type !== "") putText(m.type, 18);
  if (m.status != null) {
    const before1 = written();
    writeStatus(m.status);
    putVarint(written() - before1);
    putVarint(10);
  }
}

function readFailed(end) {
  const m = { $typeName: "queuecall.v1.Failed", type: "", stack: "", headers: {} };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 10:
        if (m.status !== undefined) throw IRREGULAR;
        m.status = readStatus(extent(end));
        break;
      case 18:
        m.type = text(end);
        break;
      case 24:
        m.retryable = bool();
        break;
      case 34:
        if (m.retryAfter !== undefined) throw IRREGULAR;
        m.retryAfter = readDuration(extent(end));
        break;
      case 42:
        m.stack = text(end);
        break;
      case 50:
        entry(end, m.headers);
        break;
      default:
        skip(tag, end, 6);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeReleased(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;

}

function readReleased(end) {
  const m = { $typeName: "queuecall.v1.Released" };
  while (at < end) {
    const tag = varint();
    switch (tag) {

      default:
        skip(tag, end, 0);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeCancelled(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;

}

function readCancelled(end) {
  const m = { $typeName: "queuecall.v1.Cancelled" };
  while (at < end) {
    const tag = varint();
    switch (tag) {

      default:
        skip(tag, end, 0);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

function writeJobFailureAttempt(m) {
  if (m.$unknown !== undefined) throw IRREGULAR;
  if (m.message != null && m.message !== "") putText(m.message, 34);
  if (m.workerId != null && m.workerId !== "") putText(m.workerId, 26);
  if (m.endTime != null) {
    const before2 = written();
    writeTimestamp(m.endTime);
    putVarint(written() - before2);
    putVarint(18);
  }
  if (m.number != null && m.number !== 0) putUint32(m.number, 8);
}

function readJobFailureAttempt(end) {
  const m = { $typeName: "queuecall.v1.JobFailure.Attempt", number: 0, workerId: "", message: "" };
  while (at < end) {
    const tag = varint();
    switch (tag) {
      case 8:
        m.number = varint();
        break;
      case 18:
        if (m.endTime !== undefined) throw IRREGULAR;
        m.endTime = readTimestamp(extent(end));
        break;
      case 26:
        m.workerId = text(end);
        break;
      case 34:
        m.message = text(end);
        break;
      default:
        skip(tag, end, 4);
    }
  }
  if (at !== end) throw IRREGULAR;
  return m;
}

/** By the full name of a message. */
export const codecs = new Map([
  ["queuecall.v1.ExchangeRequest", {
    encode: (message) => encode(writeExchangeRequest, message, finish),
    encodeInPieces: (message) => encode(writeExchangeRequest, message, finishInPieces),
    decode: (bytes) => decode(readExchangeRequest, bytes),
  }],
  ["queuecall.v1.ExchangeResponse", {
    encode: (message) => encode(writeExchangeResponse, message, finish),
    encodeInPieces: (message) => encode(writeExchangeResponse, message, finishInPieces),
    decode: (bytes) => decode(readExchangeResponse, bytes),
  }],
  ["queuecall.v1.WorkRequest", {
    encode: (message) => encode(writeWorkRequest, message, finish),
    encodeInPieces: (message) => encode(writeWorkRequest, message, finishInPieces),
    decode: (bytes) => decode(readWorkRequest, bytes),
  }],
  ["queuecall.v1.WorkResponse", {
    encode: (message) => encode(writeWorkResponse, message, finish),
    encodeInPieces: (message) => encode(writeWorkResponse, message, finishInPieces),
    decode: (bytes) => decode(readWorkResponse, bytes),
  }],
  ["queuecall.v1.EnqueueRequest", {
    encode: (message) => encode(writeEnqueueRequest, message, finish),
    encodeInPieces: (message) => encode(writeEnqueueRequest, message, finishInPieces),
    decode: (bytes) => decode(readEnqueueRequest, bytes),
  }],
  ["queuecall.v1.EnqueueResponse", {
    encode: (message) => encode(writeEnqueueResponse, message, finish),
    encodeInPieces: (message) => encode(writeEnqueueResponse, message, finishInPieces),
    decode: (bytes) => decode(readEnqueueResponse, bytes),
  }],
  ["queuecall.v1.EnqueueBatchRequest", {
    encode: (message) => encode(writeEnqueueBatchRequest, message, finish),
    encodeInPieces: (message) => encode(writeEnqueueBatchRequest, message, finishInPieces),
    decode: (bytes) => decode(readEnqueueBatchRequest, bytes),
  }],
  ["queuecall.v1.EnqueueBatchResponse", {
    encode: (message) => encode(writeEnqueueBatchResponse, message, finish),
    encodeInPieces: (message) => encode(writeEnqueueBatchResponse, message, finishInPieces),
    decode: (bytes) => decode(readEnqueueBatchResponse, bytes),
  }],
  ["queuecall.v1.EnqueueAndWaitRequest", {
    encode: (message) => encode(writeEnqueueAndWaitRequest, message, finish),
    encodeInPieces: (message) => encode(writeEnqueueAndWaitRequest, message, finishInPieces),
    decode: (bytes) => decode(readEnqueueAndWaitRequest, bytes),
  }],
  ["queuecall.v1.EnqueueAndWaitResponse", {
    encode: (message) => encode(writeEnqueueAndWaitResponse, message, finish),
    encodeInPieces: (message) => encode(writeEnqueueAndWaitResponse, message, finishInPieces),
    decode: (bytes) => decode(readEnqueueAndWaitResponse, bytes),
  }],
  ["queuecall.v1.ExchangeHello", {
    encode: (message) => encode(writeExchangeHello, message, finish),
    encodeInPieces: (message) => encode(writeExchangeHello, message, finishInPieces),
    decode: (bytes) => decode(readExchangeHello, bytes),
  }],
  ["queuecall.v1.ExchangeCall", {
    encode: (message) => encode(writeExchangeCall, message, finish),
    encodeInPieces: (message) => encode(writeExchangeCall, message, finishInPieces),
    decode: (bytes) => decode(readExchangeCall, bytes),
  }],
  ["queuecall.v1.ExchangeCancel", {
    encode: (message) => encode(writeExchangeCancel, message, finish),
    encodeInPieces: (message) => encode(writeExchangeCancel, message, finishInPieces),
    decode: (bytes) => decode(readExchangeCancel, bytes),
  }],
  ["queuecall.v1.Ping", {
    encode: (message) => encode(writePing, message, finish),
    encodeInPieces: (message) => encode(writePing, message, finishInPieces),
    decode: (bytes) => decode(readPing, bytes),
  }],
  ["queuecall.v1.Pong", {
    encode: (message) => encode(writePong, message, finish),
    encodeInPieces: (message) => encode(writePong, message, finishInPieces),
    decode: (bytes) => decode(readPong, bytes),
  }],
  ["queuecall.v1.ExchangeWelcome", {
    encode: (message) => encode(writeExchangeWelcome, message, finish),
    encodeInPieces: (message) => encode(writeExchangeWelcome, message, finishInPieces),
    decode: (bytes) => decode(readExchangeWelcome, bytes),
  }],
  ["queuecall.v1.ExchangeReply", {
    encode: (message) => encode(writeExchangeReply, message, finish),
    encodeInPieces: (message) => encode(writeExchangeReply, message, finishInPieces),
    decode: (bytes) => decode(readExchangeReply, bytes),
  }],
  ["queuecall.v1.Drain", {
    encode: (message) => encode(writeDrain, message, finish),
    encodeInPieces: (message) => encode(writeDrain, message, finishInPieces),
    decode: (bytes) => decode(readDrain, bytes),
  }],
  ["queuecall.v1.Hello", {
    encode: (message) => encode(writeHello, message, finish),
    encodeInPieces: (message) => encode(writeHello, message, finishInPieces),
    decode: (bytes) => decode(readHello, bytes),
  }],
  ["queuecall.v1.WorkerFrame", {
    encode: (message) => encode(writeWorkerFrame, message, finish),
    encodeInPieces: (message) => encode(writeWorkerFrame, message, finishInPieces),
    decode: (bytes) => decode(readWorkerFrame, bytes),
  }],
  ["queuecall.v1.Welcome", {
    encode: (message) => encode(writeWelcome, message, finish),
    encodeInPieces: (message) => encode(writeWelcome, message, finishInPieces),
    decode: (bytes) => decode(readWelcome, bytes),
  }],
  ["queuecall.v1.BrokerFrame", {
    encode: (message) => encode(writeBrokerFrame, message, finish),
    encodeInPieces: (message) => encode(writeBrokerFrame, message, finishInPieces),
    decode: (bytes) => decode(readBrokerFrame, bytes),
  }],
  ["queuecall.v1.JobSpec", {
    encode: (message) => encode(writeJobSpec, message, finish),
    encodeInPieces: (message) => encode(writeJobSpec, message, finishInPieces),
    decode: (bytes) => decode(readJobSpec, bytes),
  }],
  ["queuecall.v1.Job", {
    encode: (message) => encode(writeJob, message, finish),
    encodeInPieces: (message) => encode(writeJob, message, finishInPieces),
    decode: (bytes) => decode(readJob, bytes),
  }],
  ["queuecall.v1.EnqueueBatchResponse.Item", {
    encode: (message) => encode(writeEnqueueBatchResponseItem, message, finish),
    encodeInPieces: (message) => encode(writeEnqueueBatchResponseItem, message, finishInPieces),
    decode: (bytes) => decode(readEnqueueBatchResponseItem, bytes),
  }],
  ["google.protobuf.Duration", {
    encode: (message) => encode(writeDuration, message, finish),
    encodeInPieces: (message) => encode(writeDuration, message, finishInPieces),
    decode: (bytes) => decode(readDuration, bytes),
  }],
  ["google.rpc.Status", {
    encode: (message) => encode(writeStatus, message, finish),
    encodeInPieces: (message) => encode(writeStatus, message, finishInPieces),
    decode: (bytes) => decode(readStatus, bytes),
  }],
  ["queuecall.v1.Subscription", {
    encode: (message) => encode(writeSubscription, message, finish),
    encodeInPieces: (message) => encode(writeSubscription, message, finishInPieces),
    decode: (bytes) => decode(readSubscription, bytes),
  }],
  ["queuecall.v1.HeldLease", {
    encode: (message) => encode(writeHeldLease, message, finish),
    encodeInPieces: (message) => encode(writeHeldLease, message, finishInPieces),
    decode: (bytes) => decode(readHeldLease, bytes),
  }],
  ["queuecall.v1.SubscriptionsUpdate", {
    encode: (message) => encode(writeSubscriptionsUpdate, message, finish),
    encodeInPieces: (message) => encode(writeSubscriptionsUpdate, message, finishInPieces),
    decode: (bytes) => decode(readSubscriptionsUpdate, bytes),
  }],
  ["queuecall.v1.Renewal", {
    encode: (message) => encode(writeRenewal, message, finish),
    encodeInPieces: (message) => encode(writeRenewal, message, finishInPieces),
    decode: (bytes) => decode(readRenewal, bytes),
  }],
  ["queuecall.v1.Settlement", {
    encode: (message) => encode(writeSettlement, message, finish),
    encodeInPieces: (message) => encode(writeSettlement, message, finishInPieces),
    decode: (bytes) => decode(readSettlement, bytes),
  }],
  ["queuecall.v1.ProgressReport", {
    encode: (message) => encode(writeProgressReport, message, finish),
    encodeInPieces: (message) => encode(writeProgressReport, message, finishInPieces),
    decode: (bytes) => decode(readProgressReport, bytes),
  }],
  ["queuecall.v1.Delivery", {
    encode: (message) => encode(writeDelivery, message, finish),
    encodeInPieces: (message) => encode(writeDelivery, message, finishInPieces),
    decode: (bytes) => decode(readDelivery, bytes),
  }],
  ["queuecall.v1.Settled", {
    encode: (message) => encode(writeSettled, message, finish),
    encodeInPieces: (message) => encode(writeSettled, message, finishInPieces),
    decode: (bytes) => decode(readSettled, bytes),
  }],
  ["queuecall.v1.Adopted", {
    encode: (message) => encode(writeAdopted, message, finish),
    encodeInPieces: (message) => encode(writeAdopted, message, finishInPieces),
    decode: (bytes) => decode(readAdopted, bytes),
  }],
  ["queuecall.v1.Lost", {
    encode: (message) => encode(writeLost, message, finish),
    encodeInPieces: (message) => encode(writeLost, message, finishInPieces),
    decode: (bytes) => decode(readLost, bytes),
  }],
  ["queuecall.v1.Cancel", {
    encode: (message) => encode(writeCancel, message, finish),
    encodeInPieces: (message) => encode(writeCancel, message, finishInPieces),
    decode: (bytes) => decode(readCancel, bytes),
  }],
  ["queuecall.v1.Payload", {
    encode: (message) => encode(writePayload, message, finish),
    encodeInPieces: (message) => encode(writePayload, message, finishInPieces),
    decode: (bytes) => decode(readPayload, bytes),
  }],
  ["queuecall.v1.Backoff", {
    encode: (message) => encode(writeBackoff, message, finish),
    encodeInPieces: (message) => encode(writeBackoff, message, finishInPieces),
    decode: (bytes) => decode(readBackoff, bytes),
  }],
  ["google.protobuf.Timestamp", {
    encode: (message) => encode(writeTimestamp, message, finish),
    encodeInPieces: (message) => encode(writeTimestamp, message, finishInPieces),
    decode: (bytes) => decode(readTimestamp, bytes),
  }],
  ["queuecall.v1.Progress", {
    encode: (message) => encode(writeProgress, message, finish),
    encodeInPieces: (message) => encode(writeProgress, message, finishInPieces),
    decode: (bytes) => decode(readProgress, bytes),
  }],
  ["queuecall.v1.JobFailure", {
    encode: (message) => encode(writeJobFailure, message, finish),
    encodeInPieces: (message) => encode(writeJobFailure, message, finishInPieces),
    decode: (bytes) => decode(readJobFailure, bytes),
  }],
  ["google.protobuf.Any", {
    encode: (message) => encode(writeAny, message, finish),
    encodeInPieces: (message) => encode(writeAny, message, finishInPieces),
    decode: (bytes) => decode(readAny, bytes),
  }],
  ["queuecall.v1.Completed", {
    encode: (message) => encode(writeCompleted, message, finish),
    encodeInPieces: (message) => encode(writeCompleted, message, finishInPieces),
    decode: (bytes) => decode(readCompleted, bytes),
  }],
  ["queuecall.v1.Failed", {
    encode: (message) => encode(writeFailed, message, finish),
    encodeInPieces: (message) => encode(writeFailed, message, finishInPieces),
    decode: (bytes) => decode(readFailed, bytes),
  }],
  ["queuecall.v1.Released", {
    encode: (message) => encode(writeReleased, message, finish),
    encodeInPieces: (message) => encode(writeReleased, message, finishInPieces),
    decode: (bytes) => decode(readReleased, bytes),
  }],
  ["queuecall.v1.Cancelled", {
    encode: (message) => encode(writeCancelled, message, finish),
    encodeInPieces: (message) => encode(writeCancelled, message, finishInPieces),
    decode: (bytes) => decode(readCancelled, bytes),
  }],
  ["queuecall.v1.JobFailure.Attempt", {
    encode: (message) => encode(writeJobFailureAttempt, message, finish),
    encodeInPieces: (message) => encode(writeJobFailureAttempt, message, finishInPieces),
    decode: (bytes) => decode(readJobFailureAttempt, bytes),
  }],
]);
