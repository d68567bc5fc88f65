/** A broker in a process of its own that says what it holds: fork it with --expose-gc. Arguments: storage URL, settings as JSON. */
import { createBroker } from "../../server/index.ts";

export interface Held {
  /** JavaScript heap and buffers, after a collection. Bytes. */
  heap: number;
  /** Of the whole process: connections and the storage included. Bytes. */
  resident: number;
  waiting: number;
  sessions: number;
  calls: number;
}

const [, , storage = "memory:", settings = "{}"] = process.argv;
const began = performance.now();
const broker = await createBroker({
  storage,
  grpc: "127.0.0.1:0",
  http: "127.0.0.1:0",
  settings: JSON.parse(settings),
});
await broker.serving;

process.on("message", (what) => {
  // Collecting some hundred megabytes takes a broker's whole time: not to see how far it is.
  if (what === "held") for (let i = 0; i < 3; i++) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const { waiting, sessions, calls } = broker.stats;
  const held: Held = { heap: heapUsed + external, resident: rss, waiting, sessions, calls };
  process.send?.(held);
});
process.once("disconnect", () => process.exit(0));
process.send?.({ address: broker.grpcAddress, httpAddress: broker.httpAddress, startMs: performance.now() - began });
