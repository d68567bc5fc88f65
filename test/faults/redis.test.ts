/** A Redis that is full, and one that stands still, as callers and workers of a broker see them. */
import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createQueueClient, OverloadedError } from "../../client/index.ts";
import { systemClock } from "../../protocol/clock.ts";
import { Broker } from "../../server/broker/broker.ts";
import { createBroker } from "../../server/index.ts";
import { defaultSettings } from "../../server/settings.ts";
import { openRedis } from "../../server/storage/redis/redis-storage.ts";
import { createWorker } from "../../worker/index.ts";
import { call, requestId, spec } from "../support/broker.ts";
import { type RedisServer, redisUnavailable, startRedis } from "../support/redis.ts";

const WITHIN = { timeout: 30_000 };
const title = redisUnavailable ? ` (skipped: ${redisUnavailable})` : "";

describe.skipIf(redisUnavailable)(`a broker whose Redis${title}`, () => {
  let redis: RedisServer;
  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(() => redis.stop());

  test("is full takes no job, and those it has are worked off", async () => {
    await using broker = await createBroker({ storage: redis.url, grpc: "127.0.0.1:0" });
    const url = `http://${broker.grpcAddress}`;
    await using client = createQueueClient({ url, retry: false });
    const queue = client.queue<string, string>("q");
    const { promise: full, resolve: fill } = Promise.withResolvers<void>();
    const { promise: running, resolve: run } = Promise.withResolvers<void>();
    await using worker = createWorker({ url, concurrency: 1 }).handle<string, string>(
      "q",
      async (text, { progress }) => {
        run();
        await full;
        progress(1, 1);
        return text.repeat(1_000);
      },
    );
    void worker.run();
    const ids = ["a", "b", "c"];
    const waits = ids.map((id) => queue.enqueueAndWait(id, id));
    for (const id of ids) await expect.poll(() => queue.get(id).catch(() => undefined), WITHIN).toBeDefined();
    await running;
    await redis.admin.config("SET", "maxmemory", "1");
    const refused = { reason: "STORE_FULL", retryAfterMs: expect.any(Number), cause: { code: Code.ResourceExhausted } };
    for (const ask of [() => queue.enqueue("d", "d"), () => queue.enqueueAndWait("e", "e")]) {
      const error = await ask().catch((error: unknown) => error);
      expect(error).toBeInstanceOf(OverloadedError);
      expect(error).toMatchObject(refused);
    }
    fill();
    expect(await Promise.all(waits)).toEqual(ids.map((id) => id.repeat(1_000)));
    await expect(queue.get("d")).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    await redis.admin.config("SET", "maxmemory", "0");
    expect(await queue.enqueueAndWait("d", "d")).toBe("d".repeat(1_000));
  });

  test("stands still refuses tens of thousands of enqueues at once or in its time, and keeps nothing of them", async () => {
    const about = { brokerId: "b1", clock: systemClock };
    const storage = await openRedis(redis.url, { ...about, warn() {}, callTimeoutMs: 500 });
    const broker = new Broker({ ...about, storage, settings: defaultSettings });
    broker.start();
    const enqueue = (jobId: string) =>
      broker.callers.enqueue(spec({ jobId }), requestId(), call()).catch((error) => error);
    expect(await enqueue("before")).toMatchObject({ disposition: "created" });

    redis.kill("SIGSTOP");
    const { maxEnqueues } = defaultSettings;
    const answers = await Promise.all(Array.from({ length: 3 * maxEnqueues }, (_, i) => enqueue(`j${i}`)));
    const reasons = Map.groupBy(answers, ({ reason }) => reason as string);
    expect([...reasons].map(([reason, { length }]) => [reason, length])).toEqual([
      ["STORE_UNAVAILABLE", maxEnqueues],
      ["RATE_LIMITED", 2 * maxEnqueues],
    ]);
    expect([broker.intake.count, broker.intake.bytes]).toEqual([0, 0]);
    const maybe = answers.filter(({ options }) => options.metadata.accepted === "unknown").length;

    redis.kill("SIGCONT");
    await expect.poll(() => enqueue("after"), WITHIN).toMatchObject({ disposition: expect.any(String) });
    const { queued } = (await storage.count("q")).jobs;
    expect(queued).toBeGreaterThanOrEqual(2);
    expect(queued - 2).toBeLessThanOrEqual(maybe);
    expect(maybe).toBeLessThan(maxEnqueues);
    broker.close();
    await storage.close();
  });
});
