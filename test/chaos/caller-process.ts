/** Callers in a process of their own: they ask until they are told to stop, wait for what is open, and end. */
import { setTimeout as pause } from "node:timers/promises";
import { createQueueClient } from "../../client/index.ts";
import { randomOf } from "../storage/histories.ts";
import { namer, RecordedQueue } from "./caller.ts";
import { now, openHistory, watchTime } from "./history-file.ts";
import { type Activity, type Answer, activityOf, type CallerOrders, PATIENT_MS, type Request } from "./load.ts";

/** Callers of all processes share an id for this long. */
const SHARED_MS = 400;

const orders = JSON.parse(process.argv[2] ?? "") as CallerOrders;
const { urls, mode, seed, loops, restMs } = orders;
let stopping = false;
process.once("SIGTERM", () => {
  stopping = true;
});

const client = createQueueClient({ url: urls, mode, logger: { warn() {} } });
const record = openHistory(orders.history, orders.name);
watchTime(record, "caller", orders.name);
const name = namer(orders.name);
let jobs = 0;

/** Long ends are not waited for: the drain would last as long as they do. */
async function act({ kind, queue, work, options, afterMs }: Activity): Promise<void> {
  const calls = new RecordedQueue(client.queue<Request, Answer>(queue), record, name);
  const own = `${orders.name}-${process.pid}-${++jobs}`;
  switch (kind) {
    case "call":
    case "impatient":
    case "delayed":
      return void (await calls.enqueueAndWait(own, work, options));
    case "shared":
      return void (await calls.enqueueAndWait(`shared-${Math.floor(now() / SHARED_MS)}`, work, options));
    case "later":
      if ((await calls.enqueue(own, work, options)).end !== "ok") return;
      await pause(afterMs);
      return void (await calls.wait(own, PATIENT_MS));
    case "watched":
      if ((await calls.enqueue(own, work, options)).end !== "ok") return;
      return void (await calls.watch(own, PATIENT_MS));
    case "cancelled":
      if ((await calls.enqueue(own, work, options)).end !== "ok") return;
      await pause(afterMs / 5);
      await calls.cancel(own);
      return void (await calls.get(own));
    case "rerun":
      for (let run = 0; run < 2; run++) await calls.enqueueAndWait(own, work, options);
  }
}

async function loop(number: number): Promise<void> {
  const random = randomOf(seed * 1_000 + number);
  while (!stopping) {
    await act(activityOf(random));
    await pause(restMs * 2 * random());
  }
}

console.log("started");
await Promise.all(Array.from({ length: loops }, (_, number) => loop(number)));
await client.close();
console.log("drained");
