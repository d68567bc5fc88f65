/** A caller that goes through what a durable call can do, one scene after the other. */
import { createQueueClient, JobFailedError, TimeoutError } from "../../client/index.ts";
import { greetings, payments, reports } from "./queues.ts";

const url = process.argv[2] ?? "http://127.0.0.1:7455";
await using client = createQueueClient({ url });
await using other = createQueueClient({ url });

scene("A call: stored, run by the worker, answered");
const greeting = client.queue(greetings);
await timed("the first, while everything connects", () => greeting.enqueueAndWait("greet-ada", { name: "Ada" }));
const times: number[] = [];
for (let n = 1; n <= 50; n++) {
  const start = performance.now();
  await greeting.enqueueAndWait(`greet-${n}`, { name: `number ${n}` });
  times.push(performance.now() - start);
}
say(`the next 50, one after the other: ${times.sort((a, b) => a - b)[25]?.toFixed(1)} ms each (median)`);

scene("The same id again: the kept result, nothing runs");
await timed("greet-ada", () => greeting.enqueueAndWait("greet-ada", { name: "Ada" }));

scene("Two callers, one job: the second joins the first");
const both = [client, other].map((each) => each.queue(reports).enqueueAndWait("report-1", { steps: 3 }));
say(`both got ${JSON.stringify(await Promise.all(both))}`);

scene("A timeout cancels nothing");
const report = client.queue(reports);
try {
  await report.enqueueAndWait("report-2", { steps: 6 }, { timeout: 200 });
} catch (error) {
  if (!(error instanceof TimeoutError)) throw error;
  say(`TimeoutError: ${error.message}`);
  await timed("fetched later", () => report.wait(error.jobId));
}

scene("A handler that fails: three attempts, then the error arrives here");
try {
  await client.queue(payments).enqueueAndWait("payment-1", { amount: 12 }, { maxAttempts: 3 });
} catch (error) {
  if (!(error instanceof JobFailedError)) throw error;
  say(`JobFailedError: ${error.originalError.name}: ${error.message} (${error.failure.attempts.length} attempts)`);
}

scene("Watching a job");
await report.enqueue("report-3", { steps: 5 });
for await (const { state, progress } of report.watch("report-3")) {
  say(progress ? `${state}: ${progress.message} (${progress.current} of ${progress.total})` : state);
}

async function timed(what: string, call: () => Promise<unknown>): Promise<void> {
  const start = performance.now();
  const result = await call();
  say(`${what}: ${JSON.stringify(result)} after ${(performance.now() - start).toFixed(1)} ms`);
}

function scene(title: string): void {
  console.log(`\n${title}`);
}

function say(line: string): void {
  console.log(`  ${line}`);
}
