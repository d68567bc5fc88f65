/**
 * How much a broker holds of each kind, and whether it still answers: npm run scale
 *
 *   npm run scale -- --storage redis|sqlite|memory --jobs 1000000 --workers 10000 --watchers 10000 --waits 20000
 *
 * One broker process, everything on top of each other: a backlog, idle worker streams, watchers, waiting calls (multiplexed,
 * then unary). After each step the memory that it added, and calls through a worker that must be answered.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createQueueClient } from "../../client/index.ts";
import { systemClock } from "../../protocol/clock.ts";
import { openStorage } from "../../server/storage/open.ts";
import { createWorker } from "../../worker/index.ts";
import { specOf, unique } from "../storage/specs.ts";
import { MeasuredBroker, Peers, type PeersPlan } from "../support/measured.ts";
import type { Held } from "../support/measured-broker.ts";
import { startRedis } from "../support/redis.ts";

const { values } = parseArgs({
  options: {
    storage: { type: "string", default: "redis" },
    jobs: { type: "string", default: "1000000" },
    workers: { type: "string", default: "10000" },
    watchers: { type: "string", default: "10000" },
    waits: { type: "string", default: "20000" },
  },
});
const [jobs, workers, watchers, waits] = [values.jobs, values.workers, values.watchers, values.waits].map(Number) as [
  ...[number, number, number, number],
];
const KiB = 1024;
const PAYLOAD_BYTES = 200;
const PROBES = 50;
const WITHIN_MS = 600_000;

interface Place {
  url: string;
  /** Bytes that a server holds in memory, where there is one. */
  usedBytes?(): Promise<number>;
  close(): Promise<void>;
}

async function place(): Promise<Place> {
  if (values.storage === "memory") return { url: "memory:", close: async () => {} };
  if (values.storage === "sqlite") {
    const folder = await mkdtemp(join(tmpdir(), "queuecall-scale-"));
    return { url: `sqlite:${folder}/jobs.db`, close: () => rm(folder, { recursive: true }) };
  }
  const server = await startRedis();
  const usedBytes = async () => Number(/^used_memory:(\d+)/m.exec(await server.admin.info("memory"))?.[1]);
  return { url: server.url, usedBytes, close: () => server.stop() };
}

/** Past the broker, which would only be measured as a way in. */
async function fill(url: string): Promise<void> {
  const storage = await openStorage(url, { brokerId: "fill", clock: systemClock, warn: () => {} });
  const data = Buffer.alloc(PAYLOAD_BYTES, "x");
  let next = 0;
  const filler = async () => {
    while (next < jobs) {
      const spec = specOf(`job-${next++}`, { queue: "backlog", payload: { data, contentType: "", messageType: "" } });
      await storage.enqueue({ spec, requestId: unique(), hungryHere: false });
    }
  };
  await Promise.all(Array.from({ length: 500 }, filler));
  await storage.close();
}

/** Calls from a client to a worker and back. Milliseconds each. */
async function probe(broker: MeasuredBroker): Promise<number[]> {
  const url = `http://${broker.address}`;
  const stop = new AbortController();
  const running = createWorker({ url })
    .handle<number>("echo", (n) => n)
    .run({ signal: stop.signal });
  const client = createQueueClient({ url });
  const echo = client.queue<number, number>("echo");
  const took: number[] = [];
  for (let n = 0; n < PROBES; n++) {
    const began = performance.now();
    const answer = await echo.enqueueAndWait(`${crypto.randomUUID()}`, n, { timeout: 60_000 });
    if (answer !== n) throw new Error(`asked ${n}, answered ${answer}`);
    took.push(performance.now() - began);
  }
  stop.abort();
  await running;
  await client.close();
  return took.sort((a, b) => a - b);
}

const rows: Record<string, string | number>[] = [];
function row(what: string, count: number, before: Held, after: Held, took: number[], note = ""): void {
  const each = (bytes: number) => (count === 0 ? "" : (bytes / count / KiB).toFixed(1));
  rows.push({
    what,
    count,
    "heap KiB each": each(after.heap - before.heap),
    "resident KiB each": each(after.resident - before.resident),
    "resident MiB": Math.round(after.resident / KiB / KiB),
    "call p50 ms": took[took.length >> 1]!.toFixed(1),
    "call max ms": took.at(-1)!.toFixed(0),
    note,
  });
  console.log(JSON.stringify(rows.at(-1)));
}

const storage = await place();
try {
  const usedBefore = await storage.usedBytes?.();
  const began = performance.now();
  if (jobs > 0 && values.storage !== "memory") await fill(storage.url);
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  const used = (await storage.usedBytes?.()) ?? 0;
  const perJob = jobs > 0 && usedBefore !== undefined ? (used - usedBefore) / jobs - PAYLOAD_BYTES : undefined;

  // Room for the worker that answers the probes, beside all that are idle; and all waits come at once.
  const settings = { maxSessions: workers + 10, maxEnqueues: waits + 1_000 };
  await using broker = await MeasuredBroker.start(storage.url, settings);
  let before = await broker.held();
  const filled = `filled in ${seconds} s, started in ${broker.startMs.toFixed(0)} ms`;
  const server = perJob === undefined ? "" : `; Redis: ${perJob.toFixed(0)} bytes a job over its payload`;
  row("queued jobs", values.storage === "memory" ? 0 : jobs, before, before, await probe(broker), filled + server);

  const steps: [what: string, count: number, plan: Partial<PeersPlan>, seen: (now: Held, then: Held) => number][] = [
    ["idle worker streams", workers, { workers, connections: 100 }, (now, then) => now.sessions - then.sessions],
    ["watchers", watchers, { watchers, connections: 100 }, (now, then) => now.waiting - then.waiting],
    [
      "multiplexed waits",
      waits,
      { multiplexedWaits: waits, connections: 4 },
      (now, then) => now.waiting - then.waiting,
    ],
    ["unary waits", waits, { waits, connections: 40 }, (now, then) => now.waiting - then.waiting],
  ];
  await using open = new AsyncDisposableStack();
  // What is watched has to exist, and not to end.
  await using client = createQueueClient({ url: `http://${broker.address}` });
  await client.queue("watched").enqueue("job-0", "");
  for (const [what, count, plan, seen] of steps) {
    if (count === 0) continue;
    before = await broker.held();
    const queue = plan.watchers ? "watched" : plan.workers ? "idle" : "nobody";
    open.use(await Peers.open({ address: broker.address, connections: 1, queue, jobId: "job-0", ...plan }));
    const after = await broker.until((now) => seen(now, before) >= count, WITHIN_MS);
    row(what, count, before, after, await probe(broker));
  }
  console.table(rows);
} finally {
  await storage.close();
}
