/** Streams over one connection, as HTTP/2 has them: bytes both ways, a status at the end. */
import type { WireStatus } from "../../server/rpc/status.ts";
import type { Handlers, Network, Side } from "./network.ts";
import type { Process } from "./time.ts";

/** What connections carry. */
export type Message =
  | { kind: "settings" | "goaway" | "ping" | "pong" }
  | { kind: "open"; stream: number; path: string; timeoutMs: number | undefined }
  | { kind: "data"; stream: number; bytes: Uint8Array }
  | { kind: "half" | "reset"; stream: number }
  | { kind: "status"; stream: number; status: WireStatus };

/** What one end of a stream is told. */
export interface StreamHandlers {
  data(bytes: Uint8Array): void;
  /** The peer has no more to say; a client's only. */
  half?(): void;
  /** The server's last word. */
  status?(status: WireStatus): void;
  writable?(): void;
  /** The connection broke, or the peer gave the stream up. */
  lost(): void;
}

export const OK: WireStatus = { code: 0, message: "", details: [], trailers: {} };

/** One connection, seen from one end. */
export class Wire {
  /** The peer's process has spoken. */
  heard = false;
  /** The peer takes no new streams. */
  leaving = false;
  /** When the peer was last heard. */
  heardAt = 0;
  readonly #side: Side<Message>;
  readonly #process: Process;
  readonly #streams = new Map<number, WireStream>();
  readonly #onOpen: ((stream: WireStream, path: string, timeoutMs: number | undefined) => void) | undefined;
  #next = 1;

  /** The end that is dialled. */
  static accept(
    process: Process,
    side: Side<Message>,
    onOpen: (stream: WireStream, path: string, timeoutMs: number | undefined) => void,
  ): Wire {
    const wire = new Wire(process, side, onOpen);
    side.handlers = wire.#handlers(() => {});
    process.run(() => side.send({ kind: "settings" }));
    return wire;
  }

  /** The end that dials. */
  static dial(
    network: Network<Message>,
    process: Process,
    address: string,
    events: { opened(): void; closed(): void },
  ): Wire {
    const handlers: Handlers<Message> = {
      message: (message) => wire.#message(message),
      writable: () => wire.#writable(),
      closed: () => {
        wire.#lost();
        events.closed();
      },
    };
    const side = network.dial(process, address, handlers, events.opened);
    const wire = new Wire(process, side, undefined);
    return wire;
  }

  private constructor(
    process: Process,
    side: Side<Message>,
    onOpen: ((stream: WireStream, path: string, timeoutMs: number | undefined) => void) | undefined,
  ) {
    this.#process = process;
    this.#side = side;
    this.#onOpen = onOpen;
    this.heardAt = process.clock.monotonic();
  }

  get open(): boolean {
    return this.#side.open;
  }
  get writable(): boolean {
    return this.#side.writable;
  }
  get streams(): number {
    return this.#streams.size;
  }

  stream(path: string, timeoutMs: number | undefined, handlers: StreamHandlers): WireStream {
    const stream = new WireStream(this, this.#next++, handlers);
    this.#streams.set(stream.id, stream);
    this.send({ kind: "open", stream: stream.id, path, timeoutMs });
    return stream;
  }

  send(message: Message): void {
    this.#side.send(message);
  }

  forget(stream: WireStream): void {
    this.#streams.delete(stream.id);
  }

  /** Ends it, and every stream on it. */
  close(): void {
    this.#side.close();
    this.#lost();
  }

  #handlers(closed: () => void): Handlers<Message> {
    return {
      message: (message) => this.#message(message),
      writable: () => this.#writable(),
      closed: () => {
        this.#lost();
        closed();
      },
    };
  }

  #message(message: Message): void {
    this.heard = true;
    this.heardAt = this.#process.clock.monotonic();
    switch (message.kind) {
      case "settings":
      case "pong":
        return;
      case "goaway":
        this.leaving = true;
        return;
      case "ping":
        return this.send({ kind: "pong" });
      case "open": {
        const stream = new WireStream(this, message.stream, { data() {}, lost() {} });
        this.#streams.set(stream.id, stream);
        return this.#onOpen?.(stream, message.path, message.timeoutMs);
      }
    }
    const stream = this.#streams.get(message.stream);
    if (!stream) return;
    if (message.kind === "data") return stream.handlers.data(message.bytes);
    if (message.kind === "half") return stream.handlers.half?.();
    this.forget(stream);
    if (message.kind === "status") stream.handlers.status?.(message.status);
    else stream.handlers.lost();
  }

  #writable(): void {
    for (const stream of [...this.#streams.values()]) stream.handlers.writable?.();
  }

  #lost(): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.handlers.lost();
  }
}

export class WireStream {
  readonly id: number;
  readonly #wire: Wire;
  handlers: StreamHandlers;

  constructor(wire: Wire, id: number, handlers: StreamHandlers) {
    this.#wire = wire;
    this.id = id;
    this.handlers = handlers;
  }

  get writable(): boolean {
    return this.#wire.writable;
  }

  send(bytes: Uint8Array): void {
    this.#wire.send({ kind: "data", stream: this.id, bytes });
  }

  /** No more to say. */
  half(): void {
    this.#wire.send({ kind: "half", stream: this.id });
  }

  /** A server's last word. */
  end(status: WireStatus): void {
    this.#wire.send({ kind: "status", stream: this.id, status });
    this.#wire.forget(this);
  }

  /** Gives it up. */
  reset(): void {
    this.#wire.send({ kind: "reset", stream: this.id });
    this.#wire.forget(this);
  }
}
