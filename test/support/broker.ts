/** A broker without sockets, on memory and virtual time: what promised deadlines are tested on. */
import { ManualClock, turns } from "../../protocol/manual-clock.ts";
import { Broker } from "../../server/broker/broker.ts";
import type { Call } from "../../server/broker/callers.ts";
import type { BrokerFrame, Hello, Link, Settlement, Welcome, WorkerFrame } from "../../server/broker/frames.ts";
import type { Observer } from "../../server/broker/observer.ts";
import type { Session } from "../../server/broker/session.ts";
import type { JobSpec } from "../../server/job/job.ts";
import { type BrokerSettings, defaultSettings } from "../../server/settings.ts";
import { openStorage } from "../../server/storage/open.ts";
import type { Claimed, Storage } from "../../server/storage/storage.ts";

export interface Rig {
  clock: ManualClock;
  storage: Storage;
  broker: Broker;
  close(): Promise<void>;
}

/** `wrap` puts faults between the broker and its storage. */
export async function startRig(
  settings: Partial<BrokerSettings> = {},
  wrap: (storage: Storage) => Storage = (s) => s,
  observer?: Partial<Observer>,
): Promise<Rig> {
  const clock = new ManualClock(1_800_000_000_000, turns(6));
  const brokerId = "b1";
  const storage = await openStorage("memory:", { brokerId, clock, warn: () => {} });
  const all = { ...defaultSettings, ...settings };
  const broker = new Broker({ brokerId, clock, storage: wrap(storage), settings: all, observer });
  broker.start();
  return {
    clock,
    storage,
    broker,
    async close() {
      broker.close();
      await storage.close();
    },
  };
}

/** The storage, but for some of its verbs. */
export function replaced(storage: Storage, verbs: Partial<Storage>): Storage {
  return new Proxy(storage, {
    get(target, name) {
      const value = Reflect.get(name in verbs ? verbs : target, name);
      return typeof value === "function" && !(name in verbs) ? value.bind(target) : value;
    },
  });
}

/** A caller that stays. */
export const call = (deadlineMs?: number): Call => ({ deadlineMs, onGone: () => {} });

/** A caller that can go away. */
export function goingCall(deadlineMs?: number): { call: Call; go(): void } {
  const fns: (() => void)[] = [];
  return {
    call: { deadlineMs, onGone: (fn) => void fns.push(fn) },
    go: () => {
      for (const fn of fns) fn();
    },
  };
}

let ids = 0;

/** A spec with the defaults filled in. */
export function spec(fields: Partial<JobSpec> = {}): JobSpec {
  return {
    queue: "q",
    jobId: `job-${++ids}`,
    method: "",
    payload: { data: Buffer.from("data"), contentType: "", messageType: "" },
    digest: Buffer.alloc(16, 1),
    headers: {},
    labels: {},
    priority: 0,
    delayMs: 0,
    maxAttempts: 3,
    backoff: { initialMs: 100, multiplier: 2, maxMs: 30_000 },
    retryOn: "failure",
    runTimeoutMs: 0,
    startTimeoutMs: 0,
    resultTtlMs: 3_600_000,
    onDuplicate: "join",
    rejectPayloadMismatch: false,
    ...fields,
  };
}

export const requestId = (n = ++ids): Uint8Array => {
  const id = Buffer.alloc(16);
  id.writeUInt32BE(n);
  return id;
};

/** A worker at the frame seam. It acknowledges and answers pings by itself unless `auto` is off. */
export class SeamWorker implements Link {
  writable = true;
  auto = true;
  /** The broker takes more frames. */
  reading = true;
  welcome: Welcome | undefined;
  readonly frames: BrokerFrame[] = [];
  readonly deliveries: Claimed[] = [];
  end_: { error?: Error } | undefined;
  destroyed = false;
  readonly session: Session;
  readonly #broker: Broker;

  constructor(broker: Broker, hello: Partial<Hello> = {}) {
    this.#broker = broker;
    this.session = this.#broker.workers.open(this);
    void this.session.hello({
      protocolVersion: 1,
      workerId: "w",
      sessionId: "",
      queues: ["q"],
      window: 1,
      held: [],
      renewOnPong: false,
      clientInfo: "",
      ...hello,
    });
  }

  sendWelcome(welcome: Welcome): void {
    this.welcome = welcome;
  }

  send(frame: BrokerFrame): void {
    this.frames.push(frame);
    this.deliveries.push(...frame.deliveries);
    if (!this.auto || (frame.seq === 0n && frame.ping === undefined)) return;
    setImmediate(() => this.say({ receivedSeq: frame.seq, ...(frame.ping !== undefined && { pong: frame.ping }) }));
  }

  read(on: boolean): void {
    this.reading = on;
  }

  end(error?: Error): void {
    this.end_ ??= error ? { error } : {};
  }

  destroy(): void {
    this.destroyed = true;
  }

  say(frame: Partial<WorkerFrame>): void {
    this.session.frame({ receivedSeq: 0n, renewals: [], settlements: [], progress: [], drain: false, ...frame });
  }

  settle(job: Claimed, outcome: Settlement["outcome"], settleId = 1n): void {
    const { queue, jobId, leaseToken } = job;
    this.say({ settlements: [{ settleId, queue, jobId, leaseToken, outcome }] });
  }

  complete(job: Claimed, text = "done"): void {
    this.settle(job, completed(text));
  }

  /** In one frame. */
  completeAll(jobs: readonly Claimed[]): void {
    const settlements = jobs.map(({ queue, jobId, leaseToken }, i) => {
      return { settleId: BigInt(i + 1), queue, jobId, leaseToken, outcome: completed("done") };
    });
    this.say({ settlements });
  }
}

function completed(text: string): Settlement["outcome"] {
  return { kind: "completed", payload: { data: Buffer.from(text), contentType: "", messageType: "" } };
}
