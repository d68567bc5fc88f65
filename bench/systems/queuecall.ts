/** Ours: a broker, a worker, a caller, each a process. */
import { spawnSync } from "node:child_process";
import { createQueueClient } from "../../client/index.ts";
import { MeasuredBroker, Peers } from "../../test/support/measured.ts";
import type { CallerOptions } from "../parts/caller.ts";
import type { Seen } from "../parts/load.ts";
import type { WorkerPartOptions } from "../parts/worker.ts";
import { type Contender, type Sample, withUsage } from "../rounds.ts";
import { type BrokerProcess, type Part, type Stage, Unavailable } from "../stage.ts";

export interface Shape {
  storage: "redis" | "sqlite" | "memory";
  /** Of redis-server. */
  redisArgs?: string[];
  /** Each fsync takes this much longer, by strace. Milliseconds. */
  fsyncMs?: number;
  /** The worker's stream goes to a second broker. */
  apart?: boolean;
  mode?: "multiplex" | "unary";
  connections?: number;
  queues?: number;
  bytes?: number;
  priority?: number;
  workers?: number;
  concurrency?: number;
  handlerMs?: number;
  /** Jobs in line before anything is measured, of lower priority. */
  backlog?: number;
}

/** The started broker of a shape, and what can be started beside it. */
export interface System {
  broker: BrokerProcess;
  /** Pid by role, of what has been started. */
  processes: Record<string, number>;
  caller(): Promise<Part>;
  /** Told how to work, but not to begin. */
  worker(): Promise<{ part: Part; work: WorkerPartOptions }>;
}

export async function start(stage: Stage, shape: Shape): Promise<System> {
  const { mode = "multiplex", connections = 1, queues = 1, bytes = 200, priority = 0 } = shape;
  const { workers = 1, concurrency = 64, handlerMs = 0, backlog = 0 } = shape;
  const server = shape.storage === "redis" ? await stage.redis(shape.redisArgs) : undefined;
  const storage = await storageUrl(stage, shape.storage, server?.url);
  const broker = await stage.broker(storage, { through: slowFsync(shape.fsyncMs) });
  const other = shape.apart ? await stage.broker(storage) : undefined;
  const processes: Record<string, number> = { broker: broker.pid };
  if (other) processes["other broker"] = other.pid;
  if (server) processes.storage = server.pid;
  const names = Array.from({ length: queues }, (_, n) => (queues === 1 ? "q" : `q${n}`));
  return {
    broker,
    processes,
    async caller() {
      const caller = await stage.part("caller.ts");
      const call: CallerOptions = { url: broker.url, mode, connections, queues: names, bytes, priority: 0 };
      await caller.ask("connect", call);
      if (backlog > 0) await caller.ask("fill", { jobs: backlog, inFlight: 2_000 });
      if (priority !== 0) await caller.ask("connect", { ...call, priority });
      processes.client = caller.pid;
      return caller;
    },
    async worker() {
      const part = await stage.part("worker.ts");
      processes.worker = part.pid;
      return { part, work: { url: (other ?? broker).url, queues: names, workers, concurrency, handlerMs } };
    },
  };
}

/** Enqueue and wait for the outcome. */
export function waiting(shape: Shape, inFlight: number): Contender {
  return async (stage, size) => {
    const system = await start(stage, scaled(shape, size.of));
    const { broker, processes } = system;
    const caller = await system.caller();
    const { part, work } = await system.worker();
    // Else it would work off its backlog while others are measured.
    const rests = (shape.priority ?? 0) !== 0;
    if (!rests) await part.ask("start", work);
    const slots = Math.max(1, Math.min(inFlight, size.of(inFlight * 1_000)));
    return async () => {
      if (rests) {
        await part.ask("start", work);
        await caller.ask("wait", { inFlight: 1, seconds: size.seconds / 10 });
      }
      await broker.metrics(); // Starts the event loop's histogram afresh.
      const before = await asked(stage, shape);
      const load = { inFlight: slots, seconds: size.seconds };
      const sample = await withUsage(processes, () => caller.ask<Seen>("wait", load));
      const now = await asked(stage, shape);
      for (const [what, count] of Object.entries(now)) sample[what] = (count - before[what]!) / sample.calls!;
      if (rests) await part.ask("stop");
      return { ...sample, ...loopDelay(await broker.metrics()) };
    };
  };
}

/** Enqueue, answered once stored; nobody works. */
export function enqueuing(shape: Shape, inFlight: number): Contender {
  return async (stage, size) => {
    const system = await start(stage, scaled(shape, size.of));
    const { processes } = system;
    const caller = await system.caller();
    return () => withUsage(processes, () => caller.ask<Seen>("enqueue", { inFlight, seconds: size.seconds }));
  };
}

