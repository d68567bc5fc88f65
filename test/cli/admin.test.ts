/** The commands of operators against a real broker. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQueueClient, type QueueClient } from "../../client/index.ts";
import { Thumbnailer } from "../../examples/transparent/gen/acme/v1/thumbnailer_pb.js";
import { startTestBroker, type TestBroker } from "../../testing/index.ts";
import { createWorker, NonRetryableError, type Worker } from "../../worker/index.ts";
import { command } from "../support/command.ts";

let broker: TestBroker;
let client: QueueClient;
let worker: Worker;
let running: Promise<void>;

beforeAll(async () => {
  broker = await startTestBroker();
  client = createQueueClient({ url: broker.url });
  worker = createWorker({ url: broker.url, workerId: "w1" }).handle("fail", () => {
    throw new NonRetryableError("gone for good");
  });
  running = worker.run();
});

afterAll(async () => {
  await client.close();
  await worker.close();
  await running;
  await broker.close();
});

const run = (...args: string[]) => command(args, { QUEUECALL_URL: broker.url });

async function ok(...args: string[]) {
  const { code, stdout, stderr } = await run(...args);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

const queueNamed = async (name: string) => (await ok("queues")).find(({ queue }: { queue: string }) => queue === name);

describe("what is there", () => {
  test("info", async () => {
    expect(await ok("info")).toMatchObject({
      storage: { kind: "sqlite", url: "memory:", durability: "memory" },
      limits: { maxPayloadBytes: 1_048_576, maxWaitMs: 3_600_000, leaseMs: 30_000 },
      ready: true,
    });
  });

  test("workers", async () => {
    expect(await ok("workers")).toMatchObject([{ workerId: "w1", queues: ["fail"], outstanding: 0, draining: false }]);
    expect(await ok("workers", "--here")).toEqual(await ok("workers"));
    expect((await run("workers", "--url", "http://127.0.0.1:1", "--timeout", "2s")).code).toBe(69);
  });

  test("queues and jobs, by page", async () => {
    for (const id of ["a", "b", "c"]) await client.queue("seen").enqueue(id, 1);
    expect(await queueNamed("seen")).toMatchObject({
      queued: 3,
      running: 0,
      paused: false,
      workers: 0,
      workersHere: 0,
    });
    expect((await queueNamed("seen")).oldestWaitMs).toBeGreaterThanOrEqual(0);
    const first = await ok("list", "--queue", "seen", "--state", "queued", "--limit", "2");
    expect(first.jobs).toMatchObject([
      { jobId: "c", state: "queued", attempt: 0, createTime: expect.stringMatching(/^20\d\d-.*Z$/) },
      { jobId: "b" },
    ]);
    const page = ["--limit", "2", "--page-token", first.nextPageToken];
    expect(await ok("list", "--queue", "seen", "--state", "queued", ...page)).toMatchObject({
      jobs: [{ jobId: "a" }],
      nextPageToken: "",
    });
  });
});

describe("many jobs at once", () => {
  test("retry --state failed runs each again, once", async () => {
    for (const id of ["f1", "f2", "f3"])
      await client
        .queue("fail")
        .enqueueAndWait(id, 1)
        .catch(() => {});
    const failed = await ok("list", "--queue", "fail", "--state", "failed");
    expect(failed.jobs).toMatchObject([{ jobId: "f3", failureKind: "handler" }, { jobId: "f2" }, { jobId: "f1" }]);
    expect(await ok("retry", "--queue", "fail", "--state", "failed")).toEqual({
      queue: "fail",
      state: "failed",
      retried: 3,
    });
  });

  test("cancel --state queued, and one of them again", async () => {
    for (const id of ["a", "b"]) await client.queue("nobody").enqueue(id, 1);
    const cancelled = { queue: "nobody", state: "queued", cancelled: 2 };
    expect(await ok("cancel", "--queue", "nobody", "--state", "queued")).toEqual(cancelled);
    expect(await ok("retry", "nobody", "a")).toMatchObject({ state: "queued" });
    expect(await ok("cancel", "nobody", "a")).toMatchObject({ state: "cancelled" });
  });

  test("services, and one that is forgotten", async () => {
    const serving = createWorker({ url: broker.url }).service(Thumbnailer, { render: () => ({}) });
    const over = serving.run();
    const name = Thumbnailer.typeName;
    const described = [{ service: name, methods: ["Render"], described: true }];
    await expect.poll(() => ok("services"), { timeout: 20_000 }).toEqual(described);
    await serving.close();
    await over;
    expect(await ok("services")).toEqual(described);
    expect(await ok("forget", name)).toEqual({ service: name, known: true });
    expect(await ok("forget", name)).toEqual({ service: name, known: false });
    expect(await ok("services")).toEqual([]);
  });

  test("pause, purge, resume", async () => {
    expect(await ok("pause", "held")).toEqual({ queue: "held", paused: true });
    await client.queue("held").enqueue("a", 1);
    await client.queue("held").enqueue("b", 1, { delay: 60_000 });
    expect(await queueNamed("held")).toMatchObject({ paused: true, queued: 1, scheduled: 1 });
    const refused = await run("purge", "held");
    expect([refused.code, refused.stderr]).toEqual([64, expect.stringContaining("repeat it with --yes")]);
    expect(await ok("purge", "held", "--yes")).toEqual({ queue: "held", cancelled: 2 });
    expect(await ok("resume", "held")).toEqual({ queue: "held", paused: false });
    expect(await queueNamed("held")).toMatchObject({ paused: false, queued: 0, cancelled: 2 });
  });
});

test.each<[number, RegExp, ...string[]]>([
  [64, /either <queue> <job-id>, or --queue and --state/, "retry", "q"],
  [64, /either <queue> <job-id>, or --queue and --state/, "cancel", "q", "j", "--state", "queued"],
  [64, /Allowed choices are failed, cancelled/, "retry", "--queue", "q", "--state", "queued"],
  [64, /required option '--state <STATE>'/, "list", "--queue", "q"],
  [65, /page_size: is 5000; it goes from 0 to 1000/, "list", "--queue", "q", "--state", "failed", "--limit", "5000"],
  [65, /page_token: is not from this list/, "list", "--queue", "q", "--state", "failed", "--page-token", "x"],
  [65, /queue: "a b" is not a queue name/, "pause", "a b"],
])("%i %o", async (expected, message, ...args) => {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/^queuecall: [^\n]+\n$/);
  expect([code, stdout]).toEqual([expected, ""]);
});
