/** A caller's way to one broker over the simulated network: the client library's own multiplexing, or a stream for each call. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { refusal } from "../../client/transport/exchange.ts";
import { multiplexed } from "../../client/transport/multiplex.ts";
import type { OpenLink } from "../../client/transport/transport.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import type { WireStatus } from "../../server/rpc/status.ts";
import { SimConnection } from "./connection.ts";
import type { Network } from "./network.ts";
import type { Process } from "./time.ts";
import type { Message } from "./wire.ts";

/** @param mode how calls travel */
export function openSimLink(network: Network<Message>, process: Process, mode: "multiplex" | "unary"): OpenLink {
  return (url) => {
    const connection = new SimConnection(network, process, url);
    const single: Transport["unary"] = (method, signal, _timeoutMs, header, input) =>
      unary(connection, method, signal, new Headers(header), input);
    return {
      url,
      transport: {
        unary: mode === "unary" ? single : multiplexed(url, connection, process.clock, { unary: single }, []),
        stream: (method, signal, _timeoutMs, _header, input) => stream(connection, method, signal, input),
      },
      get state() {
        return connection.state;
      },
      close: () => connection.close(),
    };
  };
}

async function unary<I extends DescMessage, O extends DescMessage>(
  connection: SimConnection,
  method: DescMethodUnary<I, O>,
  signal: AbortSignal | undefined,
  header: Headers,
  input: MessageInitShape<I>,
): Promise<UnaryResponse<I, O>> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  let answer: Uint8Array | undefined;
  const sent = await connection.open(pathOf(method), timeoutOf(header), {
    data: (bytes) => {
      answer = bytes;
    },
    status: (status) => (status.code === 0 && answer ? resolve(answer) : reject(errorOf(status))),
    lost: () => reject(broken()),
  });
  // Given up while it waited for its connection: the body of a real one is not sent either.
  if (!signal?.aborted) sent.send(toBinary(method.input, create(method.input, input)));
  const give = () => {
    sent.reset();
    reject(ConnectError.from(signal?.reason, Code.Canceled));
  };
  signal?.addEventListener("abort", give);
  if (signal?.aborted) give();
  try {
    const message = fromBinary(method.output, await promise);
    return { stream: false, service: method.parent, method, message, header: new Headers(), trailer: new Headers() };
  } finally {
    signal?.removeEventListener("abort", give);
  }
}

/** One request, many answers. */
async function stream<I extends DescMessage, O extends DescMessage>(
  connection: SimConnection,
  method: DescMethodStreaming<I, O>,
  signal: AbortSignal | undefined,
  input: AsyncIterable<MessageInitShape<I>>,
): Promise<StreamResponse<I, O>> {
  const inbox = new Inbox<MessageShape<O>>();
  const sent = await connection.open(pathOf(method), undefined, {
    data: (bytes) => inbox.put(fromBinary(method.output, bytes)),
    status: (status) => inbox.end(status.code === 0 ? undefined : errorOf(status)),
    lost: () => inbox.end(broken()),
  });
  for await (const request of input) sent.send(toBinary(method.input, create(method.input, request)));
  const give = () => {
    sent.reset();
    inbox.end(ConnectError.from(signal?.reason, Code.Canceled));
  };
  signal?.addEventListener("abort", give, { once: true });
  if (signal?.aborted) give();
  const message = inbox.messages();
  return { stream: true, service: method.parent, method, message, header: new Headers(), trailer: new Headers() };
}

class Inbox<T> {
  readonly #items: T[] = [];
  #over: { error: ConnectError | undefined } | undefined;
  #wake = () => {};

  put(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  end(error: ConnectError | undefined): void {
    this.#over ??= { error };
    this.#wake();
  }

  async *messages(): AsyncGenerator<T, void> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) yield item;
      if (this.#over?.error) throw this.#over.error;
      if (this.#over) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function timeoutOf(header: Headers): number | undefined {
  const text = header.get("grpc-timeout");
  return text === null ? undefined : Number(text.slice(0, -1)) * (text.endsWith("S") ? 1_000 : 1);
}

function errorOf({ code, message, details, trailers }: WireStatus): ConnectError {
  return refusal(create(StatusSchema, { code, message, details }), { trailers });
}

function broken(): ConnectError {
  return new ConnectError("the connection was closed", Code.Unavailable);
}
