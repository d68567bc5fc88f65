/** MultiplexService.Exchange as any language's stub sees it: messages in, messages out. */
import { create, type DescMethodUnary, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, type ServiceError } from "@grpc/grpc-js";
import {
  type ExchangeReply,
  ExchangeRequestSchema,
  type ExchangeResponse,
  ExchangeResponseSchema,
  MultiplexService,
} from "../../gen/queuecall/v1/multiplex_pb.js";
import { metadataOf, pathOf } from "./grpc.ts";

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

type Message = MessageInitShape<typeof ExchangeRequestSchema>;

export class WireExchange {
  /** What the broker sent, oldest first. */
  readonly received: ExchangeResponse[] = [];
  /** The status that the stream ended with; undefined for OK. */
  readonly ended: Promise<ServiceError | undefined>;
  readonly stream: ClientDuplexStream<Uint8Array, Uint8Array>;
  readonly #client: Client;
  readonly #wakers = new Set<() => void>();
  #lastId = 0;

  constructor(address: string, headers: Record<string, string> = {}) {
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
    });
    const path = pathOf(MultiplexService.method.exchange);
    this.stream = this.#client.makeBidiStreamRequest(path, same, same, metadataOf(headers));
    this.stream.on("data", (bytes: Buffer) => {
      this.received.push(fromBinary(ExchangeResponseSchema, bytes));
      for (const wake of this.#wakers) wake();
    });
    this.ended = new Promise((resolve) => {
      this.stream.on("error", (error: ServiceError) => resolve(error));
      this.stream.on("end", () => resolve(undefined));
    });
  }

  hello(message: Pick<Message & object, "calls" | "ping"> = {}): this {
    return this.say({ hello: { protocolVersion: 1 }, ...message } as Message);
  }

  say(message: Message): this {
    this.stream.write(toBinary(ExchangeRequestSchema, create(ExchangeRequestSchema, message)));
    return this;
  }

  /** Begins a call and says its id. */
  begin<M extends DescMethodUnary>(method: M, init: MessageInitShape<M["input"]>, timeoutMs?: number): number {
    const call = this.callOf(method, init, timeoutMs);
    this.say({ calls: [call] });
    return call.callId;
  }

  callOf<M extends DescMethodUnary>(method: M, init: MessageInitShape<M["input"]>, timeoutMs?: number) {
    const timeout = timeoutMs === undefined ? {} : { timeout: { nanos: timeoutMs * 1e6 } };
    const message = toBinary(method.input, create(method.input, init));
    return { callId: ++this.#lastId, method: pathOf(method), message, ...timeout };
  }

  get replies(): ExchangeReply[] {
    return this.received.flatMap(({ replies }) => replies);
  }

  reply(callId: number): Promise<ExchangeReply> {
    return this.until(() => this.replies.find((reply) => reply.callId === callId));
  }

  /** Resolves with the first value that is there. */
  async until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wakers.add(resolve));
    }
  }

  close(): void {
    this.stream.on("error", () => {});
    this.stream.cancel();
    this.#client.close();
  }
}
