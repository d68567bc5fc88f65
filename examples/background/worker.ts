/** Writes reports, a page at a time: node examples/background/worker.ts [BROKER-URL] */
import { setTimeout as sleep } from "node:timers/promises";
// In a program of your own: from "queuecall/worker"
import { createWorker, NonRetryableError } from "../../worker/index.ts";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

await createWorker({ url: process.argv[2] ?? "http://127.0.0.1:7455" })
  .handle<{ pages: number }, { lines: string[] }>("reports", async ({ pages }, ctx) => {
    if (!(pages > 0)) throw new NonRetryableError("a report has at least one page");
    const lines: string[] = [];
    for (let page = 1; page <= pages; page++) {
      await sleep(50, undefined, { signal: ctx.signal }); // The work. It ends when the job is cancelled.
      lines.push(`page ${page} of ${ctx.jobId}`);
      ctx.progress(page, pages);
    }
    return { lines };
  })
  .run({ signal: stop.signal });
