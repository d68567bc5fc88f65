/** What one call costs the server, in commands: counted, so that no subscription, poll or extra read creeps in. */
import { expect, test } from "vitest";
import { createQueueClient } from "../../../client/index.ts";
import { createBroker } from "../../../server/index.ts";
import { createWorker } from "../../../worker/index.ts";
import { redisUnavailable, serverOf } from "./rig.ts";

const CALLS = 100;

test.skipIf(redisUnavailable)(
  `L-R10: enqueue-and-wait is an enqueue, a claim and a settle; nothing is subscribed per call${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`,
  async () => {
    const { url, admin } = await serverOf();
    // What time alone causes is kept out of the count.
    const settings = { probeIntervalMs: 3_600_000, sweepIntervalMs: 3_600_000 };
    await using broker = await createBroker({ storage: url, grpc: "127.0.0.1:0", settings });
    const stop = new AbortController();
    const at = `http://${broker.grpcAddress}`;
    const running = createWorker({ url: at })
      .handle<number>("q", (n) => n)
      .run({ signal: stop.signal });
    await using client = createQueueClient({ url: at });
    const queue = client.queue<number, number>("q");
    await queue.enqueueAndWait("first", 0);
    await admin.call("CONFIG", "RESETSTAT");
    for (let n = 0; n < CALLS; n++) expect(await queue.enqueueAndWait(`j${n}`, n)).toBe(n);
    const stats = String(await admin.info("commandstats"));
    const calls = (command: string) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    // A few more: the ticks of the queue.
    expect(calls("evalsha")).toBeGreaterThanOrEqual(3 * CALLS);
    expect(calls("evalsha")).toBeLessThan(3 * CALLS + 20);
    for (const command of ["subscribe", "unsubscribe", "publish", "eval"]) expect(calls(command), command).toBe(0);
    stop.abort();
    await running;
  },
);
