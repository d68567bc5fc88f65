/** The ratios that queuecall sets out to reach. */
import { echo, unaryWaiting } from "../systems/grpc.ts";
import { addBulk, nats, onRedis, rabbitmq } from "../systems/peers.ts";
import { draining, enqueuing, held, queuedMemory, waiting } from "../systems/queuecall.ts";
import type { Scenario } from "./scenario.ts";

const redis = { storage: "redis" } as const;
const sqlite = { storage: "sqlite" } as const;
const DEEP = 1_000_000;

/** Callers that are always ahead of the backlog: more of them than handlers. */
const pressed = { ...redis, concurrency: 16, priority: 10 };

export const goals: Scenario[] = [
  {
    name: "c64",
    title: "enqueue and wait, 64 calls in flight",
    how: "one caller, one worker with 64 handlers that return what they got; Redis without persistence, sqlite with a full fsync before every answer",
    contenders: {
      queuecall: waiting(redis, 64),
      "queuecall sqlite": waiting(sqlite, 64),
      "@platformatic/job-queue": onRedis("platformatic.mjs", { inFlight: 64 }),
      bullmq: onRedis("bullmq.mjs", { inFlight: 64 }),
    },
    ratios: [
      { figure: "rate", of: "queuecall", over: "@platformatic/job-queue", atLeast: 4 },
      { figure: "rate", of: "queuecall", over: "bullmq", atLeast: 7 },
      { figure: "rate", of: "queuecall sqlite", over: "queuecall", atLeast: 0.9 },
      { figure: "loop p99", of: "queuecall", atMost: 20 },
      { figure: "loop p99", of: "queuecall sqlite", atMost: 20 },
    ],
    figures: ["rate", "p50", "p99", "loop p99"],
  },
  {
    name: "c1",
    title: "enqueue and wait, one call after the other",
    how: "as c64",
    contenders: {
      queuecall: waiting(redis, 1),
      "queuecall sqlite": waiting(sqlite, 1),
      "@platformatic/job-queue": onRedis("platformatic.mjs", { inFlight: 1 }),
      bullmq: onRedis("bullmq.mjs", { inFlight: 1 }),
    },
    ratios: [{ figure: "p50", of: "queuecall", over: "@platformatic/job-queue", atMost: 0.7 }],
  },
  {
    name: "unary",
    title: "EnqueueAndWait as ordinary unary gRPC, 64 calls in flight",
    how: "caller on @grpc/grpc-js, one HTTP/2 request a call; the floor is a bare unary echo, grpc-js on both sides, without queue, worker or storage",
    contenders: { "queuecall unary": unaryWaiting(redis, { inFlight: 64 }), "bare echo": echo({ inFlight: 64 }) },
    ratios: [{ figure: "rate", of: "queuecall unary", over: "bare echo", atLeast: 0.6 }],
  },
  {
    name: "enqueue",
    title: "fire and forget: jobs stored a second",
    how: "queuecall: enqueue() with 1,000 in flight, which the client sends in batches; bullmq: addBulk of 250 jobs, 4 in flight. Answered once stored; no worker",
    contenders: { queuecall: enqueuing(redis, 1_000), "bullmq addBulk": addBulk({ inFlight: 4, batch: 250 }) },
    ratios: [{ figure: "rate", of: "queuecall", over: "bullmq addBulk", atLeast: 2 }],
  },
  {
    name: "drain",
    title: "drain rate with a million jobs behind",
    how: "a worker with 64 handlers takes 20,000 jobs from the front of the line; empty: there are no others; deep: a million more are in line",
    contenders: { deep: draining({ ...redis, backlog: DEEP }, 20_000), empty: draining(redis, 20_000) },
    figures: ["rate"],
    ratios: [{ figure: "rate", of: "deep", over: "empty", atLeast: 0.9 }],
  },
  {
    name: "priority",
    title: "high-priority calls over a low-priority backlog of a million jobs",
    how: "enqueue and wait, 64 calls in flight at priority 10, a worker with 16 handlers, so that the backlog never gets its turn",
    contenders: { deep: waiting({ ...pressed, backlog: DEEP }, 64), empty: waiting(pressed, 64) },
    ratios: [{ figure: "rate", of: "deep", over: "empty", atLeast: 0.9 }],
  },
  {
    name: "memory",
    title: "Redis memory of a job in line, over its payload of 200 bytes",
    how: "used_memory before and after 100,000 enqueues",
    contenders: { queuecall: queuedMemory(redis, 100_000) },
    figures: ["bytes per job"],
    ratios: [{ figure: "bytes per job", of: "queuecall", atMost: 600 }],
  },
  {
    name: "held",
    title: "memory of the broker for each of what it holds",
    how: "heap and buffers after a collection, before and after 3,000 of each, on 10 connections; a broker of their own, and Redis",
    contenders: {
      "multiplexed wait": held("multiplexedWaits", 3_000),
      "idle worker stream": held("workers", 3_000),
      watcher: held("watchers", 3_000),
      "unary wait": held("waits", 3_000),
    },
    figures: ["KiB each"],
    ratios: [
      { figure: "KiB each", of: "multiplexed wait", atMost: 2 },
      { figure: "KiB each", of: "idle worker stream", atMost: 100 },
      { figure: "KiB each", of: "watcher", atMost: 20 },
    ],
  },
];

/** Beside peers that have to be installed first. */
export const installed: Scenario[] = [
  {
    name: "nats",
    title: "enqueue and wait, 64 calls in flight, beside NATS and RabbitMQ",
    how: "NATS request/reply stores nothing; RabbitMQ: durable queue, persistent messages, direct reply-to, prefetch 64",
    contenders: {
      queuecall: waiting(redis, 64),
      nats: nats({ inFlight: 64 }),
      rabbitmq: rabbitmq({ inFlight: 64 }),
    },
    ratios: [
      { figure: "rate", of: "queuecall", over: "nats", atLeast: 1 },
      { figure: "rate", of: "queuecall", over: "rabbitmq" },
    ],
  },
];
