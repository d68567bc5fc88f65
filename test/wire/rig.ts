/** A real broker, plain callers, and a stream whose frames a test sends and awaits by hand. */
import { type BrokerServer, type BrokerServerOptions, createBroker } from "../../server/index.ts";
import {
  type Caller,
  type Delivery,
  type Frame,
  openCaller,
  openWork,
  type Welcome,
  type WorkStream,
} from "./stubs.ts";

export interface Rig {
  broker: BrokerServer;
  caller: Caller;
  address: string;
  /** Closed with the rig. */
  stream(): RawStream;
  /** Something else to close with the rig. */
  closing<T extends { stop(): void }>(thing: T): T;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function start(settings: BrokerServerOptions["settings"] = {}): Promise<Rig> {
  const broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", http: "off", settings });
  const address = broker.grpcAddress;
  const caller = openCaller(address);
  const things: { stop(): void }[] = [];
  const closing = <T extends { stop(): void }>(thing: T): T => {
    things.push(thing);
    return thing;
  };
  return {
    broker,
    caller,
    address,
    closing,
    stream: () => closing(new RawStream(address)),
    async [Symbol.asyncDispose]() {
      for (const thing of things) thing.stop();
      caller.close();
      await broker.close();
    },
  };
}

export class RawStream {
  readonly welcome: Promise<Welcome>;
  readonly ended: Promise<{ code: number; details: string; reason: string }>;
  /** Every frame that has come. */
  readonly frames: Frame[] = [];
  /** Answers receipts and pings by itself. */
  auto = true;
  readonly #work: WorkStream;
  #taken = 0;
  #wake = () => {};

  constructor(address: string) {
    this.#work = openWork(address);
    const { promise, resolve } = Promise.withResolvers<Welcome>();
    this.welcome = promise;
    this.#work.on("data", ({ welcome, frame }) => {
      if (welcome) resolve(welcome);
      if (!frame) return;
      this.frames.push(frame);
      if (this.auto && frame.seq !== "0") this.say({ received_seq: frame.seq });
      if (this.auto && frame.ping) this.say({ pong: frame.ping });
      this.#wake();
    });
    this.ended = new Promise((done) => {
      this.#work.on("status", ({ code, details, metadata }) => {
        const [reason = ""] = metadata.get("queuecall-reason");
        done({ code, details, reason: String(reason) });
      });
    });
  }

  hello(fields: object): void {
    this.send({
      hello: { protocol_version: 1, worker_id: "raw", subscriptions: [{ queue: "q" }], window: 1, ...fields },
    });
  }
  say(frame: object): void {
    this.send({ frame });
  }
  send(message: object): void {
    this.#work.write(message);
  }
  end(): void {
    this.#work.end();
  }
  stop(): void {
    this.#work.cancel();
  }

  /** What `pick` finds in the next frame that has it. Frames before it are passed over. */
  async take<T>(pick: (frame: Frame) => T | null | undefined): Promise<T> {
    for (;;) {
      for (const frame of this.frames.slice(this.#taken)) {
        this.#taken++;
        const found = pick(frame);
        if (found !== null && found !== undefined) return found;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  delivery(): Promise<Delivery> {
    return this.take(({ deliveries }) => deliveries[0]);
  }

  /** Settles and gives the broker's answer. */
  settle(
    job: Pick<Delivery, "queue" | "job_id" | "lease_token">,
    outcome: object = { completed: {} },
    id = "1",
  ): Promise<string> {
    const { queue, job_id, lease_token } = job;
    this.say({ settlements: [{ settle_id: id, queue, job_id, lease_token, ...outcome }] });
    return this.take(({ settled }) => settled.find(({ settle_id }) => settle_id === id)?.result);
  }
}

/** A request for EnqueueAndWait or Enqueue on queue "q". */
export function job(id: string, spec: object = {}): object {
  return { spec: { queue: "q", job_id: id, payload: { data: Buffer.from(id) }, ...spec } };
}
