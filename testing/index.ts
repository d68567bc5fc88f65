/**
 * `queuecall/testing`: a broker for tests of services that use queuecall. It
 * runs in this process, on memory, on a free port, and its clock can be moved.
 */
import { createQueueClient, type QueueClient } from "../client/index.ts";
import { systemClock } from "../protocol/clock.ts";
import { ManualClock, turns } from "../protocol/manual-clock.ts";
import { type BrokerServer, type BrokerSettings, createBroker } from "../server/index.ts";

export interface TestBrokerOptions {
  /** "manual": the broker's time stands still until `advance`. Default "system". */
  clock?: "manual" | "system";
  /** As for a real broker. */
  settings?: Partial<BrokerSettings>;
  /** Default `memory:`. */
  storage?: string;
}

export interface TestBroker {
  /** For createQueueClient and createWorker. */
  url: string;
  /** A client of it, closed with it. */
  client: QueueClient;
  /** The broker itself. */
  broker: BrokerServer;
  /**
   * Moves the broker's time by `ms`: waits time out, delays end, leases and results expire, each at its own moment.
   * Only with `clock: "manual"`.
   */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Event-loop turns after each timer, for what it set in motion to cross the loopback and come back. */
const SETTLE_TURNS = 20;

/** Starts one. Close it at the end of the test, or bind it with `await using`. */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  const manual = options.clock === "manual" ? new ManualClock(Date.now(), turns(SETTLE_TURNS)) : undefined;
  const broker = await createBroker({
    storage: options.storage ?? "memory:",
    grpc: "127.0.0.1:0",
    http: "off",
    clock: manual ?? systemClock,
    ...(options.settings && { settings: options.settings }),
  });
  const url = `http://${broker.grpcAddress}`;
  const client = createQueueClient({ url });
  const close = async () => {
    await client.close();
    await broker.close();
  };
  return {
    url,
    client,
    broker,
    async advance(ms) {
      if (!manual) throw new TypeError('advance needs startTestBroker({ clock: "manual" })');
      await manual.advance(ms);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
