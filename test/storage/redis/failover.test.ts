/** Another server takes over: what brokers find, what may be missing, and that they say so. */
import { describe, expect, onTestFinished, test } from "vitest";
import { RedisPair } from "../../chaos/redis-pair.ts";
import { SentinelServers } from "../../chaos/sentinel.ts";
import type { Servers } from "../../chaos/servers.ts";
import { becomes, enqueue, key, redisUnavailable, storageOn } from "./rig.ts";

const TOOK_OVER = expect.stringMatching(/a replica took over from its master; .* may be missing/);

async function opened<S extends Servers>(servers: S) {
  onTestFinished(() => servers[Symbol.asyncDispose]());
  const warnings: string[] = [];
  const storage = await storageOn(servers.url(0), { warn: (message) => warnings.push(message) });
  await enqueue(storage, "kept");
  return { storage, warnings };
}

describe.skipIf(redisUnavailable)(`failover${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`, () => {
  test("a replica that has all: nothing is missing", async () => {
    const pair = await RedisPair.start(1);
    const { storage, warnings } = await opened(pair);
    await pair.failOver();
    await expect.poll(() => warnings, { timeout: 30_000 }).toContainEqual(TOOK_OVER);
    await becomes(storage, true);
    expect(await storage.read(key("kept"))).toBeDefined();
    await enqueue(storage, "next");
  }, 60_000);

  test("a replica that lags: what it had not heard is gone whole, and the broker says so", async () => {
    const pair = await RedisPair.start(1);
    const { storage, warnings } = await opened(pair);
    await pair.inStep();
    await pair.promoteLagging(async () => void (await enqueue(storage, "unheard")));
    await expect.poll(() => warnings, { timeout: 30_000 }).toContainEqual(TOOK_OVER);
    await becomes(storage, true);
    expect(await storage.read(key("unheard"))).toBeUndefined();
    expect(await storage.read(key("kept"))).toBeDefined();
    await enqueue(storage, "unheard");
  }, 60_000);

  test("Sentinel: the master dies, and the storage is where the sentinels say", async () => {
    const servers = await SentinelServers.start();
    const { storage, warnings } = await opened(servers);
    await servers.inStep();
    const master = await servers.master();
    master.kill("SIGKILL");
    await servers.failedOver(master, () => master.restart());
    await expect.poll(() => warnings, { timeout: 30_000 }).toContainEqual(TOOK_OVER);
    await becomes(storage, true);
    expect(await storage.read(key("kept"))).toBeDefined();
    await enqueue(storage, "next");
  }, 60_000);
});
