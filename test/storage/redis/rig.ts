/** A server and storages on it, for one test: all gone when it ends. */
import { onTestFinished } from "vitest";
import { systemClock } from "../../../protocol/clock.ts";
import { openRedis, type RedisOptions } from "../../../server/storage/redis/redis-storage.ts";
import type { Claimed, Settle, SettleOutcome, Storage } from "../../../server/storage/storage.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { LEASE, QUEUE, specOf, unique } from "../specs.ts";

export * from "../../support/redis.ts";
export * from "../specs.ts";

export async function serverOf(...args: string[]): Promise<RedisServer> {
  const server = await startRedis({ args });
  onTestFinished(() => server.stop());
  return server;
}

export async function storageOn(url: string, options: Partial<RedisOptions> = {}): Promise<Storage> {
  const storage = await openRedis(url, { brokerId: "b1", clock: systemClock, warn: () => {}, ...options });
  onTestFinished(() => storage.close());
  return storage;
}

export const enqueue = (storage: Storage, jobId: string, fields: Parameters<typeof specOf>[1] = {}) =>
  storage.enqueue({ spec: specOf(jobId, fields), requestId: unique(), hungryHere: true });

let claims = 0;

export async function claim(storage: Storage, max = 1): Promise<Claimed[]> {
  const tokens = Array.from({ length: max }, unique);
  const terms = { lane: "l1", workerId: "w1", maxBytes: 1e9, leaseMs: LEASE, jitter: 0.5 };
  return (await storage.claim({ queue: QUEUE, claimId: ++claims, max, tokens, ...terms })).jobs;
}

export const settle = (
  storage: Storage,
  { queue, jobId, leaseToken }: Omit<Settle, "outcome" | "jitter" | "hungryHere">,
  outcome: SettleOutcome,
) => storage.settle({ queue, jobId, leaseToken, outcome, jitter: 0.5, hungryHere: true });

/** Resolves when the storage says so. */
export function becomes(storage: Storage, ready: boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = storage.onReady((now) => {
      if (now !== ready) return;
      stop();
      resolve();
    });
    if (storage.ready === ready) {
      stop();
      resolve();
    }
  });
}
