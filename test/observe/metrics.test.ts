/** The metrics of a broker: exact after a history that is known. */
import { readFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { systemClock } from "../../protocol/clock.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createMetrics } from "../../server/observe/metrics.ts";
import { MAX_QUEUE_LABELS, PerQueue } from "../../server/observe/queue-labels.ts";
import { TimedStorage } from "../../server/observe/timed-storage.ts";
import { type Storage, StorageUnavailable } from "../../server/storage/storage.ts";
import { createWorker, NonRetryableError } from "../../worker/index.ts";
import { call, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";
import { type Exposition, parse } from "./exposition.ts";

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(settings = {}) {
  const ports = { grpc: "127.0.0.1:0", http: "127.0.0.1:0" };
  const broker = await createBroker({ storage: "memory:", ...ports, settings });
  const url = `http://${broker.grpcAddress}`;
  const client = createQueueClient({ url, mode: "multiplex" });
  ends.push(
    () => broker.close(),
    () => client.close(),
  );
  return { broker, url, client };
}

async function scrape(broker: BrokerServer): Promise<Exposition> {
  return parse(await (await fetch(`http://${broker.httpAddress}/metrics`)).text());
}

/** Samples of a metric for a queue, by another label. */
function byLabel({ samples }: Exposition, name: string, label: string, queue = "work"): Record<string, number> {
  const own = samples.filter((each) => each.name === name && each.labels.queue === queue);
  return Object.fromEntries(own.map(({ labels, value }) => [labels[label], value]));
}

test("streams of multiplexed calls are counted while they are open", async () => {
  const { broker, url, client } = await start();
  const streams = async () => (await scrape(broker)).value("queuecall_exchange_streams");
  expect(await streams()).toBe(0);
  await client.queue("q").enqueue("a", 1);
  const second = createQueueClient({ url, mode: "multiplex" });
  await second.queue("q").enqueue("b", 1);
  const unary = createQueueClient({ url, mode: "unary" });
  await unary.queue("q").enqueue("c", 1);
  expect(await streams()).toBe(2);
  await Promise.all([second.close(), unary.close()]);
  await expect.poll(streams).toBe(1);
});

test("a known history is counted exactly", async () => {
  const { broker, url, client } = await start();
  const queue = client.queue<string, string>("work");
  const worker = createWorker({ url, concurrency: 4, window: 8 }).handle<string>("work", async (what, ctx) => {
    if (what === "fail") throw new NonRetryableError("no");
    if (what === "flaky" && ctx.attempt === 1) throw new Error("once");
    return what;
  });
  const running = worker.run();
  ends.push(async () => {
    await worker.close();
    await running;
  });

  for (const id of ["a", "b", "c"]) await queue.enqueueAndWait(id, "ok");
  await queue.enqueueAndWait("a", "ok"); // cached
  await queue.enqueueAndWait("flaky", "flaky", { backoff: { initial: 1 } });
  await queue.enqueueAndWait("bad", "fail").catch(() => {});
  await queue.enqueue("later", "ok", { delay: 60_000 });
  await queue.enqueue("later", "ok", { delay: 60_000 }); // joined
  await queue.cancel("later");
  await queue.enqueue("late", "ok", { delay: 10, startTimeout: 60_000 });
  await queue.wait("late");

  const seen = await scrape(broker);
  expect(byLabel(seen, "queuecall_jobs_accepted_total", "disposition")).toEqual({ created: 7, joined: 1, cached: 1 });
  expect(byLabel(seen, "queuecall_jobs_ended_total", "outcome")).toEqual({
    succeeded: 5,
    failed_handler: 1,
    cancelled: 1,
  });
  expect(seen.value("queuecall_attempts_started_total", { queue: "work" })).toBe(7);
  expect(byLabel(seen, "queuecall_attempts_ended_total", "end")).toEqual({ completed: 5, failed: 2 });
  expect(seen.value("queuecall_job_wait_seconds_count", { queue: "work" })).toBe(6);
  expect(seen.value("queuecall_attempt_run_seconds_count", { queue: "work" })).toBe(7);
  expect(seen.value("queuecall_leases_lost_total", { queue: "work" })).toBeUndefined();
  expect(seen.value("queuecall_worker_sessions")).toBe(1);
  expect(seen.value("queuecall_worker_window")).toBe(8);
  expect(seen.value("queuecall_worker_outstanding")).toBe(0);
  expect(seen.value("queuecall_waiting_calls")).toBe(0);
  expect(seen.value("queuecall_storage_seconds_count", { verb: "settle" })).toBe(7);
  expect(seen.value("queuecall_storage_ready")).toBe(1);
  expect(seen.value("queuecall_info", { storage: "sqlite", durability: "memory" })).toBe(1);
});

test("what waits, and what is refused", async () => {
  const { broker, client } = await start({ maxWaiters: 2 });
  const queue = client.queue("work");
  const gone = new AbortController();
  ends.push(async () => gone.abort());
  const waits = ["a", "b"].map((id) => queue.enqueueAndWait(id, 1, { signal: gone.signal }).catch(() => {}));
  await expect.poll(async () => (await scrape(broker)).value("queuecall_waiting_calls")).toBe(2);
  const refused = { spec: { queue: "work", jobId: "c" }, requestId: new Uint8Array(16) };
  await expect(client.broker.enqueueAndWait(refused)).rejects.toThrow();
  const seen = await scrape(broker);
  expect(seen.value("queuecall_refusals_total", { reason: "TOO_MANY_WAITERS" })).toBe(1);
  expect(seen.value("queuecall_waiting_calls_limit")).toBe(2);
  gone.abort();
  await Promise.all(waits);
});

test("every line can be read, and names follow the rules", async () => {
  const { broker, client } = await start();
  await client.queue("a/b.c-d").enqueue("x", 1);
  const { types, samples } = await scrape(broker);
  for (const [name, type] of types) {
    if (!name.startsWith("queuecall_")) continue;
    expect(name).toMatch(/^queuecall_[a-z_]+$/);
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    if (type === "histogram") expect(name).toMatch(/_seconds$/);
  }
  const table = readFileSync(new URL("../../docs/observability.md", import.meta.url), "utf8");
  const own = [...types.keys()].filter((name) => name.startsWith("queuecall_") && !name.endsWith("_limit"));
  for (const name of own) expect(table, `${name} in docs/observability.md`).toContain(`| \`${name}\``);
  expect([...types.keys()]).toEqual(
    expect.arrayContaining([
      "process_cpu_seconds_total",
      "process_resident_memory_bytes",
      "nodejs_eventloop_lag_p99_seconds",
    ]),
  );
  expect(samples.find(({ labels }) => labels.queue === "a/b.c-d")).toBeDefined();
});

test("leases that are lost, by cause; queue depth as the ticks see it, and the age of the first in line", async () => {
  const metrics = createMetrics(systemClock);
  const rig = await startRig({ maxQueueLength: 50 }, undefined, metrics.observer);
  ends.push(() => rig.close());
  const { broker, clock } = rig;
  metrics.read({
    version: "0",
    storage: rig.storage.info,
    storageReady: true,
    draining: false,
    settings: broker.settings,
    calls: 0,
    exchanges: 0,
    waiting: 0,
    sessions: 0,
    intake: broker.intake,
    unreadBytes: 0,
    load: { window: 0, outstanding: 0 },
    depths: () => broker.depths(),
    count: (queue) => rig.storage.count(queue),
    limitsOf: (queue) => broker.limitsOf(queue),
  });
  const worker = new SeamWorker(broker, { window: 3 });
  for (let i = 0; i < 5; i++) await broker.callers.enqueue(spec(), requestId(), call());
  await expect.poll(() => worker.deliveries.length).toBe(3);
  // Nobody renews: the leases run out, and one job is settled too late.
  await clock.advance(45_000);
  worker.complete(worker.deliveries[0]!);
  await expect.poll(() => worker.frames.flatMap(({ settled }) => settled)).toMatchObject([{ result: "lease_lost" }]);
  worker.session.linkClosed();
  const lost = byLabel(parse(await metrics.text()), "queuecall_leases_lost_total", "cause", "q");
  expect(lost.late_settlement).toBe(1);
  expect(lost.stream_ended).toBeGreaterThanOrEqual(2);
  await clock.advance(60_000);
  const scrape = parse(await metrics.text());
  expect(scrape.value("queuecall_queue_depth", { queue: "q" })).toBe(5);
  expect(scrape.value("queuecall_queue_oldest_seconds", { queue: "q" })).toBeCloseTo(105, 0);
  expect(scrape.value("queuecall_queue_unfinished", { queue: "q" })).toBe(5);
  expect(scrape.value("queuecall_queue_bytes", { queue: "q" })).toBe((await rig.storage.count("q")).bytes);
  expect(scrape.value("queuecall_queue_unfinished_limit", { queue: "q" })).toBe(50);
  expect(scrape.value("queuecall_queue_bytes_limit", { queue: "q" })).toBeUndefined();
});

test("queues beyond the bound share one label", async () => {
  const metrics = createMetrics(systemClock);
  for (let i = 0; i < MAX_QUEUE_LABELS + 50; i++) {
    metrics.observer.accepted({ queue: `q${i}`, jobId: "j" }, "created");
    metrics.observer.accepted({ queue: `q${i}`, jobId: "j" }, "created");
  }
  const seen = parse(await metrics.text());
  const accepted = seen.samples.filter(({ name }) => name === "queuecall_jobs_accepted_total");
  expect(accepted).toHaveLength(MAX_QUEUE_LABELS + 1);
  expect(seen.value("queuecall_jobs_accepted_total", { queue: "q0" })).toBe(2);
  expect(seen.value("queuecall_jobs_accepted_total", { queue: "other" })).toBe(100);
});

test("one thing per label is made once", () => {
  const made: string[] = [];
  const per = new PerQueue((label) => made.push(label), 2);
  for (const queue of ["a", "b", "c", "d", "a", "c"]) per.of(queue);
  expect(made).toEqual(["a", "b", "other"]);
});

test("a timed storage passes everything on, errors too", async () => {
  const metrics = createMetrics(systemClock);
  const away = () => Promise.reject(new StorageUnavailable("away", "no"));
  const inner = { read: async () => undefined, cancel: away } as unknown as Storage;
  const storage = new TimedStorage(inner, metrics.storageWatch);
  expect(await storage.read({ queue: "q", jobId: "j" })).toBeUndefined();
  await expect(storage.cancel({ queue: "q", jobId: "j" })).rejects.toThrow(StorageUnavailable);
  const seen = parse(await metrics.text());
  expect(seen.value("queuecall_storage_seconds_count", { verb: "read" })).toBe(1);
  expect(seen.value("queuecall_storage_seconds_count", { verb: "cancel" })).toBe(1);
  expect(seen.value("queuecall_storage_errors_total", { verb: "cancel" })).toBe(1);
  expect(seen.value("queuecall_storage_errors_total", { verb: "read" })).toBeUndefined();
});