/** A worker empties the line, `jobs` of it at a time; with `backlog`, the line is never shorter than that. */
export function draining(shape: Shape, jobs: number): Contender {
  return async (stage, size) => {
    const count = Math.max(20, size.of(jobs));
    const system = await start(stage, scaled(shape, size.of));
    const caller = await system.caller();
    const { part, work } = await system.worker();
    return async () => {
      await caller.ask("fill", { jobs: count, inFlight: 2_000 });
      return withUsage(system.processes, () => part.ask("drain", { ...work, jobs: count }));
    };
  };
}

/** The same load over so many brokers of one Redis, each with a caller, a worker and queues of its own. */
export function spread(shape: Shape, inFlight: number, brokers: number): Contender {
  return async (stage, size) => {
    const each = Array.from({ length: brokers }, () => waiting(shape, inFlight / brokers)(stage, size));
    const takes = await Promise.all(each);
    return async () => {
      const samples = await Promise.all(takes.map((take) => take()));
      const of = (figure: string) => samples.map((sample) => sample[figure] ?? Number.NaN);
      const rate = of("rate").reduce((sum, one) => sum + one, 0);
      return { rate, p50: Math.max(...of("p50")), p99: Math.max(...of("p99")) };
    };
  };
}

/** What a broker holds on its heap for each of so many. */
export function held(what: "workers" | "watchers" | "waits" | "multiplexedWaits", count: number): Contender {
  return async (stage, size) => {
    const many = Math.max(100, size.of(count));
    const { url } = await stage.redis();
    return async (): Promise<Sample> => {
      const settings = { maxSessions: many + 10, maxEnqueues: many + 10 };
      await using broker = await MeasuredBroker.start(`${url}?prefix=${stage.keyspace()}`, settings);
      await using client = createQueueClient({ url: `http://${broker.address}` });
      await client.queue("held").enqueue("job", "");
      const before = await broker.held();
      const plan = { address: broker.address, connections: 10, queue: "held", jobId: "job", [what]: many };
      await using _peers = await Peers.open(plan);
      const kind = what === "workers" ? "sessions" : "waiting";
      const after = await broker.until((now) => now[kind] - before[kind] >= many);
      return { "KiB each": (after.heap - before.heap) / many / 1024 };
    };
  };
}

/** Redis memory of a job in line, over its payload. */
export function queuedMemory(shape: Shape, jobs: number): Contender {
  return async (stage, size) => {
    const caller = await (await start(stage, shape)).caller();
    const redis = await stage.redis();
    const used = async () => Number(/used_memory:(\d+)/.exec(String(await redis.admin.info("memory")))?.[1]);
    const count = Math.max(100, size.of(jobs));
    return async (): Promise<Sample> => {
      const before = await used();
      await caller.ask("fill", { jobs: count, inFlight: 2_000 });
      return { "bytes per job": ((await used()) - before) / count - (shape.bytes ?? 200) };
    };
  };
}

async function storageUrl(stage: Stage, storage: Shape["storage"], redis = ""): Promise<string> {
  if (storage === "redis") return `${redis}?prefix=${stage.keyspace()}`;
  return storage === "memory" ? "memory:" : `sqlite:${await stage.folder()}/jobs.db`;
}

function scaled(shape: Shape, of: (count: number) => number): Shape {
  const { connections = 1, queues = 1, workers = 1, backlog = 0 } = shape;
  const counts = { connections: of(connections), queues: of(queues), workers: of(workers) };
  return { ...shape, ...counts, backlog: backlog === 0 ? 0 : of(backlog) };
}

function slowFsync(ms: number | undefined): string[] {
  if (ms === undefined) return [];
  if (spawnSync("strace", ["--version"]).error) throw new Unavailable("no strace on the PATH, which makes fsync slow");
  const calls = "fsync,fdatasync";
  return [
    "strace",
    "-f",
    "-q",
    "--seccomp-bpf",
    "-o",
    "/dev/null",
    "-e",
    `trace=${calls}`,
    "-e",
    `inject=${calls}:delay_exit=${ms * 1_000}`,
  ];
}

/** What Redis was asked so far, by its own count. */
async function asked(stage: Stage, { storage }: Shape): Promise<Sample> {
  if (storage !== "redis") return {};
  const { admin } = await stage.redis();
  const info = String(await admin.info("stats", "commandstats"));
  const count = (pattern: RegExp) => Number(pattern.exec(info)?.[1] ?? 0);
  return {
    "scripts a job": count(/cmdstat_fcall:calls=(\d+)/),
    "bytes into Redis": count(/total_net_input_bytes:(\d+)/),
    "bytes out of Redis": count(/total_net_output_bytes:(\d+)/),
  };
}

function loopDelay(metrics: string): Sample {
  const seconds = /^nodejs_eventloop_lag_p99_seconds (\S+)/m.exec(metrics)?.[1];
  return seconds === undefined ? {} : { "loop p99": Number(seconds) * 1_000 };
}
