/**
 * Multiplexed gRPC: unary calls share one stream, in batches. What the stream
 * cannot carry goes as a call of its own on the same connection: streams, what
 * is large, and everything at a broker that does not know the service.
 */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { runUnaryCall } from "@connectrpc/connect/protocol";
import { createGrpcTransport } from "@connectrpc/connect-node";
import type { ExchangeReply } from "../../gen/queuecall/v1/multiplex_pb.js";
import type { Clock } from "../../protocol/clock.ts";
import { durationOf } from "../../protocol/duration.ts";
import { EXCHANGE_FRAME_BYTES } from "../../protocol/limits.ts";
import { decode, encode } from "../../protocol/wire.ts";
import { Connection } from "./connection.ts";
import { type Carrier, Exchange, type Outgoing } from "./exchange.ts";
import type { Link, LinkOptions } from "./transport.ts";

export function openMultiplexLink(url: string, { tls, clock, interceptors }: LinkOptions): Link {
  const connection = new Connection(url, tls);
  const options = { baseUrl: url, sessionManager: connection, acceptCompression: [] };
  const streams = createGrpcTransport({ ...options, interceptors });
  const single = createGrpcTransport(options);
  return {
    url,
    transport: { unary: multiplexed(url, connection, clock, single, interceptors), stream: streams.stream },
    get state() {
      return connection.state;
    },
    close: () => connection.close(),
  };
}

/** Unary calls on the streams of one connection. @param single takes what those cannot carry */
export function multiplexed(
  url: string,
  carrier: Carrier,
  clock: Clock,
  single: Pick<Transport, "unary">,
  interceptors: Interceptor[],
): Transport["unary"] {
  const exchanges = new Exchanges(carrier, clock);

  return <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeaderInit,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> => {
    const call = async (
      header: HeaderInit,
      message: MessageInitShape<I>,
      signal: AbortSignal,
    ): Promise<UnaryResponse<I, O>> => {
      const bytes = encode(method.input, message);
      const { authorization, outgoing } = outgoingOf(method, header, bytes);
      const exchange = bytes.length > EXCHANGE_FRAME_BYTES ? undefined : exchanges.take(authorization);
      try {
        if (exchange) return new Answer(method, await exchange.call(outgoing, signal));
      } catch (error) {
        if (!(error instanceof ConnectError) || error.code !== Code.Unimplemented || !exchange?.unknown) throw error;
        exchanges.unknown = true;
      }
      return single.unary(method, signal, undefined, header, message, contextValues);
    };
    // What Connect does around a call costs as much as the call: not where there is nothing around it.
    if (interceptors.length === 0 && signal && timeoutMs === undefined) return call(header, input, signal);
    const headers = new Headers(header);
    if (timeoutMs !== undefined && timeoutMs > 0) headers.set("grpc-timeout", `${Math.ceil(timeoutMs)}m`);
    return runUnaryCall({
      interceptors,
      ...(signal && { signal }),
      ...(timeoutMs !== undefined && timeoutMs > 0 && { timeoutMs }),
      req: {
        stream: false as const,
        service: method.parent,
        method,
        requestMethod: "POST",
        url: `${url}${pathOf(method)}`,
        header: headers,
        contextValues: contextValues ?? createContextValues(),
        message: create(method.input, input),
      },
      next: async (request: UnaryRequest<I, O>) =>
        spreadable(await call(request.header, request.message as MessageInitShape<I>, request.signal)),
    });
  };
}

type HeaderInit = ConstructorParameters<typeof Headers>[0];

/** A reply in Connect's words. Few read its headers. */
class Answer<I extends DescMessage, O extends DescMessage> implements UnaryResponse<I, O> {
  readonly stream = false;
  readonly method: DescMethodUnary<I, O>;
  readonly message: MessageShape<O>;
  readonly #reply: ExchangeReply;

  constructor(method: DescMethodUnary<I, O>, reply: ExchangeReply) {
    this.method = method;
    this.message = decode(method.output, reply.message);
    this.#reply = reply;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get header(): Headers {
    return new Headers(this.#reply.headers);
  }

  get trailer(): Headers {
    return new Headers(this.#reply.trailers);
  }
}

/** Interceptors may pass on a changed copy of a response. */
function spreadable<I extends DescMessage, O extends DescMessage>(response: UnaryResponse<I, O>): UnaryResponse<I, O> {
  const { stream, service, method, message, header, trailer } = response;
  return { stream, service, method, message, header, trailer };
}

function pathOf({ parent, name }: DescMethodUnary): string {
  return `/${parent.typeName}/${name}`;
}

/** The streams to one broker: one that takes calls, and those that it took the place of, until their calls are over. */
class Exchanges {
  readonly #carrier: Carrier;
  readonly #clock: Clock;
  #current: Exchange | undefined;
  /** The broker knows no such service. */
  unknown = false;

  constructor(carrier: Carrier, clock: Clock) {
    this.#carrier = carrier;
    this.#clock = clock;
  }

  /**
   * A stream that was opened with these credentials. Others are left: a token that was renewed is not gone back on.
   * Undefined: the call has to go by itself.
   */
  take(authorization: string | null): Exchange | undefined {
    if (this.unknown) return undefined;
    const current = this.#current;
    if (current?.usable && current.authorization === authorization) return current;
    current?.leave();
    this.#current = new Exchange(this.#carrier, this.#clock, authorization);
    return this.#current;
  }
}

/** A call as a stream takes it. What is the stream's or the protocol's own is said there, not in the headers. */
function outgoingOf(
  method: DescMethodUnary,
  header: HeaderInit,
  message: Uint8Array,
): { authorization: string | null; outgoing: Outgoing } {
  let timeout: Duration | undefined;
  let authorization: string | null = null;
  const headers: Record<string, string> = {};
  for (const [name, value] of entriesOf(header)) {
    if (name === "grpc-timeout") timeout = timeoutOf(value);
    else if (name === "authorization") authorization = value;
    else headers[name] = value;
  }
  return { authorization, outgoing: { method: pathOf(method), timeout, headers, message } };
}

const UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

function timeoutOf(text: string): Duration {
  return durationOf(Math.ceil(Number(text.slice(0, -1)) * (UNIT_MS[text.slice(-1)] ?? 1)));
}

/** Names in lower case. The usual few are not worth a Headers. */
function entriesOf(header: HeaderInit): Iterable<[string, string]> {
  if (header === undefined || Symbol.iterator in header) return new Headers(header);
  const entries = Object.entries(header as Record<string, string>);
  return entries.every(([name]) => name === "grpc-timeout") ? entries : new Headers(entries);
}
