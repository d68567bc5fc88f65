/** Processes that stand still for two leases and go on as if nothing had been: SIGSTOP, SIGCONT. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import type { Answer, Request, WorkerOrders } from "../chaos/load.ts";
import { type Event, parse, type Started } from "../history/events.ts";
import { startRedis } from "../support/redis.ts";
import { Stage } from "./stage.ts";

/** Long enough for a machine that has other things to do. */
const LEASE_MS = 3_000;
const settings = ["--lease", `${LEASE_MS}ms`, "--reconnect-grace", "1s", "--ping-interval", "1s"];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const seen = (worker: string): Event[] => parse(readFileSync(join(folder, worker), "utf8"));
const startedBy = (worker: string): Started[] => seen(worker).filter((event) => event.kind === "started");

function startWorker(stage: Stage, urls: string[], name: string, concurrency: number) {
  const orders: WorkerOrders = { name, urls, concurrency, history: join(folder, name) };
  return stage.started(["test/chaos/worker-process.ts", JSON.stringify(orders)], /^started/);
}

const work = (ms: number): Request => ({ call: "call", ms, failures: 0, forGood: false, pad: "" });

test("a worker: its handlers are told, its late results are refused, and each job ran elsewhere once", async () => {
  await using stage = new Stage();
  const { url } = await stage.broker("memory:", { args: settings });
  await using client = createQueueClient({ url });
  const queue = client.queue<Request, Answer>("hot");
  const zombie = await startWorker(stage, [url], "zombie", 2);
  // One is in the middle when it wakes up, the other has just ended as far as it knows.
  const answers = [queue.enqueueAndWait("long", work(3 * LEASE_MS)), queue.enqueueAndWait("short", work(LEASE_MS))];
  await expect.poll(() => startedBy("zombie").length, { interval: 10, timeout: 10_000 }).toBe(2);
  zombie.process.kill("SIGSTOP");
  await startWorker(stage, [url], "other", 2);
  await pause(2 * LEASE_MS);
  zombie.process.kill("SIGCONT");

  for (const answer of await Promise.all(answers)) expect(answer.text).toMatch(/^other#/);
  expect(startedBy("other").map(({ job, attempt }) => ({ job, attempt }))).toEqual(
    expect.arrayContaining(["long", "short"].map((job) => ({ job, attempt: 2 }))),
  );
  expect(startedBy("other")).toHaveLength(2);
  expect(seen("zombie")).toContainEqual(expect.objectContaining({ kind: "stopped", job: "long", why: "lease-lost" }));
  for (const job of ["long", "short"]) expect((await queue.get(job)).outcome?.state).toBe("succeeded");
}, 60_000);

test("Redis: the workers get time to renew, and each job runs once", async () => {
  const redis = await startRedis();
  try {
    await using stage = new Stage();
    const brokers = await Promise.all([0, 1].map(() => stage.broker(`${redis.url}/0`, { args: settings })));
    const urls = brokers.map(({ url }) => url);
    await using client = createQueueClient({ url: urls });
    const queue = client.queue<Request, Answer>("hot");
    const names = ["w1", "w2"];
    for (const [i, name] of names.entries()) await startWorker(stage, [urls[i]!], name, 40);
    const answers = Array.from({ length: 60 }, (_, n) => queue.enqueueAndWait(`job-${n}`, work(3 * LEASE_MS)));
    const started = () => names.flatMap(startedBy);
    await expect.poll(() => started().length, { interval: 10, timeout: 10_000 }).toBe(60);
    redis.kill("SIGSTOP");
    await pause(2 * LEASE_MS);
    redis.kill("SIGCONT");

    await Promise.all(answers);
    const again = started().filter(({ attempt }) => attempt > 1);
    expect(again.map(({ job, attempt }) => `${job}: ${attempt}`)).toEqual([]);
    expect(started()).toHaveLength(60);
  } finally {
    await redis.stop();
  }
}, 60_000);
