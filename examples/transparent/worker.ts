/** The same implementation without a server: jobs come to it. node examples/transparent/worker.ts [BROKER-URL] */
// In a program of your own: from "queuecall/worker"
import { createWorker } from "../../worker/index.ts";
import { Thumbnailer } from "./gen/acme/v1/thumbnailer_pb.js";
import { thumbnailer } from "./thumbnailer.ts";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

await createWorker({ url: process.argv[2] ?? "http://127.0.0.1:7455", concurrency: 4 })
  .service(Thumbnailer, thumbnailer)
  .run({ signal: stop.signal });
