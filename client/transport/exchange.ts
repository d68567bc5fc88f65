/** One stream of MultiplexService.Exchange: calls out, replies in, both in batches. */
import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import {
  type ExchangeCallSchema,
  type ExchangeReply,
  ExchangeRequestSchema,
  ExchangeResponseSchema,
  MultiplexService,
} from "../../gen/queuecall/v1/multiplex_pb.js";
import type { Clock } from "../../protocol/clock.ts";
import { EXCHANGE_FRAME_BYTES, MAX_CALLS_IN_FLIGHT, PROTOCOL_VERSION } from "../../protocol/limits.ts";
import { framed } from "../../protocol/pieces.ts";
import { Table } from "../../protocol/table.ts";
import { decode, encodeInPieces } from "../../protocol/wire.ts";
import { type Connection, NotSentError } from "./connection.ts";
import { Envelopes } from "./envelopes.ts";

const PATH = `/${MultiplexService.typeName}/${MultiplexService.method.exchange.name}`;

/** What an exchange needs of a connection. */
export type Carrier = Pick<Connection, "request" | "hold" | "rest" | "notifyResponseByteRead">;

/** A call as it goes out, without its id. */
export interface Outgoing {
  method: string;
  timeout: Duration | undefined;
  headers: Record<string, string>;
  message: Uint8Array;
}

type ExchangeCall = Outgoing & { callId: number };

interface Waiting {
  signal: AbortSignal;
  cancel(): void;
  resolve(reply: ExchangeReply): void;
  reject(error: ConnectError): void;
}

export class Exchange {
  /** What the stream showed at the door. Calls that show something else need another stream. */
  readonly authorization: string | null;
  readonly #connection: Carrier;
  readonly #clock: Clock;
  readonly #calls = new Table<number, Waiting>();
  readonly #envelopes = new Envelopes((message) => this.#received(message));
  #stream: ClientHttp2Stream | undefined;
  #outbox: ExchangeCall[] = [];
  #cancels: { callId: number }[] = [];
  #pong: { nonce: bigint } | undefined;
  #greeted = false;
  #flushing = false;
  #welcomed = false;
  #leaving = false;
  #over = false;
  #error: ConnectError | undefined;
  #maxInFlight = MAX_CALLS_IN_FLIGHT;
  #lastId = 0;

  constructor(connection: Carrier, clock: Clock, authorization: string | null) {
    this.#connection = connection;
    this.#clock = clock;
    this.authorization = authorization;
    void this.#open();
  }

  /** New calls may begin on it. */
  get usable(): boolean {
    const gone = this.#leaving || this.#over || this.#stream?.session?.closed === true;
    return !gone && this.#calls.size < this.#maxInFlight;
  }

  /** It ended because the broker does not know the service: no call was looked at. */
  get unknown(): boolean {
    return this.#over && !this.#welcomed && this.#error?.code === Code.Unimplemented;
  }

