/** SIGTERM under load: nothing lost, nothing run twice, no error for library users. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { startRedis } from "../support/redis.ts";
import { freePort, runsOf, Stage } from "./stage.ts";

const CALLS = 600;
const IN_FLIGHT = 30;

/** Calls `disturb` once each time another hundred calls were answered. */
async function load(urls: string[], disturb: (time: number) => Promise<void>): Promise<void> {
  await using client = createQueueClient({ url: urls });
  const queue = client.queue<{ n: number }, { n: number }>("work");
  let next = 0;
  let answered = 0;
  const disturbances: Promise<void>[] = [];
  const caller = async () => {
    for (let n = next++; n < CALLS; n = next++) {
      expect(await queue.enqueueAndWait(`job-${n}`, { n })).toEqual({ n: n * 2 });
      if (++answered % 100 === 0) disturbances.push(disturb(answered / 100));
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  await Promise.all(disturbances);
}

function eachRanOnce(runs: ReturnType<typeof runsOf>): void {
  expect(runs.size).toBe(CALLS);
  expect([...runs.values()].filter((of) => of.length > 1)).toEqual([]);
}

describe("SIGTERM under load", () => {
  test("one broker on SQLite that comes back on its address", async () => {
    const folder = mkdtempSync(join(tmpdir(), "queuecall-"));
    try {
      await using stage = new Stage();
      const storage = `sqlite:${folder}/jobs.db`;
      const grpc = `127.0.0.1:${await freePort()}`;
      let broker = await stage.broker(storage, { grpc });
      const worker = await stage.worker([broker.url]);
      await load([broker.url], async (time) => {
        if (time !== 2) return;
        const { code } = await broker.child.kill("SIGTERM");
        expect(code).toBe(0);
        broker = await stage.broker(storage, { grpc });
      });
      expect((await worker.kill("SIGTERM")).stdout).toMatch(/drained/);
      eachRanOnce(runsOf([worker]));
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 90_000);

  test("two brokers on Redis, restarted one after the other", async () => {
    const redis = await startRedis();
    try {
      await using stage = new Stage();
      const storage = `${redis.url}/0`;
      const ports = [await freePort(), await freePort()];
      const start = (i: number) => stage.broker(storage, { grpc: `127.0.0.1:${ports[i]}` });
      const brokers = [await start(0), await start(1)];
      const urls = brokers.map(({ url }) => url);
      const worker = await stage.worker(urls);
      await load(urls, async (time) => {
        const i = time % 2;
        if (time > 4) return;
        const { code } = await brokers[i]!.child.kill("SIGTERM");
        expect(code).toBe(0);
        brokers[i] = await start(i);
      });
      await worker.kill("SIGTERM");
      eachRanOnce(runsOf([worker]));
    } finally {
      await redis.stop();
    }
  }, 90_000);
});
