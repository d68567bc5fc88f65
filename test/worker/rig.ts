/** A worker on virtual time whose broker is the test: every frame is seen, and answered by hand. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type BrokerFrameSchema,
  type DeliverySchema,
  type Hello,
  Settled_Result,
  type Settlement,
  type WorkerFrame,
  WorkResponseSchema,
} from "../../gen/queuecall/v1/worker_pb.js";
import { ManualClock } from "../../protocol/manual-clock.ts";
import { tokenText } from "../../worker/attempt.ts";
import { createWorker, type Worker, type WorkerOptions } from "../../worker/index.ts";
import type { Dial, Link, LinkEvents } from "../../worker/link.ts";

export const LEASE_MS = 30_000;
export const PING_MS = 15_000;

/** The broker's end of one stream. */
export class FakeStream implements Link {
  readonly url: string;
  writable = true;
  hello: Hello | undefined;
  readonly frames: WorkerFrame[] = [];
  halfClosed = false;
  destroyed = false;
  readonly #events: LinkEvents;
  #seq = 0n;

  constructor(url: string, events: LinkEvents) {
    this.url = url;
    this.#events = events;
  }

  send({ kind }: Parameters<Link["send"]>[0]): void {
    if (kind.case === "hello") this.hello = kind.value;
    else if (kind.case === "frame") this.frames.push(kind.value);
  }
  end(): void {
    this.halfClosed = true;
  }
  destroy(): void {
    this.destroyed = true;
  }

  welcome(leaseMs = LEASE_MS, maxMessageBytes = 4 * 1024 * 1024): void {
    const value = {
      brokerId: "b",
      lease: durationFromMs(leaseMs),
      pingInterval: durationFromMs(PING_MS),
      reconnectGrace: durationFromMs(5_000),
      maxMessageBytes: BigInt(maxMessageBytes),
      maxResultBytes: 1024n * 1024n,
      protocolVersion: 1,
    };
    this.#events.message(create(WorkResponseSchema, { kind: { case: "welcome", value } }));
  }
  say(value: MessageInitShape<typeof BrokerFrameSchema>): void {
    this.#events.message(create(WorkResponseSchema, { kind: { case: "frame", value } }));
  }
  deliver(...deliveries: MessageInitShape<typeof DeliverySchema>[]): void {
    this.say({ seq: ++this.#seq, deliveries });
  }
  answer(settlement: Settlement | undefined, result = Settled_Result.OK): void {
    if (!settlement) throw new Error("no settlement to answer");
    this.say({ settled: [{ settleId: settlement.settleId, result }] });
  }
  finish(code = 0, message = ""): void {
    this.#events.ended({ code, message });
  }
  drainOut(): void {
    this.writable = true;
    this.#events.writable();
  }

  get settlements(): Settlement[] {
    return this.frames.flatMap((frame) => frame.settlements);
  }
  /** The newest settlement of a job. */
  settled(jobId: string): Settlement | undefined {
    return this.settlements.findLast((settlement) => settlement.jobId === jobId);
  }
  get renewed(): string[] {
    return this.frames.flatMap((frame) => frame.renewals.map(({ jobId }) => jobId));
  }
  get pings(): bigint[] {
    return this.frames.flatMap((frame) => (frame.ping ? [frame.ping.nonce] : []));
  }
  get windows(): number[] {
    return this.frames.flatMap((frame) => (frame.window === undefined ? [] : [frame.window]));
  }
}

export interface Rig {
  clock: ManualClock;
  worker: Worker;
  streams: FakeStream[];
  logs: string[];
  /** The newest stream. */
  readonly stream: FakeStream;
  /** Lets everything that is ready happen. */
  turn(): Promise<void>;
  /** Starts `run`. */
  start(): void;
  abort(): void;
  readonly ended: boolean;
}

let tokens = 0;

/** A delivery with all that a worker needs. */
export function delivery(jobId: string, fields: MessageInitShape<typeof DeliverySchema> = {}) {
  const leaseToken = new Uint8Array(16);
  new DataView(leaseToken.buffer).setUint32(0, ++tokens);
  return { queue: "q", jobId, attempt: 1, maxAttempts: 3, fence: 7n, leaseToken, ...fields };
}

export function ref({ queue, jobId, leaseToken }: ReturnType<typeof delivery>) {
  return { queue: queue as string, jobId: jobId as string, leaseToken: leaseToken as Uint8Array };
}

export function rig(options: Partial<WorkerOptions>, serve: (worker: Worker) => void): Rig {
  const clock = new ManualClock();
  const streams: FakeStream[] = [];
  const logs: string[] = [];
  const dial: Dial = (url, events) => {
    const stream = new FakeStream(url, events);
    streams.push(stream);
    return stream;
  };
  const log = (_fields: object, message: string) => void logs.push(message);
  const logger = { debug: log, info: log, warn: log, error: log };
  const worker = createWorker({ url: "http://127.0.0.1:1", workerId: "w", clock, dial, logger, ...options });
  serve(worker);
  const controller = new AbortController();
  let ended = false;
  return {
    clock,
    worker,
    streams,
    logs,
    get stream() {
      return streams.at(-1) as FakeStream;
    },
    turn: () => clock.advance(0),
    start() {
      void worker.run({ signal: controller.signal }).then(() => {
        ended = true;
      });
    },
    abort: () => controller.abort(),
    get ended() {
      return ended;
    },
  };
}

/** A rig that is online, serving "q". */
export async function online(
  handler: Parameters<Worker["handle"]>[1],
  options: Partial<WorkerOptions> = {},
): Promise<Rig> {
  const it = rig(options, (worker) => worker.handle("q", handler));
  it.start();
  it.stream.welcome();
  await it.turn();
  return it;
}

/** A handler that a test ends by hand. */
export function manual() {
  const runs: { jobId: string; signal: AbortSignal; resolve(value?: unknown): void; reject(error: unknown): void }[] =
    [];
  const handler = (_payload: unknown, ctx: { jobId: string; signal: AbortSignal }) =>
    new Promise<unknown>((resolve, reject) => runs.push({ jobId: ctx.jobId, signal: ctx.signal, resolve, reject }));
  return { runs, handler };
}

export { Settled_Result, tokenText };
