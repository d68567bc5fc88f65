/**
 * Workers, watchers and callers that do not read: what they are sent is bounded, for each and for all, and others notice
 * nothing. SLOW_READERS=1000 npm test -- test/rpc/slow-readers for as many of each kind; 40 otherwise.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { createWorker } from "../../worker/index.ts";
import { MeasuredBroker, Peers } from "../support/measured.ts";

const MiB = 1024 * 1024;
const EACH = Number(process.env.SLOW_READERS ?? 40);
const MAX_UNREAD = 32 * MiB;
/** Beside what is unread: streams, claims under way, what is being read from the storage and encoded in one turn. */
const SLACK = 96 * MiB + EACH * 0.5 * MiB;

for (const [title, connections, stopped, port] of [
  ["many streams on few connections, each unread", 6, false, "address"],
  ["connections whose sockets are not read at all", EACH, true, "address"],
  ["the same on the HTTP port", EACH, true, "httpAddress"],
] as const) {
  test(title, async () => {
    await using broker = await MeasuredBroker.start("memory:", { maxUnreadBytes: MAX_UNREAD });
    const url = `http://${broker.address}`;
    await using client = createQueueClient({ url });
    const stop = new AbortController();
    const working = createWorker({ url, concurrency: 4 })
      .handle<number>("echo", (n) => n)
      .handle("large", () => Buffer.alloc(256 * 1024))
      .run({ signal: stop.signal });
    await client.queue("large").enqueueAndWait("result", "");
    const bulk = Buffer.alloc(32 * 1024);
    await Promise.all(Array.from({ length: 600 }, (_, i) => client.queue("bulk").enqueue(`j${i}`, bulk)));
    const before = await broker.held();

    const at = { address: broker[port], connections };
    await using workers = await Peers.open({
      ...at,
      workers: EACH,
      window: 1_000,
      queue: "bulk",
      jobId: "",
      deaf: true,
    });
    await using watchers = await Peers.open({ ...at, watchers: EACH, queue: "bulk", jobId: "j599", deaf: true });
    const gets = { exchanges: EACH, getsEach: 20, queue: "large", jobId: "result" };
    await using callers = await Peers.open({ ...at, ...gets, deaf: true });
    if (stopped) for (const peers of [workers, watchers, callers]) peers.stop();

    // Were it all kept, the callers alone would hold 5 MiB each: EACH × 20 × 256 KiB.
    let most = 0;
    for (let n = 0; n < 5; n++) {
      expect(await client.queue<number, number>("echo").enqueueAndWait(`e${n}`, n, { timeout: 30_000 })).toBe(n);
      most = Math.max(most, (await broker.held()).heap);
      await sleep(50);
    }
    expect((most - before.heap) / MiB).toBeLessThan((MAX_UNREAD + SLACK) / MiB);
    stop.abort();
    await working;
  }, 60_000);
}
