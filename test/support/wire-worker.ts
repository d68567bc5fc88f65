/** A worker stream on plain grpc-js whose every frame a test sends and awaits by hand. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import {
  type BrokerFrame,
  type Delivery,
  type HelloSchema,
  type WorkRequestSchema as RequestSchema,
  type Welcome,
  type WorkerFrameSchema,
  WorkerService,
  WorkRequestSchema,
  WorkResponseSchema,
} from "../../gen/queuecall/v1/worker_pb.js";
import { metadataOf, pathOf } from "./grpc.ts";

type Init<T extends Parameters<typeof create>[0]> = MessageInitShape<T>;
const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export class WireWorker {
  readonly stream: ClientDuplexStream<Uint8Array, Uint8Array>;
  readonly #client: Client;
  readonly frames: BrokerFrame[] = [];
  welcome: Welcome | undefined;
  /** The stream's end. */
  readonly ended: Promise<StatusObject | ServiceError>;
  #waiting: (() => void)[] = [];
  #over = false;
  #next = 0;
  /** Answer pings and receipts by itself. */
  auto = true;

  constructor(address: string, headers: Record<string, string> = {}) {
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
    });
    this.stream = this.#client.makeBidiStreamRequest(
      pathOf(WorkerService.method.work),
      same,
      same,
      metadataOf(headers),
    );
    this.ended = new Promise((resolve) => {
      this.stream.on("error", (error) => resolve(error as ServiceError));
      this.stream.on("status", resolve);
    });
    void this.ended.then(() => {
      this.#over = true;
      this.#wake();
    });
    this.stream.on("data", (bytes: Uint8Array) => this.#received(bytes));
  }

  hello(hello: Partial<Init<typeof HelloSchema>> & { queues?: string[] }): void {
    const { queues = [], ...rest } = hello;
    const subscriptions = queues.map((queue) => ({ queue }));
    const value = { protocolVersion: 1, workerId: "wire", window: 1, subscriptions, ...rest } as Init<
      typeof HelloSchema
    >;
    this.send({ kind: { case: "hello", value } } as Init<typeof RequestSchema>);
  }

  frame(value: Init<typeof WorkerFrameSchema>): void {
    this.send({ kind: { case: "frame", value } } as Init<typeof RequestSchema>);
  }

  send(init: Init<typeof RequestSchema>): void {
    this.stream.write(toBinary(WorkRequestSchema, create(WorkRequestSchema, init)));
  }

  sendBytes(bytes: Uint8Array): void {
    this.stream.write(bytes);
  }

  /** The next frame that `pick` takes something from; frames before it are passed over. */
  async take<T>(pick: (frame: BrokerFrame) => T | undefined): Promise<T> {
    for (;;) {
      while (this.#next < this.frames.length) {
        const found = pick(this.frames[this.#next++] as BrokerFrame);
        if (found !== undefined) return found;
      }
      if (this.#over) throw new Error(`the stream ended: ${JSON.stringify(await this.ended)}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  delivery(): Promise<Delivery> {
    return this.take((frame) => frame.deliveries[0]);
  }

  /** Settles one delivery and resolves with the broker's answer. */
  async settle(
    delivery: Delivery,
    outcome: Init<typeof WorkerFrameSchema>["settlements"] extends (infer S)[] | undefined
      ? NonNullable<S> extends { outcome?: infer O }
        ? O
        : never
      : never,
    settleId = 1n,
  ) {
    const { queue, jobId, leaseToken } = delivery;
    this.frame({ settlements: [{ settleId, queue, jobId, leaseToken, outcome }] } as Init<typeof WorkerFrameSchema>);
    return this.take((frame) => frame.settled.find((settled) => settled.settleId === settleId));
  }

  close(): void {
    this.stream.cancel();
    this.#client.close();
  }

  #received(bytes: Uint8Array): void {
    const { kind } = fromBinary(WorkResponseSchema, bytes);
    if (kind.case === "welcome") this.welcome = kind.value;
    if (kind.case === "frame") {
      this.frames.push(kind.value);
      const receipt = kind.value.seq > 0n ? { receivedSeq: kind.value.seq } : {};
      const pong = kind.value.ping ? { pong: { nonce: kind.value.ping.nonce } } : {};
      if (this.auto && (kind.value.seq > 0n || kind.value.ping)) this.frame({ ...receipt, ...pong });
    }
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
