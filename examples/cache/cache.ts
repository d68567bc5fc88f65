/**
 * Results that are computed once and kept for a week, by what was asked and not by who asked.
 * A failure would be kept as well; "rerun-if-failed" keeps only results, so that one bad moment is not remembered.
 *
 *   node examples/cache/cache.ts [BROKER-URL]
 */
// In a program of your own: from "queuecall/client" and "queuecall/worker"
import { contentId, createQueueClient, JobFailedError } from "../../client/index.ts";
import { createWorker } from "../../worker/index.ts";

const url = process.argv[2] ?? "http://127.0.0.1:7455";
const WEEK = 7 * 24 * 3_600_000;

// The worker: its upstream has one bad moment, at the very first call.
let calls = 0;
const worker = createWorker({ url }).handle<{ city: string }, string>("weather", ({ city }) => {
  console.log(`  asked upstream for ${city}`);
  if (++calls === 1) throw new Error("upstream is down");
  return `sunny in ${city}`;
});
const stop = new AbortController();
const running = worker.run({ signal: stop.signal });

// The caller. One try a job, so that the failure shows; by default there are three, with growing waits between.
await using client = createQueueClient({ url });
const queue = client.queue<{ city: string }, string>("weather");
const weather = (request: { city: string }) =>
  queue.enqueueAndWait(contentId(request), request, {
    resultTtl: WEEK,
    onDuplicate: "rerun-if-failed",
    maxAttempts: 1,
  });

for (const city of ["Oslo", "Oslo", "Oslo", "Rome"]) {
  try {
    console.log(await weather({ city }));
  } catch (error) {
    if (!(error instanceof JobFailedError)) throw error;
    console.log(`failed: ${error.message}`);
  }
}
stop.abort();
await running;
