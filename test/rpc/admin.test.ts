/** AdminService as any language's stub sees it: a real broker, and two on one Redis. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQueueClient, type QueueClient } from "../../client/index.ts";
import { AdminService } from "../../gen/queuecall/v1/admin_pb.js";
import { JobFailure_Kind, JobState } from "../../gen/queuecall/v1/job_pb.js";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker, NonRetryableError, type Worker } from "../../worker/index.ts";
import { bearer, role, startGuarded } from "../access/rig.ts";
import { Stage } from "../faults/stage.ts";
import { GrpcCaller, refusalOf } from "../support/grpc.ts";
import { type RedisServer, redisUnavailable, startRedis } from "../support/redis.ts";

const { method } = AdminService;

async function eventually<T>(what: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries++) {
    const value = await what();
    if (holds(value)) return value;
    if (tries === 400) throw new Error("it did not come to be within 4 s");
    await sleep(10);
  }
}

describe("one broker", () => {
  let broker: BrokerServer;
  let admin: GrpcCaller;
  let client: QueueClient;
  let worker: Worker;
  let running: Promise<void>;
  let failing = true;

  beforeAll(async () => {
    broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
    admin = new GrpcCaller(broker.grpcAddress);
    const url = `http://${broker.grpcAddress}`;
    client = createQueueClient({ url });
    worker = createWorker({ url, concurrency: 4, workerId: "w1" })
      .handle("work", () => {
        if (failing) throw new NonRetryableError("no");
        return "yes";
      })
      .handle("held", () => "done");
    running = worker.run();
  });
  afterAll(async () => {
    await client.close();
    await worker.close();
    await running;
    admin.close();
    await broker.close();
  });

  const queue = (name: string) => client.queue<string, string>(name);
  const infoOf = async (name: string) =>
    (await admin.call(method.listQueues, {})).queues.find((each) => each.queue === name);

  test("says what it is", async () => {
    const info = await admin.call(method.getServerInfo, {});
    expect(info).toMatchObject({ ready: true, draining: false, workers: 1 });
    expect(info.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(info.storage).toMatchObject({ kind: "sqlite", url: "memory:", durability: "memory" });
    expect(info.limits).toMatchObject({ maxPayloadBytes: 1_048_576n, maxWorkers: 10_000, lease: { seconds: 30n } });
  });

  test("lists its workers", async () => {
    const { brokerId, workers } = await admin.call(method.listWorkers, {});
    expect(brokerId).toBe((await admin.call(method.getServerInfo, {})).brokerId);
    expect(workers).toMatchObject([{ workerId: "w1", outstanding: 0, draining: false }]);
    expect(workers[0]?.queues.toSorted()).toEqual(["held", "work"]);
    expect(workers[0]?.window).toBeGreaterThanOrEqual(4);
    expect(workers[0]?.clientInfo).toMatch(/^queuecall-ts\//);
    expect(Math.abs(Number(workers[0]?.connectTime?.seconds) - Date.now() / 1000)).toBeLessThan(60);
  });

  test("a paused queue accepts, hands out nothing, and goes on where it was", async () => {
    await admin.call(method.pauseQueue, { queue: "held" });
    await queue("held").enqueue("a", "");
    await sleep(200);
    expect(await infoOf("held")).toMatchObject({ paused: true, queued: 1n, workersHere: 1 });
    expect((await infoOf("held"))?.oldestWait?.seconds).toBe(0n);
    await admin.call(method.resumeQueue, { queue: "held" });
    expect(await queue("held").wait("a", { timeout: 1_000 })).toBe("done");
    expect(await infoOf("held")).toMatchObject({ paused: false, queued: 0n, succeeded: 1n });
  });

  test("failed jobs are listed by page, newest first, and run again", async () => {
    for (let i = 0; i < 5; i++) {
      await expect(queue("work").enqueueAndWait(`f${i}`, "")).rejects.toThrow("no");
      await sleep(2);
    }
    const failed = { queue: "work", state: JobState.FAILED };
    const first = await admin.call(method.listJobs, { ...failed, pageSize: 3 });
    expect(first.jobs.map(({ jobId }) => jobId)).toEqual(["f4", "f3", "f2"]);
    expect(first.jobs[0]).toMatchObject({ state: JobState.FAILED, attempt: 1, failureKind: JobFailure_Kind.HANDLER });
    expect(first.jobs[0]?.endTime?.seconds).toBeGreaterThan(1_700_000_000n);
    const second = await admin.call(method.listJobs, { ...failed, pageToken: first.nextPageToken });
    expect([second.jobs.map(({ jobId }) => jobId), second.nextPageToken]).toEqual([["f1", "f0"], ""]);

    // Those that fail again end after the cursor's job, so that the loop ends.
    let pageToken = "";
    let retried = 0;
    do {
      const step = await admin.call(method.retryJobs, { ...failed, pageSize: 2, pageToken });
      retried += step.retried;
      pageToken = step.nextPageToken;
    } while (pageToken !== "");
    expect(retried).toBe(5);

    await eventually(
      () => infoOf("work"),
      (info) => info?.failed === 5n,
    );
    failing = false;
    expect(await admin.call(method.retryJobs, failed)).toMatchObject({ retried: 5, nextPageToken: "" });
    await eventually(
      () => infoOf("work"),
      (info) => info?.succeeded === 5n && info.failed === 0n,
    );
  });

  test("jobs of one state are cancelled; waiters wake", async () => {
    await Promise.all(["a", "b", "c"].map((id) => queue("nobody").enqueue(id, "")));
    await queue("nobody").enqueue("later", "", { delay: 3_600_000 });
    const waiting = queue("nobody").wait("a");
    waiting.catch(() => {});
    const cancelled = await admin.call(method.cancelJobs, { queue: "nobody", state: JobState.QUEUED });
    expect(cancelled).toMatchObject({ cancelled: 3, nextPageToken: "" });
    await expect(waiting).rejects.toThrow(/cancelled/);
    expect(await infoOf("nobody")).toMatchObject({ queued: 0n, scheduled: 1n, cancelled: 3n });
  });

  test("purge takes what waits, a thousand at a time, and nothing that runs", async () => {
    const ids = Array.from({ length: 1_203 }, (_, i) => `p${i}`);
    await Promise.all(ids.map((id) => queue("purged").enqueue(id, "", id.endsWith("7") ? { delay: 3_600_000 } : {})));
    expect(await admin.call(method.purgeQueue, { queue: "purged" })).toMatchObject({ cancelled: 1_000, more: true });
    expect(await admin.call(method.purgeQueue, { queue: "purged" })).toMatchObject({ cancelled: 203, more: false });
    expect(await infoOf("purged")).toMatchObject({ queued: 0n, scheduled: 0n, cancelled: 1_203n });
  });

  test("asks running jobs to stop", async () => {
    await client.queue("stuck").enqueue("s", 1);
    let stopped = false;
    const slow = createWorker({ url: `http://${broker.grpcAddress}` }).handle("stuck", (_, ctx) => {
      return new Promise((_resolve, reject) => {
        ctx.signal.addEventListener("abort", () => {
          stopped = true;
          reject(ctx.signal.reason);
        });
      });
    });
    const over = slow.run();
    await eventually(
      () => infoOf("stuck"),
      (info) => info?.running === 1n,
    );
    expect(await admin.call(method.purgeQueue, { queue: "stuck" })).toMatchObject({ cancelled: 0, more: false });
    expect(await admin.call(method.listJobs, { queue: "stuck", state: JobState.RUNNING })).toMatchObject({
      jobs: [{ jobId: "s", cancelRequested: false }],
    });
    expect(await admin.call(method.cancelJobs, { queue: "stuck", state: JobState.RUNNING })).toMatchObject({
      cancelled: 1,
    });
    await eventually(
      () => infoOf("stuck"),
      (info) => info?.cancelled === 1n,
    );
    expect(stopped).toBe(true);
    await slow.close();
    await over;
  });

  test("bad input names field, limit and remedy", async () => {
    const { nextPageToken } = await admin.call(method.listJobs, { queue: "purged", state: JobState.CANCELLED });
    expect(nextPageToken).not.toBe("");
    const jobs = { queue: "purged", state: JobState.FAILED };
    const wrong: [keyof typeof method, object, string, RegExp][] = [
      ["listJobs", { ...jobs, queue: "" }, "queue", /is required: 1 to 128/],
      ["listJobs", { ...jobs, state: JobState.UNSPECIFIED }, "state", /is UNSPECIFIED; send one of SCHEDULED, QUEUED/],
      ["listJobs", { ...jobs, state: 99 }, "state", /is 99; send one of/],
      ["listJobs", { ...jobs, pageSize: 1_001 }, "page_size", /is 1001; it goes from 0 to 1000/],
      ["listJobs", { ...jobs, pageToken: "nonsense" }, "page_token", /is not from this list: send the next_page_token/],
      ["listJobs", { ...jobs, pageToken: nextPageToken }, "page_token", /same queue and state/],
      ["listQueues", { pageToken: nextPageToken }, "page_token", /is not from this list/],
      ["retryJobs", { ...jobs, state: JobState.QUEUED }, "state", /is QUEUED; send one of FAILED, CANCELLED/],
      ["cancelJobs", jobs, "state", /is FAILED; send one of SCHEDULED, QUEUED, RUNNING/],
      ["pauseQueue", { queue: "a b" }, "queue", /is not a queue name/],
      ["purgeQueue", { queue: "" }, "queue", /is required/],
    ];
    for (const [name, request, field, text] of wrong) {
      const refusal = refusalOf(
        await admin.call(method[name] as typeof method.listJobs, request).catch((error) => error),
      );
      expect(refusal, `${name} ${field}`).toMatchObject({ code: 3, reason: "INVALID_FIELD" });
      expect(refusal.badRequest?.fieldViolations, `${name} ${field}`).toMatchObject([
        { field, description: expect.stringMatching(text) },
      ]);
    }
  });

  test("reflection and the client library know it", async () => {
    const { queues } = await client.admin.listQueues({});
    expect(queues.map((each) => each.queue)).toContain("purged");
  });
});

test("the right admin is needed, on all queues where none is named", async () => {
  const [some, all] = [role("some", "mail/*", "admin"), role("all", "*", "admin")];
  const caller = role("caller", "*", ["enqueue", "wait", "work"]);
  await using rig = await startGuarded([some, all, caller].map(({ entry }) => entry));
  const allowed = async (name: keyof typeof method, queue: string, { token }: { token: string }) => {
    const request = { queue, service: queue, state: name === "retryJobs" ? JobState.FAILED : JobState.QUEUED };
    const call = rig.caller.call(method[name] as typeof method.listJobs, request, { metadata: bearer(token) });
    const reason = await call.then(
      () => "",
      (error) => refusalOf(error).reason,
    );
    expect(["", "PERMISSION_DENIED"], name).toContain(reason);
    return reason === "";
  };
  for (const name of Object.keys(method) as (keyof typeof method)[]) {
    const named = !["getServerInfo", "listQueues", "listWorkers", "listServices"].includes(name);
    expect(await allowed(name, "mail/in", some), name).toBe(named);
    expect(await allowed(name, "other", some), name).toBe(false);
    expect(await allowed(name, "other", all), name).toBe(true);
    expect(await allowed(name, "mail/in", caller), name).toBe(false);
  }
});

describe.skipIf(redisUnavailable)(
  `two brokers on one Redis${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`,
  () => {
    let redis: RedisServer;
    beforeAll(async () => {
      redis = await startRedis();
    });
    afterAll(() => redis.stop());

    test("each knows the workers of both; those of one that died are gone within seconds", async () => {
      await using stage = new Stage();
      const [a, b] = [await stage.broker(redis.url), await stage.broker(redis.url)];
      await stage.worker([a.url], { queue: "both" });
      await stage.worker([b.url], { queue: "both" });
      const caller = new GrpcCaller(a.address);
      await using client = createQueueClient({ url: a.url });
      await client.queue("both").enqueueAndWait("x", { n: 1 });
      const seen = async () => {
        const { workers, brokers, brokerId } = await caller.call(method.listWorkers, {});
        const [queue] = (await caller.call(method.listQueues, {})).queues.filter((each) => each.queue === "both");
        const places = workers.map((each) => (each.brokerId === brokerId ? "here" : "there"));
        return { places, brokers: brokers.map((each) => each.workers), ofQueue: [queue?.workers, queue?.workersHere] };
      };
      const both = { places: ["here", "there"], brokers: [1, 1], ofQueue: [2, 1] };
      await expect.poll(seen, { timeout: 10_000 }).toEqual(both);
      await b.child.kill("SIGKILL");
      await expect.poll(seen, { timeout: 20_000 }).toMatchObject({ brokers: [1], ofQueue: [1, 1] });
      caller.close();
    }, 60_000);

    test("a queue that one pauses is on hold at the other, until one of them resumes it", async () => {
      // Nobody looks by chance: only word from the other broker can bring the job.
      const settings = { probeIntervalMs: 3_600_000 };
      const [a, b] = await Promise.all(
        [0, 1].map(() => createBroker({ storage: redis.url, grpc: "127.0.0.1:0", settings })),
      );
      const worker = createWorker({ url: `http://${b!.grpcAddress}` }).handle("q", () => "done");
      const running = worker.run();
      const [one, two] = [new GrpcCaller(a!.grpcAddress), new GrpcCaller(b!.grpcAddress)];
      const client = createQueueClient({ url: `http://${a!.grpcAddress}` });
      const count = async (caller: GrpcCaller) =>
        (await caller.call(method.listQueues, {})).queues.find(({ queue }) => queue === "q");
      try {
        await eventually(
          () => two.call(method.listWorkers, { hereOnly: true }),
          ({ workers }) => workers.length === 1,
        );
        await one.call(method.pauseQueue, { queue: "q" });
        await client.queue("q").enqueue("a", 1);
        await sleep(300);
        expect(await count(two)).toMatchObject({ queue: "q", paused: true, queued: 1n, workers: 1, workersHere: 1 });
        expect(await count(one)).toMatchObject({ paused: true, workersHere: 0 });
        await one.call(method.resumeQueue, { queue: "q" });
        expect(await client.queue("q").wait("a")).toBe("done");
      } finally {
        await client.close();
        for (const caller of [one, two]) caller.close();
        await worker.close();
        await running;
        await Promise.all([a!.close(), b!.close()]);
      }
    });
  },
);
