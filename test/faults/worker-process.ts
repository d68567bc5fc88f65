/** A worker in a process of its own: doubles numbers, and says each run on its standard output. */
import { createWorker } from "../../worker/index.ts";

const [urls = "", queue = "work", concurrency = "16", ms = "2"] = process.argv.slice(2);
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());

const worker = createWorker({ url: urls.split(","), concurrency: Number(concurrency) }).handle<
  { n: number },
  { n: number }
>(queue, async ({ n }, ctx) => {
  console.log(`run ${JSON.stringify({ jobId: ctx.jobId, attempt: ctx.attempt, fence: String(ctx.fence) })}`);
  await new Promise((resolve) => setTimeout(resolve, Number(ms)));
  return { n: n * 2 };
});
console.log("started");
await worker.run({ signal: stop.signal });
console.log("drained");
