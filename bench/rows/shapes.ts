/** Loads of other shapes than the usual one. */
import { onRedis } from "../systems/peers.ts";
import { spread, waiting } from "../systems/queuecall.ts";
import type { Scenario } from "./scenario.ts";

const redis = { storage: "redis" } as const;

export const shapes: Scenario[] = [
  {
    name: "c512",
    title: "enqueue and wait, 512 calls in flight",
    how: "as c64, 512 handlers",
    contenders: {
      queuecall: waiting({ ...redis, concurrency: 512 }, 512),
      "queuecall sqlite": waiting({ storage: "sqlite", concurrency: 512 }, 512),
      "@platformatic/job-queue": onRedis("platformatic.mjs", { inFlight: 512, concurrency: 512 }),
      bullmq: onRedis("bullmq.mjs", { inFlight: 512, concurrency: 512 }),
    },
    figures: ["rate", "p50", "p99", "loop p99"],
    ratios: [
      { figure: "rate", of: "queuecall", over: "@platformatic/job-queue" },
      { figure: "rate", of: "queuecall", over: "bullmq" },
    ],
  },
  {
    name: "paths",
    title: "by path: worker at the same broker or at another one, multiplexed or unary callers",
    how: "as c64; unary: the TypeScript client with mode unary",
    contenders: {
      "same broker": waiting(redis, 64),
      "other broker": waiting({ ...redis, apart: true }, 64),
      unary: waiting({ ...redis, mode: "unary" }, 64),
      memory: waiting({ storage: "memory" }, 64),
    },
    figures: ["rate", "p50", "p99", "scripts a job", "bytes into Redis", "bytes out of Redis"],
  },
  {
    name: "large",
    title: "large payloads, both ways",
    how: "as c64; 100 KB with 64, 1 MB with 8 calls in flight",
    contenders: {
      "100 KB": waiting({ ...redis, bytes: 100_000 }, 64),
      "100 KB @platformatic/job-queue": onRedis("platformatic.mjs", { inFlight: 64, bytes: 100_000 }),
      "100 KB bullmq": onRedis("bullmq.mjs", { inFlight: 64, bytes: 100_000 }),
      "1 MB": waiting({ ...redis, bytes: 1_000_000 }, 8),
      "1 MB @platformatic/job-queue": onRedis("platformatic.mjs", { inFlight: 8, bytes: 1_000_000 }),
      "1 MB bullmq": onRedis("bullmq.mjs", { inFlight: 8, bytes: 1_000_000 }),
    },
    figures: ["rate", "p50", "p99"],
    ratios: [
      { figure: "rate", of: "100 KB", over: "100 KB @platformatic/job-queue" },
      { figure: "rate", of: "100 KB", over: "100 KB bullmq" },
      { figure: "rate", of: "1 MB", over: "1 MB @platformatic/job-queue" },
      { figure: "rate", of: "1 MB", over: "1 MB bullmq" },
    ],
  },
  {
    name: "handlers",
    title: "handlers that take their time: 100 of them, 200 calls in flight",
    how: "one worker with 100 handlers; streams: 100 worker streams with one handler each, as of 100 processes",
    contenders: {
      "1 ms": waiting({ ...redis, concurrency: 100, handlerMs: 1 }, 200),
      "1 ms, 100 streams": waiting({ ...redis, workers: 100, concurrency: 1, handlerMs: 1 }, 200),
      "1 ms @platformatic/job-queue": onRedis("platformatic.mjs", { inFlight: 200, concurrency: 100, handlerMs: 1 }),
      "1 ms bullmq": onRedis("bullmq.mjs", { inFlight: 200, concurrency: 100, handlerMs: 1 }),
      "50 ms": waiting({ ...redis, concurrency: 100, handlerMs: 50 }, 200),
      "50 ms, 100 streams": waiting({ ...redis, workers: 100, concurrency: 1, handlerMs: 50 }, 200),
      "50 ms @platformatic/job-queue": onRedis("platformatic.mjs", { inFlight: 200, concurrency: 100, handlerMs: 50 }),
      "50 ms bullmq": onRedis("bullmq.mjs", { inFlight: 200, concurrency: 100, handlerMs: 50 }),
    },
    ratios: [
      { figure: "rate", of: "1 ms", over: "1 ms @platformatic/job-queue" },
      { figure: "rate", of: "1 ms", over: "1 ms bullmq" },
      { figure: "rate", of: "50 ms", over: "50 ms @platformatic/job-queue" },
      { figure: "rate", of: "50 ms", over: "50 ms bullmq" },
    ],
  },
  {
    name: "queues",
    title: "1,000 queues beside one",
    how: "calls go round over the queues; one worker takes them all; 64 in flight",
    contenders: { "1,000 queues": waiting({ ...redis, queues: 1_000 }, 64), "1 queue": waiting(redis, 64) },
    ratios: [{ figure: "rate", of: "1,000 queues", over: "1 queue" }],
  },
  {
    name: "brokers",
    title: "two brokers on this machine beside one",
    how: "the same 64 calls in flight over two brokers of one Redis, each with a caller and a worker of its own",
    contenders: { "2 brokers": spread(redis, 64, 2), "1 broker": waiting(redis, 64) },
    ratios: [{ figure: "rate", of: "2 brokers", over: "1 broker" }],
  },
  {
    name: "fan-in",
    title: "1,000 connections beside one",
    how: "1,000 clients with a connection each, one call each in flight, against one client with 1,000 calls in flight",
    contenders: {
      "1,000 connections": waiting({ ...redis, connections: 1_000, concurrency: 512 }, 1_000),
      "1 connection": waiting({ ...redis, concurrency: 512 }, 1_000),
    },
    figures: ["rate", "p50", "p99", "loop p99"],
    ratios: [{ figure: "rate", of: "1,000 connections", over: "1 connection" }],
  },
  {
    name: "aof-everysec",
    title: "Redis with appendonly, fsync every second",
    how: "as c64, all on one Redis with --appendonly yes --appendfsync everysec",
    contenders: onAof("everysec"),
    ratios: [{ figure: "rate", of: "queuecall", over: "@platformatic/job-queue" }],
  },
  {
    name: "aof-always",
    title: "Redis with appendonly, fsync before every answer",
    how: "as c64, all on one Redis with --appendonly yes --appendfsync always",
    contenders: onAof("always"),
    ratios: [{ figure: "rate", of: "queuecall", over: "@platformatic/job-queue" }],
  },
  {
    name: "slow-disk",
    title: "sqlite on a disk whose fsync takes 5 ms more",
    how: "as c64; strace delays each fsync and fdatasync of the broker by 5 ms",
    contenders: {
      "slow disk": waiting({ storage: "sqlite", fsyncMs: 5 }, 64),
      "this disk": waiting({ storage: "sqlite" }, 64),
    },
    figures: ["rate", "p50", "p99", "loop p99"],
    ratios: [{ figure: "rate", of: "slow disk", over: "this disk" }],
  },
];

function onAof(fsync: string): Scenario["contenders"] {
  const redisArgs = ["--appendonly", "yes", "--appendfsync", fsync];
  return {
    queuecall: waiting({ ...redis, redisArgs }, 64),
    "@platformatic/job-queue": onRedis("platformatic.mjs", { inFlight: 64 }),
    bullmq: onRedis("bullmq.mjs", { inFlight: 64 }),
  };
}
