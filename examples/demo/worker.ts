/** A worker with three handlers; SIGTERM or Ctrl-C drains it. */
import { setTimeout as sleep } from "node:timers/promises";
import { createWorker } from "../../worker/index.ts";
import { greetings, payments, reports } from "./queues.ts";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

const runs = new Map<string, number>();

const worker = createWorker({ url: process.argv[2] ?? "http://127.0.0.1:7455", concurrency: 8 })
  .handle(greetings, ({ name }) => `Hello, ${name}!`)
  .handle(reports, async ({ steps }, ctx) => {
    runs.set(ctx.jobId, (runs.get(ctx.jobId) ?? 0) + 1);
    for (let step = 1; step <= steps; step++) {
      await sleep(100, undefined, { signal: ctx.signal });
      ctx.progress(step, steps, `page ${step}`);
    }
    return { pages: steps, runs: runs.get(ctx.jobId) ?? 0 };
  })
  .handle(payments, (_, ctx) => {
    console.log(`payment, attempt ${ctx.attempt} of ${ctx.maxAttempts}: the bank does not answer`);
    throw new RangeError("the bank does not answer");
  });

await worker.run({ signal: stop.signal });
