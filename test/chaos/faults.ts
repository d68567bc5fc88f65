/** What is broken, how, and how it is mended: each fault ends healed, so that any can follow any. */
import { setTimeout as pause } from "node:timers/promises";
import type { Fault } from "../history/events.ts";
import type { Arena } from "./arena.ts";
import type { Part } from "./part.ts";
import type { Weather } from "./proxy.ts";

/** A fault as it was drawn: which of several, and how much, from 0 to 1. */
export interface Draw {
  which: number;
  much: number;
}

export interface FaultKind {
  name: string;
  /** Faults of different families may come together. */
  family: "storage" | "process" | "network";
  /** Causes it, heals it, and answers whom it struck. */
  cause(arena: Arena, draw: Draw): Promise<Struck>;
}

/** As the checker of histories wants it: whose leases it may have cost. */
export type Struck = Pick<Fault, "on" | "who">;

/** A broker that has not drained by then has failed. Kubernetes would kill it five seconds later. */
export const DRAIN_LIMIT_MS = 25_000;

const storage = (name: string, cause: (arena: Arena, draw: Draw) => Promise<unknown>): FaultKind => ({
  ...{ name, family: "storage" },
  async cause(arena, draw) {
    await cause(arena, draw);
    return { on: "storage" };
  },
});

const process = (
  name: string,
  whom: "brokers" | "workers" | "callers",
  cause: (part: Part, arena: Arena, draw: Draw) => Promise<unknown>,
): FaultKind => ({
  ...{ name, family: "process" },
  async cause(arena, draw) {
    const part = pick(arena[whom], draw.which);
    await cause(part, arena, draw);
    return { on: whom.slice(0, -1) as Fault["on"], who: part.name };
  },
});

const network = (name: string, weather: (draw: Draw) => Partial<Record<"up" | "down", Weather>>): FaultKind => ({
  ...{ name, family: "network" },
  async cause({ networks }, draw) {
    const links = Object.entries(networks).flatMap(([side, proxies]) =>
      proxies.map((proxy, i) => ({ side, i, proxy })),
    );
    const { side, i, proxy } = pick(links, draw.which);
    const { up = {}, down = {} } = weather(draw);
    proxy.set("up", up);
    proxy.set("down", down);
    await pause(between(1_000, 4_000, draw.much));
    // What was held back comes late, or never.
    if (draw.much < 0.5) proxy.cut();
    proxy.set("up", {});
    proxy.set("down", {});
    if (side === "storage") return { on: "storage" };
    return { on: "network", ...(side === "callers" && { who: `callers of b${i + 1}` }) };
  },
});

async function stopped(part: { signal(signal: NodeJS.Signals): void }, ms: number): Promise<void> {
  part.signal("SIGSTOP");
  await pause(ms);
  part.signal("SIGCONT");
}

async function killed(part: Part, awayMs: number): Promise<void> {
  await part.end("SIGKILL");
  await pause(awayMs);
  await part.start();
}

/** SIGTERM, and in time. */
async function restarted(part: Part): Promise<void> {
  const began = performance.now();
  const code = await part.end("SIGTERM");
  const ms = performance.now() - began;
  if (code !== 0) throw new Error(`${part.name} ended with ${code} after SIGTERM and ${Math.round(ms)} ms`);
  if (ms > DRAIN_LIMIT_MS) throw new Error(`${part.name} took ${Math.round(ms)} ms to drain`);
  await part.start();
}

async function repeated(times: number, everyMs: number, step: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < times; i++) {
    await step();
    await pause(everyMs);
  }
}

export const faultKinds: readonly FaultKind[] = [
  storage("redis killed and restarted", async ({ redis }, { much }) => {
    redis.master.kill("SIGKILL");
    await pause(between(0, 1_500, much));
    await redis.master.restart();
  }),
  storage("redis stopped for two leases", ({ redis, leaseMs }) =>
    stopped({ signal: (signal) => redis.master.kill(signal) }, 2 * leaseMs),
  ),
  storage("CLIENT PAUSE for two leases", async ({ redis, leaseMs }) => {
    await redis.master.admin.call("CLIENT", "PAUSE", String(2 * leaseMs), "ALL");
    await redis.master.admin.ping();
  }),
  storage("SCRIPT FLUSH", ({ redis }) => repeated(10, 100, () => redis.master.admin.script("FLUSH"))),
  storage("CLIENT KILL", ({ redis }, { much }) =>
    repeated(4, between(50, 500, much), async () => {
      for (const type of ["normal", "pubsub"]) await redis.master.admin.call("CLIENT", "KILL", "TYPE", type);
    }),
  ),
  storage("redis full", async ({ redis }, { much }) => {
    await redis.master.admin.config("SET", "maxmemory", "1mb");
    await pause(between(500, 2_500, much));
    await redis.master.admin.config("SET", "maxmemory", "0");
  }),
  storage("redis busy", async ({ redis }, { much }) => {
    const until = `local t = redis.call('TIME') local e = t[1] * 1000 + t[2] / 1000 + ${between(300, 1_500, much)}`;
    const loop = "repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > e";
    await redis.master.admin.eval(`${until} ${loop}`, 0);
  }),
  storage("planned failover", ({ redis }) => redis.failOver()),
  process("broker killed", "brokers", (part, _, { much }) => killed(part, between(0, 1_500, much))),
  process("broker stopped for two leases", "brokers", (part, { leaseMs }) => stopped(part, 2 * leaseMs)),
  {
    ...{ name: "brokers restarted one by one", family: "process" },
    async cause({ brokers }) {
      for (const broker of brokers) await restarted(broker);
      return { on: "broker" };
    },
  },
  process("worker killed", "workers", (part, _, { much }) => killed(part, between(0, 1_500, much))),
  process("worker stopped for two leases", "workers", (part, { leaseMs }) => stopped(part, 2 * leaseMs)),
  process("worker restarted", "workers", restarted),
  process("caller killed", "callers", (part) => killed(part, 0)),
  network("latency", ({ much }) => ({
    up: { latencyMs: between(5, 150, much), jitterMs: 100 },
    down: { latencyMs: between(5, 150, much), jitterMs: 100 },
  })),
  network("bandwidth", ({ much }) => ({
    up: { bytesPerSecond: between(5_000, 100_000, much) },
    down: { bytesPerSecond: between(5_000, 100_000, much) },
  })),
  network("slices", ({ much }) => ({
    up: { sliceBytes: between(1, 40, much) },
    down: { sliceBytes: between(1, 40, much) },
  })),
  network("reset at a byte of what is sent", ({ much }) => ({ up: { resetAfterBytes: between(0, 5_000, much) } })),
  network("reset at a byte of what is answered", ({ much }) => ({
    down: { resetAfterBytes: between(0, 5_000, much) },
  })),
  network("half-open: nothing arrives there", () => ({ up: { deaf: true } })),
  network("half-open: nothing comes back", () => ({ down: { deaf: true } })),
];

function pick<T>(from: readonly T[], which: number): T {
  return from[Math.floor(which * from.length)]!;
}

function between(least: number, most: number, much: number): number {
  return Math.round(least + (most - least) * much);
}
