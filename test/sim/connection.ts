/** One HTTP/2 connection as a client has it: opened by the first request, again after it was lost, watched while calls are open. */
import { EventEmitter } from "node:events";
import type { ClientHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { NotSentError } from "../../client/transport/connection.ts";
import type { Carrier } from "../../client/transport/exchange.ts";
import type { LinkState } from "../../client/transport/transport.ts";
import { statusBytes, type WireStatus } from "../../server/rpc/status.ts";
import type { Network } from "./network.ts";
import type { Process } from "./time.ts";
import { type Message, type StreamHandlers, Wire, type WireStream } from "./wire.ts";

/** As the real one's, in client/transport/connection.ts. Milliseconds. */
const HANDSHAKE_MS = 5_000;
const PING_MS = 15_000;
const PONG_MS = 10_000;
const ENVELOPE_HEAD_BYTES = 5;

interface Dialled {
  readonly wire: Wire;
  readonly opened: Promise<void>;
  connected: boolean;
}

export class SimConnection implements Carrier {
  readonly #network: Network<Message>;
  readonly #process: Process;
  readonly #url: string;
  #current: Dialled | undefined;
  /** All that have not ended: the one above, and those that are left while calls are still answered there. */
  readonly #dialled = new Set<Dialled>();
  #watching = false;
  #closed = false;

  constructor(network: Network<Message>, process: Process, url: string) {
    this.#network = network;
    this.#process = process;
    this.#url = url;
  }

  get state(): LinkState {
    const connected = [...this.#dialled].filter((each) => each.connected && each.wire.open);
    if (connected.length === 0) return "closed";
    return connected.some(({ wire }) => wire.heard) ? "heard" : "open";
  }

  /** A stream of its own. @throws ConnectError caused by NotSentError where there is no connection */
  async open(path: string, timeoutMs: number | undefined, handlers: StreamHandlers): Promise<WireStream> {
    const wire = await this.#ready();
    const stream = wire.stream(path, timeoutMs, handlers);
    this.#watch(wire);
    return stream;
  }

  async request(_method: string, path: string): Promise<ClientHttp2Stream> {
    const wire = await this.#ready();
    const stream = new SimHttp2Stream(wire, path);
    this.#watch(wire);
    return stream as unknown as ClientHttp2Stream;
  }

  hold(): void {}
  rest(): void {}
  notifyResponseByteRead(): void {}

  async close(): Promise<void> {
    this.#closed = true;
    this.#current?.wire.close();
  }

  async #ready(): Promise<Wire> {
    if (this.#closed) throw notSent("the client is closed");
    if (!this.#current?.wire.open || this.#current.wire.leaving) this.#dial();
    const { wire, opened } = this.#current!;
    await opened;
    if (!wire.open) throw notSent("the connection was closed");
    return wire;
  }

  #dial(): void {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    const wire = Wire.dial(this.#network, this.#process, this.#url, {
      opened: () => {
        current.connected = true;
        resolve();
      },
      closed: () => {
        this.#dialled.delete(current);
        handshake.cancel();
        reject(notSent(`cannot connect to ${this.#url}`));
      },
    });
    const handshake = this.#process.after(HANDSHAKE_MS, () => {
      if (wire.heard) return;
      wire.close();
      reject(notSent("the broker does not answer"));
    });
    const current: Dialled = { wire, opened: promise, connected: false };
    this.#current = current;
    this.#dialled.add(current);
  }

  /** While calls are open: silence is looked into, and ended. */
  #watch(wire: Wire): void {
    if (this.#watching) return;
    this.#watching = true;
    const { clock } = this.#process;
    const look = () => {
      if (!wire.open || wire.streams === 0) {
        this.#watching = false;
        return;
      }
      const silentMs = clock.monotonic() - wire.heardAt;
      if (silentMs < PING_MS) return void clock.setTimer(look, PING_MS - silentMs);
      wire.send({ kind: "ping" });
      clock.setTimer(() => {
        if (clock.monotonic() - wire.heardAt >= PONG_MS) wire.close();
        look();
      }, PONG_MS);
    };
    look();
  }
}

function notSent(message: string): ConnectError {
  return new ConnectError(message, Code.Unavailable, undefined, undefined, new NotSentError(message));
}

/** As much of an HTTP/2 stream as the client's multiplexing touches. */
class SimHttp2Stream extends EventEmitter {
  readonly session: { readonly closed: boolean };
  writable = true;
  readonly #stream: WireStream;
  /** Of one message. */
  #pieces: Uint8Array[] = [];
  #over = false;

  constructor(wire: Wire, path: string) {
    super();
    this.session = {
      get closed() {
        return wire.leaving || !wire.open;
      },
    };
    this.#stream = wire.stream(path, undefined, {
      data: (bytes) => this.emit("data", Buffer.from(encodeEnvelope(0, bytes))),
      status: (status) => this.#status(status),
      writable: () => this.emit("drain"),
      lost: () => this.#close(new ConnectError("the connection was closed", Code.Unavailable)),
    });
  }

  get writableNeedDrain(): boolean {
    return !this.#stream.writable;
  }

  cork(): void {}

  write(piece: Uint8Array): void {
    this.#pieces.push(piece);
  }

  uncork(): void {
    const envelope = Buffer.concat(this.#pieces);
    this.#pieces = [];
    if (!this.#over) this.#stream.send(envelope.subarray(ENVELOPE_HEAD_BYTES));
  }

  end(): void {
    if (!this.writable) return;
    this.writable = false;
    this.#stream.half();
  }

  close(): void {
    if (!this.#over) this.#stream.reset();
    this.#close();
  }

  destroy(error: Error): void {
    if (!this.#over) this.#stream.reset();
    this.#close(error);
  }

  #status(status: WireStatus): void {
    const { code, message } = status;
    const more = code === 0 ? {} : { "grpc-status-details-bin": Buffer.from(statusBytes(status)).toString("base64") };
    this.emit("trailers", { "grpc-status": String(code), "grpc-message": encodeURIComponent(message), ...more });
    this.#close();
  }

  #close(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.writable = false;
    if (error) this.emit("error", error);
    this.emit("end");
    this.emit("close");
  }
}
