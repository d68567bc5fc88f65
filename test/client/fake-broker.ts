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
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { BrokerService, WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { JobState } from "../../gen/queuecall/v1/job_pb.js";
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
type StreamCall = ServerWritableStream<Uint8Array, Uint8Array>;

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes);

export class FakeBroker {
  readonly arrived: Arrived[] = [];
  readonly #server = new Server({ "grpc.max_concurrent_streams": 1000 });
  readonly #handlers = new Map<Name, Handler<Name> | StreamHandler>();
  readonly #waiting = new Set<() => void>();
  #port = 0;

  private constructor() {
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

  static async start(port = 0, credentials = ServerCredentials.createInsecure()): Promise<FakeBroker> {
    const broker = new FakeBroker();
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

  #note(method: DescMethod, call: UnaryCall | StreamCall) {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    const arrived = {
      method: method.localName as Name,
      message: fromBinary(method.input, call.request) as Input<Name>,
      headers: call.metadata,
      gone: gone.signal,
    };
    this.arrived.push(arrived);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
    return arrived;
  }

  async #unary(method: DescMethod, call: UnaryCall, done: sendUnaryData<Uint8Array>): Promise<void> {
    const arrived = this.#note(method, call);
    try {
      const handler = this.#handlers.get(arrived.method) as Handler<Name> | undefined;
      const answer = await (handler ?? hang)(arrived);
      done(null, same(toBinary(method.output, create(method.output, answer as MessageInitShape<DescMessage>))));
    } catch (error) {
      done(statusOf(error));
    }
  }

  async #stream(method: DescMethod, call: StreamCall): Promise<void> {
    const arrived = this.#note(method, call) as Arrived<"watchJob">;
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

function statusOf(error: unknown) {
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
