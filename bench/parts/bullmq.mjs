/** BullMQ: one process is the caller or the worker. */
import { Queue, QueueEvents, Worker } from "bullmq";
import { closedLoop, pause, payloadOf } from "./load.ts";
import { answer } from "./part.ts";

let queue;
let events;

answer({
  async connect({ port, prefix, concurrency, handlerMs }) {
    const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
    if (concurrency !== undefined) {
      const handle = async (job) => {
        if (handlerMs > 0) await pause(handlerMs);
        return job.data;
      };
      await new Worker("q", handle, { connection, prefix, concurrency }).waitUntilReady();
      return;
    }
    queue = new Queue("q", { connection, prefix });
    events = new QueueEvents("q", { connection, prefix });
    await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
  },
  wait({ bytes, ...load }) {
    const payload = payloadOf(bytes);
    return closedLoop(load, async () => (await queue.add("j", payload)).waitUntilFinished(events));
  },
  /** addBulk, `batch` jobs a call; counted in jobs. */
  async enqueue({ bytes, batch, ...load }) {
    const jobs = Array.from({ length: batch }, () => ({ name: "j", data: payloadOf(bytes) }));
    const seen = await closedLoop(load, () => queue.addBulk(jobs));
    return { ...seen, calls: seen.calls * batch };
  },
});
