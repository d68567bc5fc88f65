/** A program of somebody who installed queuecall. */
import { createQueueClient, TimeoutError } from "queuecall/client";

await using client = createQueueClient({ url: process.env.QUEUECALL_URL ?? "" });
const sums = client.queue<{ of: number[] }, { sum: number }>("sums");
try {
  const { sum } = await sums.enqueueAndWait("sum-1", { of: [1, 2, 39] }, { timeout: 20_000, resultTtl: 60_000 });
  const { state, attempt } = await sums.get("sum-1");
  // @ts-expect-error The types are there: numbers are wanted.
  const wrong = () => sums.enqueue("sum-2", { of: ["1"] });
  console.log(JSON.stringify({ sum, state, attempt, wrong: typeof wrong }));
} catch (error) {
  if (error instanceof TimeoutError) console.error(`${error.jobId} still runs after ${error.timeoutMs} ms`);
  throw error;
}
