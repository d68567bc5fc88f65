/** A broker that does what a test tells it to: for faults that a real one cannot be made to show. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { BrokerService, WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { JobState } from "../../gen/queuecall/v1/job_pb.js";
import {
  ExchangeRequestSchema,
  ExchangeResponseSchema,
  MultiplexService,
} from "../../gen/queuecall/v1/multiplex_pb.js";
import { CallError } from "../../protocol/errors.ts";

type Methods = typeof BrokerService.method;
type Name = keyof Methods;
type Input<M extends Name> = MessageShape<Methods[M]["input"]>;
type Output<M extends Name> = MessageInitShape<Methods[M]["output"]>;

/** One request as it arrived. */
export interface Arrived<M extends Name = Name> {
  method: M;
  message: Input<M>;
  headers: Metadata;
  /** Aborted when the caller is gone. */
  gone: AbortSignal;
}

type Handler<M extends Name> = (call: Arrived<M>) => Promise<Output<M>> | Output<M>;
type StreamHandler = (call: Arrived<"watchJob">) => AsyncIterable<Output<"watchJob">>;

type UnaryCall = ServerUnaryCall<Uint8Array, Uint8Array>;
type ExchangeStream = ServerDuplexStream<Uint8Array, Uint8Array>;
type StreamCall = ServerWritableStream<Uint8Array, Uint8Array>;

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

export class FakeBroker {
  readonly arrived: Arrived[] = [];
  /** Streams of multiplexed calls that were opened. */
  exchanges = 0;
  readonly #server = new Server({ "grpc.max_concurrent_streams": 1000 });
  readonly #handlers = new Map<Name, Handler<Name> | StreamHandler>();
  readonly #waiting = new Set<() => void>();
  #port = 0;

  private constructor(multiplex: boolean) {
    if (multiplex) {
      const path = `/${MultiplexService.typeName}/${MultiplexService.method.exchange.name}`;
      this.#server.register(path, (call: ExchangeStream) => this.#exchange(call), same, same, "bidi");
    }
    for (const method of BrokerService.methods) {
      const path = `/${BrokerService.typeName}/${method.name}`;
      if (method.methodKind === "server_streaming") {
        this.#server.register(path, (call: StreamCall) => void this.#stream(method, call), same, same, "serverStream");
      } else {
        const handle = (call: UnaryCall, done: sendUnaryData<Uint8Array>) => void this.#unary(method, call, done);
        this.#server.register(path, handle, same, same, "unary");
      }
    }
  }

  /** @param multiplex whether it knows of multiplexed calls */
  static async start(
    port = 0,
    credentials = ServerCredentials.createInsecure(),
    multiplex = true,
  ): Promise<FakeBroker> {
    const broker = new FakeBroker(multiplex);
    broker.#port = await new Promise<number>((resolve, reject) =>
      broker.#server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    return broker;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Says how a method is answered from now on. */
  on<M extends Exclude<Name, "watchJob">>(method: M, handler: Handler<M>): void {
    this.#handlers.set(method, handler as unknown as Handler<Name>);
  }

  onWatch(handler: StreamHandler): void {
    this.#handlers.set("watchJob", handler);
  }

  /** The n-th request of a method, from 1, once it is there. */
  async request<M extends Name>(method: M, n = 1): Promise<Arrived<M>> {
    for (;;) {
      const found = this.requests(method)[n - 1];
      if (found) return found;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  requests<M extends Name>(method: M): Arrived<M>[] {
    return this.arrived.filter((each): each is Arrived<M> => each.method === method);
  }

  /** Sends GOAWAY and takes no new connections; calls under way stay open. */
  leave(): void {
    this.#server.tryShutdown(() => {});
  }

  close(): void {
    this.#server.forceShutdown();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #note(method: DescMethod, request: Uint8Array, headers: Metadata, gone: AbortSignal) {
    const message = fromBinary(method.input, request) as Input<Name>;
    const arrived = { method: method.localName as Name, message, headers, gone };
    this.arrived.push(arrived);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
    return arrived;
  }

  async #unary(method: DescMethod, call: UnaryCall, done: sendUnaryData<Uint8Array>): Promise<void> {
    const arrived = this.#note(method, call.request, call.metadata, goneOf(call));
    try {
      done(null, await this.#answer(method, arrived));
    } catch (error) {
      done(statusOf(error));
    }
  }

  async #answer(method: DescMethod, arrived: Arrived): Promise<Buffer> {
    const handler = this.#handlers.get(arrived.method) as Handler<Name> | undefined;
    const answer = await (handler ?? hang)(arrived);
    return same(toBinary(method.output, create(method.output, answer as MessageInitShape<DescMessage>)));
  }

  #exchange(stream: ExchangeStream): void {
    this.exchanges++;
    const calls = new Map<number, AbortController>();
    const say = (message: MessageInitShape<typeof ExchangeResponseSchema>) =>
      stream.write(same(toBinary(ExchangeResponseSchema, create(ExchangeResponseSchema, message))));
    stream.on("data", (bytes: Uint8Array) => {
      const request = fromBinary(ExchangeRequestSchema, bytes);
      if (request.hello) say({ welcome: { maxInFlight: 10_000 } });
      for (const { callId, method: path, headers, message } of request.calls) {
        const method = BrokerService.methods.find(({ name }) => path.endsWith(`/${name}`))!;
        const gone = new AbortController();
        calls.set(callId, gone);
        const metadata = stream.metadata.clone();
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        this.#answer(method, this.#note(method, message, metadata, gone.signal)).then(
          (message) => say({ replies: [{ callId, message }] }),
          (error) => {
            const { metadata, code, details } = statusOf(error);
            const [known] = metadata?.get("grpc-status-details-bin") ?? [];
            const status = known ? fromBinary(StatusSchema, known as Buffer) : { code, message: details };
            say({ replies: [{ callId, status }] });
          },
        );
      }
      for (const { callId } of request.cancels) calls.get(callId)?.abort();
    });
    stream.on("cancelled", () => {
      for (const gone of calls.values()) gone.abort();
    });
    stream.on("error", () => {});
    stream.on("end", () => stream.end());
  }

