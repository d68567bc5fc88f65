/** Callers of ours, by the TypeScript client as a program would use it. */
import { createQueueClient, type QueueClient } from "../../client/index.ts";
import { closedLoop, type Load, payloadOf } from "./load.ts";
import { answer } from "./part.ts";

export interface CallerOptions {
  url: string;
  mode: "multiplex" | "unary";
  /** Clients, each with a connection of its own; calls go round. */
  connections: number;
  queues: string[];
  /** Of each payload. */
  bytes: number;
  priority: number;
}

let options: CallerOptions;
let clients: QueueClient[] = [];

const queueOf = (n: number) =>
  clients[n % clients.length]!.queue<{ text: string }, { text: string }>(options.queues[n % options.queues.length]!);

answer({
  connect(asked: CallerOptions) {
    options = asked;
    const { url, mode } = asked;
    clients = Array.from({ length: asked.connections }, () => createQueueClient({ url, mode }));
  },
  /** EnqueueAndWait. */
  wait(load: Load) {
    const payload = payloadOf(options.bytes);
    const { priority } = options;
    return closedLoop(load, (n) => queueOf(n).enqueueAndWait("", payload, priority === 0 ? {} : { priority }));
  },
  /** Enqueue: answered once it is stored. */
  enqueue(load: Load) {
    const payload = payloadOf(options.bytes);
    return closedLoop(load, (n) => queueOf(n).enqueue("", payload));
  },
  /** So many jobs in line. */
  async fill({ jobs, inFlight }: { jobs: number; inFlight: number }) {
    const payload = payloadOf(options.bytes);
    let begun = 0;
    const slot = async () => {
      while (begun < jobs) await queueOf(begun++).enqueue("", payload);
    };
    await Promise.all(Array.from({ length: Math.min(inFlight, jobs) }, slot));
  },
});
