/**
 * A client that knows of the queue: deduplicated by what is asked for, back after a broker's restart, and not bound to wait.
 *
 *   node examples/transparent/caller.ts [BROKER-URL]
 */

import { ConnectError, createClient } from "@connectrpc/connect";
// In a program of your own: from "queuecall/client"
import { contentId, createJobClient, createQueueClient, jobOptions, TimeoutError } from "../../client/index.ts";
import { Thumbnailer } from "./gen/acme/v1/thumbnailer_pb.js";

await using client = createQueueClient({ url: process.argv[2] ?? "http://127.0.0.1:7455" });

// A call as of any Connect client; the job's options go along as context values.
const thumbnailer = createClient(Thumbnailer, client.transport({ maxAttempts: 5 }));
const request = { url: "cat.jpg", width: 64 };
for (const _ of ["first", "again"]) {
  const { image } = await thumbnailer.render(request, {
    timeoutMs: 30_000,
    contextValues: jobOptions({ jobId: contentId(request) }),
    onHeader: (headers) => console.log(headers.get("queuecall-disposition")),
  });
  console.log(Buffer.from(image).toString());
}

// An error is the handler's own; a timeout says which job goes on.
try {
  await thumbnailer.render({ url: "" }, { timeoutMs: 30_000 });
} catch (error) {
  console.log(TimeoutError.from(error)?.jobId ?? ConnectError.from(error).message);
}

// Without waiting: the job is asked about later, here or elsewhere.
const job = await createJobClient(Thumbnailer, client).render.enqueue({ url: "dog.jpg", width: 32 });
console.log(job.disposition, Buffer.from((await job.wait()).image).toString());
