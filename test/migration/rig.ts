/**
 * What somebody who comes from another job queue would write: a client, handlers, a broker on memory.
 * The tests beside this file are named by the numbers of docs/migrate.md.
 */
import { afterEach } from "vitest";
import type { Job, Queue } from "../../client/index.ts";
import { startTestBroker, type TestBroker, type TestBrokerOptions } from "../../testing/index.ts";
import { createWorker, type Worker, type WorkerOptions } from "../../worker/index.ts";

// biome-ignore lint/suspicious/noExplicitAny: each test has its own payloads
type Handler = (payload: any, ctx: Parameters<Parameters<Worker["handle"]>[1]>[1]) => unknown;

export interface Rig extends TestBroker {
  /** The queue "q". */
  queue: Queue<unknown, unknown>;
  /** Starts a worker on "q", closed with the test. */
  work(handler: Handler, options?: Partial<WorkerOptions>): Worker;
  /** The first state of the job that `matches`. It has to be there already. */
  until(id: string, matches: (job: Job<unknown>) => boolean): Promise<Job<unknown>>;
  /** Resolves once `count` calls wait for outcomes. */
  waiting(count: number): Promise<void>;
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Closes something after the test, before what was opened earlier. */
export function closes<T extends { close(): Promise<unknown> }>(thing: T): T {
  closing.push(() => thing.close());
  return thing;
}

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export async function start(options?: TestBrokerOptions): Promise<Rig> {
  const broker = closes(await startTestBroker(options));
  const queue = broker.client.queue("q");
  return {
    ...broker,
    queue,
    work(handler, more) {
      const worker = createWorker({ url: broker.url, drainTimeout: 0, logger: silent, ...more }).handle("q", handler);
      void worker.run();
      return closes(worker);
    },
    async until(id, matches) {
      for await (const job of queue.watch(id)) if (matches(job)) return job;
      throw new Error(`job ${id} ended without it`);
    },
    async waiting(count) {
      while (broker.broker.stats.waiting !== count) await new Promise(setImmediate);
    },
  };
}

/** What the promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  const settled = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  );
  if ("error" in settled) return settled.error;
  throw new Error(`it resolved with ${JSON.stringify(settled.value)}`);
}

/** Something to wait for, and the function that ends the wait. */
export function gate<T = void>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>();
}
