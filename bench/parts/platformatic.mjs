/** @platformatic/job-queue: one process is the caller or the worker. */
import { Queue, RedisStorage } from "@platformatic/job-queue";
import { closedLoop, pause, payloadOf } from "./load.ts";
import { answer } from "./part.ts";

let queue;

answer({
  async connect({ url, prefix, concurrency, handlerMs }) {
    queue = new Queue({ storage: new RedisStorage({ url, keyPrefix: `${prefix}:` }), concurrency: concurrency ?? 1 });
    if (concurrency !== undefined) {
      queue.execute(async (job) => {
        if (handlerMs > 0) await pause(handlerMs);
        return job.payload;
      });
    }
    await queue.start();
  },
  wait({ bytes, ...load }) {
    const payload = payloadOf(bytes);
    const run = Date.now().toString(36);
    return closedLoop(load, (n) => queue.enqueueAndWait(`${run}-${n}`, payload, { timeout: 30_000 }));
  },
});
