/** The called side: node examples/rpc/server.ts [BROKER-URL] */
// In a program of your own: from "queuecall/worker"
import { createWorker } from "../../worker/index.ts";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

await createWorker({ url: process.argv[2] ?? "http://127.0.0.1:7455", concurrency: 4 })
  .handle<{ a: number; b: number }, number>("add", ({ a, b }) => {
    console.log(`add(${a}, ${b})`);
    return a + b;
  })
  .handle<{ text: string }, string>("reverse", ({ text }) => {
    console.log(`reverse(${text})`);
    return [...text].reverse().join("");
  })
  .run({ signal: stop.signal });