  async #stream(method: DescMethod, call: StreamCall): Promise<void> {
    const arrived = this.#note(method, call.request, call.metadata, goneOf(call)) as Arrived<"watchJob">;
    try {
      const handler = this.#handlers.get("watchJob") as StreamHandler;
      for await (const message of handler(arrived)) {
        call.write(same(toBinary(method.output, create(method.output, message as MessageInitShape<DescMessage>))));
      }
      call.end();
    } catch (error) {
      call.emit("error", statusOf(error));
    }
  }
}

function goneOf(call: UnaryCall | StreamCall): AbortSignal {
  const gone = new AbortController();
  call.on("cancelled", () => gone.abort());
  return gone.signal;
}

/** Never answers. */
export const hang = (): Promise<never> => new Promise(() => {});

/** Answers with `first` for the first calls, one each, and with the last of them from then on. */
export function inTurn<M extends Name>(...handlers: Handler<M>[]): Handler<M> {
  let calls = 0;
  return (call) => handlers[Math.min(calls++, handlers.length - 1)]!(call);
}

/** Refuses. */
export function refuse(...args: ConstructorParameters<typeof CallError>): () => never {
  return () => {
    throw new CallError(...args);
  };
}

/** An answer's job that succeeded with this JSON. */
export function succeeded({ message }: Arrived<"enqueueAndWait" | "waitJob">, value: unknown) {
  const { queue, jobId } = "spec" in message ? message.spec! : (message as Input<"waitJob">);
  const payload = { data: Buffer.from(JSON.stringify(value)), contentType: "application/json" };
  return { queue, jobId, state: JobState.SUCCEEDED, version: 9n, outcome: { case: "result" as const, value: payload } };
}

/** A port on which nothing listens. */
export async function deadUrl(): Promise<string> {
  const { createServer } = await import("node:net");
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return `http://127.0.0.1:${port}`;
}

function statusOf(error: unknown): { code: number; details: string; metadata?: Metadata } & Error {
  if (!(error instanceof CallError))
    return Object.assign(new Error(String(error)), { code: 2, details: String(error) });
  const { reason, code, message, options } = error;
  const details = [any(ErrorInfoSchema, { reason, domain: "queuecall", metadata: options.metadata ?? {} })];
  if (options.violations) details.push(any(BadRequestSchema, { fieldViolations: options.violations }));
  if (options.retryAfterMs !== undefined) {
    details.push(any(RetryInfoSchema, { retryDelay: durationFromMs(options.retryAfterMs) }));
  }
  if (options.waitTimeout) {
    const { queue, jobId, attempt, waitedMs } = options.waitTimeout;
    const waited = durationFromMs(Math.round(waitedMs));
    details.push(any(WaitTimeoutSchema, { queue, jobId, attempt, waited, state: JobState.RUNNING }));
  }
  const metadata = new Metadata();
  metadata.set("queuecall-reason", reason);
  const status = create(StatusSchema, { code, message, details });
  metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  return Object.assign(new Error(message), { code, details: message, metadata });
}

function any<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>) {
  return { typeUrl: `type.googleapis.com/${schema.typeName}`, value: toBinary(schema, create(schema, init)) };
}
