/** What one call costs the server, in commands: counted, so that no subscription, poll or extra read creeps in. */
import { expect, test } from "vitest";
import { createQueueClient } from "../../../client/index.ts";
import { createBroker } from "../../../server/index.ts";
import { createWorker } from "../../../worker/index.ts";
import { redisUnavailable, serverOf } from "./rig.ts";

const CALLS = 100;

const skipped = redisUnavailable ? ` (skipped: ${redisUnavailable})` : "";
/** What time alone causes is kept out of the count. */
const settings = { probeIntervalMs: 3_600_000, sweepIntervalMs: 3_600_000 };

async function serverWithCount() {
  const { url, admin } = await serverOf();
  return {
    url,
    reset: () => admin.call("CONFIG", "RESETSTAT"),
    /** Calls of a command since the reset. */
    async counts() {
      const stats = String(await admin.info("commandstats"));
      return (command: string) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    },
  };
}

type Calls = (command: string) => number;

/** So many verbs, and a few more: the ticks of the queue. */
function expectScripts(calls: Calls, count: number): void {
  expect(calls("fcall")).toBeGreaterThanOrEqual(count);
  expect(calls("fcall")).toBeLessThan(count + 20);
  for (const command of ["subscribe", "unsubscribe"]) expect(calls(command), command).toBe(0);
  // The library is there, and nothing is sent in full.
  for (const command of ["eval", "evalsha", "function\\|load"]) expect(calls(command), command).toBe(0);
}

const work = (address: string, signal: AbortSignal) =>
  createWorker({ url: `http://${address}` })
    .handle<number>("q", (n) => n)
    .run({ signal });

test.skipIf(redisUnavailable)(
  `L-R10: enqueue-and-wait at the worker's broker is an enqueue that claims, and a settle${skipped}`,
  async () => {
    const server = await serverWithCount();
    await using broker = await createBroker({ storage: server.url, grpc: "127.0.0.1:0", settings });
    const stop = new AbortController();
    const running = work(broker.grpcAddress, stop.signal);
    await using client = createQueueClient({ url: `http://${broker.grpcAddress}` });
    const queue = client.queue<number, number>("q");
    await queue.enqueueAndWait("first", 0);
    await server.reset();
    for (let n = 0; n < CALLS; n++) expect(await queue.enqueueAndWait(`j${n}`, n)).toBe(n);
    const calls = await server.counts();
    expectScripts(calls, 2 * CALLS);
    expect(calls("publish")).toBe(0);
    stop.abort();
    await running;
  },
);

test.skipIf(redisUnavailable)(
  `a line that one worker takes job by job costs a settle each, which fetches the next${skipped}`,
  async () => {
    const server = await serverWithCount();
    await using broker = await createBroker({ storage: server.url, grpc: "127.0.0.1:0", settings });
    await using client = createQueueClient({ url: `http://${broker.grpcAddress}` });
    const queue = client.queue<number, number>("q");
    for (let n = 0; n < CALLS; n++) await queue.enqueue(`j${n}`, n);
    await server.reset();
    const stop = new AbortController();
    const running = work(broker.grpcAddress, stop.signal);
    for (let n = 0; n < CALLS; n++) expect(await queue.wait(`j${n}`)).toBe(n);
    // Each wait reads once.
    expectScripts(await server.counts(), 2 * CALLS);
    stop.abort();
    await running;
  },
);

test.skipIf(redisUnavailable)(
  `with the worker at another broker it is an enqueue, a claim and a settle, and a hint each way${skipped}`,
  async () => {
    const server = await serverWithCount();
    await using near = await createBroker({ storage: server.url, grpc: "127.0.0.1:0", settings });
    await using far = await createBroker({ storage: server.url, grpc: "127.0.0.1:0", settings });
    const stop = new AbortController();
    const running = work(far.grpcAddress, stop.signal);
    await using client = createQueueClient({ url: `http://${near.grpcAddress}` });
    const queue = client.queue<number, number>("q");
    await queue.enqueueAndWait("first", 0);
    await server.reset();
    for (let n = 0; n < CALLS; n++) expect(await queue.enqueueAndWait(`j${n}`, n)).toBe(n);
    const calls = await server.counts();
    expectScripts(calls, 3 * CALLS);
    expect(calls("publish")).toBe(2 * CALLS);
    stop.abort();
    await running;
  },
);
