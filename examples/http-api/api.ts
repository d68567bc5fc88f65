/**
 * An HTTP API whose answers come from a job. Ask twice for the same thing and the job runs once.
 *   200 the result · 500 the job failed · 504 not done in time: it goes on, ask again · 503 no broker
 *
 *   node examples/http-api/api.ts [BROKER-URL [PORT [TIMEOUT-MS]]]
 *   curl http://127.0.0.1:3000/primes/100000
 */
import Fastify from "fastify";
// In a program of your own: from "queuecall/client"
import { BrokerUnavailableError, createQueueClient, JobFailedError, TimeoutError } from "../../client/index.ts";

const [url = "http://127.0.0.1:7455", port = "3000", timeout = "30000"] = process.argv.slice(2);
const client = createQueueClient({ url });
const primes = client.queue<{ below: number }, { count: number }>("primes");

const api = Fastify();
api.get<{ Params: { below: string } }>("/primes/:below", ({ params: { below } }) =>
  primes.enqueueAndWait(`below-${below}`, { below: Number(below) }, { timeout: Number(timeout) }),
);
api.setErrorHandler((error, _request, reply) => {
  if (error instanceof TimeoutError) return reply.code(504).send({ error: "not done yet", jobId: error.jobId });
  if (error instanceof JobFailedError) return reply.code(500).send({ error: error.message, jobId: error.jobId });
  if (error instanceof BrokerUnavailableError) return reply.code(503).send({ error: "try again later" });
  return reply.send(error);
});
api.addHook("onClose", () => client.close());
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => api.close());

console.log(`listening on ${await api.listen({ host: "127.0.0.1", port: Number(port) })}`);
