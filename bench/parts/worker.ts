/** Workers of ours, by the TypeScript library. */
import { createWorker } from "../../worker/index.ts";
import { pause } from "./load.ts";
import { answer } from "./part.ts";

export interface WorkerPartOptions {
  url: string;
  queues: string[];
  /** Worker streams. */
  workers: number;
  /** Handlers at one time, of each. */
  concurrency: number;
  /** How long a handler takes. 0: answers at once. */
  handlerMs: number;
}

const MAX_QUEUES = 1_000;

let done = 0;
let wanted = Number.POSITIVE_INFINITY;
let reached = () => {};
let stop = new AbortController();
let running: Promise<unknown> = Promise.resolve();

function start({ url, queues, workers, concurrency, handlerMs }: WorkerPartOptions): void {
  stop = new AbortController();
  // A worker takes so many queues, and no more.
  const groups = Array.from({ length: Math.ceil(queues.length / MAX_QUEUES) }, (_, n) =>
    queues.slice(n * MAX_QUEUES, (n + 1) * MAX_QUEUES),
  );
  const each = Array.from({ length: workers * groups.length }, (_, n) => {
    const worker = createWorker({ url, concurrency });
    for (const queue of groups[n % groups.length]!) {
      worker.handle<unknown>(queue, async (payload) => {
        if (handlerMs > 0) await pause(handlerMs);
        if (++done >= wanted) reached();
        return payload;
      });
    }
    return worker.run({ signal: stop.signal });
  });
  running = Promise.all(each);
}

answer({
  start,
  async stop() {
    stop.abort();
    await running;
  },
  /** Works until so many jobs are done, and says how long that took. Seconds. */
  async drain({ jobs, ...options }: WorkerPartOptions & { jobs: number }) {
    const all = Promise.withResolvers<void>();
    [done, wanted, reached] = [0, jobs, all.resolve];
    const began = performance.now();
    start(options);
    await all.promise;
    const seconds = (performance.now() - began) / 1_000;
    wanted = Number.POSITIVE_INFINITY;
    stop.abort();
    await running;
    return { calls: jobs, seconds };
  },
});
