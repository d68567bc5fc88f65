/** Redis and Redis Cluster as backends of the contract tests: one server, or one cluster, for a test file. */
import { afterAll } from "vitest";
import { systemClock } from "../../protocol/clock.ts";
import { openRedis, type RedisOptions } from "../../server/storage/redis/redis-storage.ts";
import type { Storage } from "../../server/storage/storage.ts";
import { redisUnavailable, startRedis } from "./redis.ts";
import { startRedisCluster } from "./redis-cluster.ts";
import type { Backend, BackendOptions, Opened } from "./storages.ts";

interface Emptied {
  url: string;
  flush(): Promise<unknown>;
  stop(): Promise<void>;
}

/** Each storage finds the server empty, and has the server's time, moved forward by the test. */
function backend(name: string, start: () => Promise<Emptied>): Backend {
  let started: Promise<Emptied> | undefined;
  afterAll(async () => (await started)?.stop());
  const open = async (options: Partial<BackendOptions> = {}): Promise<Opened> => {
    started ??= start();
    const { url, flush } = await started;
    await flush();
    let offset = 0;
    const storageOf = (more: Partial<RedisOptions>) =>
      openRedis(url, { brokerId: "b1", clock: systemClock, warn: () => {}, clockOffsetMs: () => offset, ...more });
    const peers: Storage[] = [];
    let storage = await storageOf(options);
    return {
      get storage() {
        return storage;
      },
      async advance(ms) {
        offset += ms;
      },
      async peer(brokerId) {
        const peer = await storageOf({ brokerId });
        peers.push(peer);
        return peer;
      },
      async reopen() {
        await storage.close();
        storage = await storageOf(options);
        return storage;
      },
      async close() {
        await Promise.all([storage, ...peers].map((each) => each.close()));
      },
    };
  };
  return { name, open, ...(redisUnavailable && { unavailable: redisUnavailable }) };
}

export const redis = backend("redis", async () => {
  const server = await startRedis();
  return { url: server.url, flush: () => server.admin.flushall(), stop: () => server.stop() };
});

export const redisCluster = backend("redis-cluster", async () => {
  const cluster = await startRedisCluster();
  return { url: cluster.url, flush: () => cluster.flush(), stop: () => cluster.stop() };
});
