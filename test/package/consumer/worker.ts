/** A program of somebody who installed queuecall. */
import { createWorker, NonRetryableError } from "queuecall/worker";

const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());

const worker = createWorker({ url: process.env.QUEUECALL_URL ?? "", concurrency: 2 }).handle<
  { of: number[] },
  { sum: number }
>("sums", async ({ of }, ctx) => {
  if (of.length === 0) throw new NonRetryableError(`nothing to add up in ${ctx.jobId}`);
  return { sum: of.reduce((sum, each) => sum + each, 0) };
});
await worker.run({ signal: stop.signal });
console.log("drained");
