/** A worker in a process of its own: does what payloads ask for, and writes what it saw. */
import { setTimeout as pause } from "node:timers/promises";
import { AttemptStoppedError, createWorker, NonRetryableError } from "../../worker/index.ts";
import { openHistory, watchTime } from "./history-file.ts";
import { type Answer, queues, type Request, type WorkerOrders } from "./load.ts";

const orders = JSON.parse(process.argv[2] ?? "") as WorkerOrders;
const record = openHistory(orders.history, orders.name);
watchTime(record, "worker", orders.name);
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());

const { urls, name, concurrency } = orders;
const quiet = {
  debug() {},
  info() {},
  warn() {},
  error: (fields: object, text: string) => console.error(text, fields),
};
const worker = createWorker({ url: urls, workerId: name, concurrency, logger: quiet });
for (const queue of queues) {
  worker.handle<Request, Answer>(
    queue,
    async ({ call, ms, failures, forGood, pad }, { jobId, attempt, fence, signal }) => {
      const about = { queue, job: jobId, fence: Number(fence) };
      record({ kind: "started", ...about, payload: call, attempt });
      signal.addEventListener("abort", () => record({ kind: "stopped", ...about, why: whyOf(signal.reason) }));
      await pause(ms, undefined, { signal });
      const text = `${name}#${fence}`;
      if (attempt <= failures) {
        record({ kind: "finished", ...about, how: forGood ? "failed-for-good" : "failed", text });
        throw forGood ? new NonRetryableError(text) : new Error(text);
      }
      record({ kind: "finished", ...about, how: "completed", text });
      return { text, pad };
    },
  );
}
console.log("started");
await worker.run({ signal: stop.signal });
console.log("drained");

function whyOf(reason: unknown) {
  return reason instanceof AttemptStoppedError ? reason.why : "worker-stopping";
}
