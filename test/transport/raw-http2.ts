/** HTTP/2 by hand, so that it can be wrong: https://www.rfc-editor.org/rfc/rfc9113 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export const Type = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;
export const Flag = { endStream: 1, ack: 1, endHeaders: 4 } as const;
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

export type Header = readonly [name: string, value: string];

export const grpcHeaders = (path: string, ...more: Header[]): Header[] => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", path],
  [":authority", "broker"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
  ...more,
];

export class RawHttp2 implements AsyncDisposable {
  readonly socket: Socket;
  /** Resolves when the broker has ended the connection, or it broke. */
  readonly closed: Promise<void>;
  readonly #received = new Map<number, number>();
  #wakers: (() => void)[] = [];
  #confirms = false;
  #goodbye = "without a word";
  #unread = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => {});
    socket.on("data", (chunk) => this.#count(chunk));
  }

  /** A connection that has said nothing yet. */
  static async open(address: string): Promise<RawHttp2> {
    const [host = "", port = ""] = address.split(":");
    const socket = connect({ host, port: Number(port), noDelay: true });
    await once(socket, "connect");
    return new RawHttp2(socket);
  }

  /** A connection that has begun as it should. @param confirms the broker's settings, as everybody must */
  static async begin(address: string, { confirms = true } = {}): Promise<RawHttp2> {
    const raw = await RawHttp2.open(address);
    raw.#confirms = confirms;
    raw.socket.write(Buffer.concat([Buffer.from(PREFACE), frame(Type.settings, 0, 0)]));
    // The broker's settings, and that it has ours.
    if (confirms) await raw.until(() => raw.count(Type.settings) === 2);
    return raw;
  }

  /** Frames of the type that came. */
  count(type: number): number {
    return this.#received.get(type) ?? 0;
  }

  /** Resolves once enough came. Rejects if the connection is over before. */
  async until(enough: () => boolean): Promise<void> {
    while (!enough()) {
      if (this.over) throw new Error(`the connection ended: ${this.#goodbye}, ${JSON.stringify([...this.#received])}`);
      await Promise.race([new Promise<void>((resolve) => this.#wakers.push(resolve)), this.closed]);
    }
  }

  get over(): boolean {
    return this.socket.destroyed || this.socket.closed || !this.socket.writable;
  }

  /** Resolves once it has left this process; at once if the connection is over. */
  async write(...frames: Uint8Array[]): Promise<void> {
    if (this.over || this.socket.write(Buffer.concat(frames))) return;
    await Promise.race([once(this.socket, "drain").catch(() => {}), this.closed]);
  }

  /** Writes what `make` says until `times` of it are out, or the broker has had enough. */
  async flood(times: number, make: (n: number) => Uint8Array): Promise<void> {
    const perWrite = 200;
    for (let n = 0; n < times && !this.over; n += perWrite) {
      await this.write(...Array.from({ length: Math.min(perWrite, times - n) }, (_, i) => make(n + i)));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }

  #count(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    while (this.#unread.length >= 9) {
      const length = 9 + this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < length) return;
      const [type = 0, flags = 0] = this.#unread.subarray(3, 5);
      if (type === Type.settings && flags === 0 && this.#confirms) void this.write(frame(Type.settings, Flag.ack, 0));
      if (type === Type.goaway) this.#goodbye = `GOAWAY ${this.#unread.readUInt32BE(13)}`;
      this.#received.set(type, (this.#received.get(type) ?? 0) + 1);
      this.#unread = this.#unread.subarray(length);
      for (const wake of this.#wakers.splice(0)) wake();
    }
  }
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

export function headersFrame(stream: number, headers: readonly Header[], flags: number = Flag.endHeaders): Buffer {
  return frame(Type.headers, flags, stream, hpack(headers));
}

/** A gRPC message; `length` and `compressed` may lie. */
export function message(bytes: Uint8Array, { length = bytes.length, compressed = 0 } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = compressed;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** Literals that enter no table. */
export function hpack(headers: readonly Header[]): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([integer(bytes.length, 0x7f), bytes]);
}

/** RFC 7541, 5.1: what does not fit the prefix follows in groups of seven bits. */
function integer(value: number, prefix: number): Buffer {
  if (value < prefix) return Buffer.of(value);
  const bytes = [prefix];
  for (value -= prefix; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}
