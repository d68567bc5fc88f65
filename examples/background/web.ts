/**
 * A background job whose result a web client polls for. Each poll waits a moment, so that an answer is not late.
 *   POST /reports/:id   202, with the place to look
 *   GET  /reports/:id   200 the result · 202 not yet · 404 no such report · 500 it failed
 *
 *   node examples/background/web.ts [BROKER-URL [PORT [WAIT-MS]]]
 */
import Fastify from "fastify";
// In a program of your own: from "queuecall/client"
import { createQueueClient, JobFailedError, JobNotFoundError, TimeoutError } from "../../client/index.ts";

const [url = "http://127.0.0.1:7455", port = "3000", timeout = "1000"] = process.argv.slice(2);
const client = createQueueClient({ url });
const reports = client.queue<{ pages: number }, { lines: string[] }>("reports");

const web = Fastify();
web.post<{ Params: { id: string }; Body: { pages: number } }>(
  "/reports/:id",
  async ({ params: { id }, body }, reply) => {
    const { job } = await reports.enqueue(id, body, { resultTtl: 24 * 3_600_000 });
    return reply
      .code(202)
      .header("location", `/reports/${encodeURIComponent(id)}`)
      .send({ jobId: job.jobId });
  },
);
// `wait` never makes a job. enqueueAndWait(id, <anything>) of an id that exists joins it too, whatever the payload;
// of one that does not it would start a job without a payload, and 404 could not be told.
web.get<{ Params: { id: string } }>("/reports/:id", ({ params: { id } }) =>
  reports.wait(id, { timeout: Number(timeout) }),
);
web.setErrorHandler((error, _request, reply) => {
  if (error instanceof TimeoutError) return reply.code(202).send({ jobId: error.jobId });
  if (error instanceof JobNotFoundError) return reply.code(404).send({ error: "no such report" });
  if (error instanceof JobFailedError) return reply.code(500).send({ error: error.message });
  return reply.send(error);
});
web.addHook("onClose", () => client.close());
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => web.close());

console.log(`listening on ${await web.listen({ host: "127.0.0.1", port: Number(port) })}`);
