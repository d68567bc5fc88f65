/** Counts primes. Start as many as you have cores: node examples/http-api/worker.ts [BROKER-URL] */
// In a program of your own: from "queuecall/worker"
import { createWorker, NonRetryableError } from "../../worker/index.ts";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

await createWorker({ url: process.argv[2] ?? "http://127.0.0.1:7455" })
  .handle<{ below: number | null }, { count: number }>("primes", ({ below }) => {
    // What no other try can mend is said to be so: the caller hears of it at once.
    if (!Number.isInteger(below) || below! > 1_000_000)
      throw new NonRetryableError("give a whole number up to 1000000");
    return { count: countPrimes(below!) };
  })
  .run({ signal: stop.signal });

function countPrimes(below: number): number {
  const composite = new Uint8Array(Math.max(0, below));
  let count = 0;
  for (let n = 2; n < below; n++) {
    if (composite[n]) continue;
    count++;
    for (let multiple = n * n; multiple < below; multiple += n) composite[multiple] = 1;
  }
  return count;
}