  /**
   * One call.
   * @throws ConnectError the broker's answer; or UNAVAILABLE where the stream ended first, caused by NotSentError where
   * the call had not left
   */
  call(outgoing: Outgoing, signal: AbortSignal): Promise<ExchangeReply> {
    const { promise, resolve, reject } = Promise.withResolvers<ExchangeReply>();
    const callId = this.#newId();
    const cancel = () => this.#cancel(callId, signal);
    this.#calls.set(callId, { signal, cancel, resolve, reject });
    if (this.#calls.size === 1 && this.#stream) this.#connection.hold(this.#stream);
    signal.addEventListener("abort", cancel);
    this.#outbox.push({ ...outgoing, callId });
    this.#flushSoon();
    if (signal.aborted) cancel();
    return promise;
  }

  /** No new calls; ends once those in flight have their replies. */
  leave(): void {
    this.#leaving = true;
    if (this.#calls.size === 0) this.#stream?.end();
  }

  #newId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0;
    while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }

  async #open(): Promise<void> {
    const headers = { "content-type": "application/grpc+proto", te: "trailers" };
    const authorization = this.authorization === null ? {} : { authorization: this.authorization };
    try {
      const stream = await this.#connection.request("POST", PATH, { ...headers, ...authorization }, {});
      this.#stream = stream;
      stream.on("response", (received) => this.#status(received));
      stream.on("trailers", (received) => this.#status(received));
      stream.on("data", (bytes: Buffer) => {
        this.#connection.notifyResponseByteRead(stream);
        try {
          this.#envelopes.push(bytes);
        } catch (error) {
          stream.destroy(error as Error);
        }
      });
      stream.on("drain", () => this.#flush());
      // The broker has no more to say: nor have we.
      stream.on("end", () => stream.close());
      stream.on("error", (error) => {
        this.#error ??= ConnectError.from(error, Code.Unavailable);
      });
      stream.on("close", () => this.#ended());
      if (this.#calls.size === 0) this.#rest();
      this.#flush();
    } catch (error) {
      this.#error = ConnectError.from(error);
      this.#ended();
    }
  }

  #flushSoon(): void {
    if (this.#flushing || !this.#stream) return;
    this.#flushing = true;
    this.#clock.soon(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const stream = this.#stream;
    while (stream?.writable && !stream.writableNeedDrain) {
      const calls = this.#batch();
      if (calls.length === 0 && this.#cancels.length === 0 && !this.#pong) break;
      const message = encodeInPieces(ExchangeRequestSchema, {
        ...(!this.#greeted && { hello: { protocolVersion: PROTOCOL_VERSION } }),
        ...(this.#pong && { pong: this.#pong }),
        cancels: this.#cancels,
        calls: calls as MessageInitShape<typeof ExchangeCallSchema>[],
      });
      this.#greeted = true;
      this.#cancels = [];
      this.#pong = undefined;
      // All in one system call.
      stream.cork();
      for (const piece of framed(message)) stream.write(piece);
      stream.uncork();
    }
  }

  /** Takes as many calls out of the outbox as go into one message. */
  #batch(): ExchangeCall[] {
    let bytes = 0;
    const over = this.#outbox.findIndex((call, n) => {
      bytes += call.message.length;
      return n > 0 && bytes > EXCHANGE_FRAME_BYTES;
    });
    return this.#outbox.splice(0, over < 0 ? this.#outbox.length : over);
  }

  /** The call is over: nothing waits for it any more. Undefined: it was before. */
  #settle(callId: number): Waiting | undefined {
    const waiting = this.#calls.get(callId);
    if (!waiting) return undefined;
    waiting.signal.removeEventListener("abort", waiting.cancel);
    this.#calls.delete(callId);
    if (this.#calls.size === 0) this.#rest();
    return waiting;
  }

  #cancel(callId: number, signal: AbortSignal): void {
    const unsent = this.#outbox.findIndex((call) => call.callId === callId);
    if (unsent >= 0) this.#outbox.splice(unsent, 1);
    else {
      this.#cancels.push({ callId });
      this.#flushSoon();
    }
    this.#settle(callId)?.reject(ConnectError.from(signal.reason, Code.Canceled));
  }

  #received(bytes: Uint8Array): void {
    const { welcome, replies, ping, drain } = decode(ExchangeResponseSchema, bytes);
    if (welcome) {
      this.#welcomed = true;
      this.#maxInFlight = welcome.maxInFlight;
    }
    for (const reply of replies) {
      const { status } = reply;
      // Without an entry it was cancelled meanwhile.
      const waiting = this.#settle(reply.callId);
      if (status) waiting?.reject(refusal(status, reply));
      else waiting?.resolve(reply);
    }
    if (ping) {
      this.#pong = { nonce: ping.nonce };
      this.#flushSoon();
    }
    if (drain) this.leave();
  }

  /** Nothing is in flight: the stream may go, or wait without keeping the process alive. */
  #rest(): void {
    if (this.#leaving) this.#stream?.end();
    else if (this.#stream && !this.#over) this.#connection.rest(this.#stream);
  }

  #status(headers: IncomingHttpHeaders): void {
    if (headers["grpc-status"] === undefined) return;
    const all = Object.entries(headers).filter(([name]) => !name.startsWith(":")) as [string, string][];
    this.#error ??= findTrailerError(new Headers(all));
  }

  #ended(): void {
    this.#over = true;
    const unsent = new Set(this.#outbox.map(({ callId }) => callId));
    const error = lost(this.#error);
    const notSent = new NotSentError(error.rawMessage, { cause: error });
    for (const [callId] of [...this.#calls]) {
      const never = unsent.has(callId) && error.code === Code.Unavailable;
      this.#settle(callId)?.reject(
        never ? new ConnectError(error.rawMessage, error.code, undefined, undefined, notSent) : error,
      );
    }
    this.#outbox = [];
  }
}

/** A broker's refusal as Connect would throw it. */
export function refusal(
  status: NonNullable<ExchangeReply["status"]>,
  { trailers }: Pick<ExchangeReply, "trailers">,
): ConnectError {
  const error = new ConnectError(status.message, status.code, trailers);
  error.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  error.isWireError = true;
  return error;
}

/** What the end of the stream means to a call on it. What the broker says counts; all else is a connection that broke. */
function lost(error: ConnectError | undefined): ConnectError {
  const broken = [undefined, Code.Canceled, Code.Unknown, Code.Internal, Code.Aborted];
  if (error && !broken.includes(error.code)) return error;
  const text = error ? `the stream broke: ${error.rawMessage}` : "the broker ended the stream before its answer";
  return new ConnectError(text, Code.Unavailable, undefined, undefined, error?.cause ?? error);
}
