/** What is broken, how, and how it is mended: each fault ends healed, so that any can follow any. */
import { setTimeout as pause } from "node:timers/promises";
import type { Fault } from "../history/events.ts";
import type { Arena } from "./arena.ts";
import type { Part } from "./part.ts";
import type { Weather } from "./proxy.ts";
import type { Servers } from "./servers.ts";

/** A fault as it was drawn: which of several, and how much, from 0 to 1. */
export interface Draw {
  which: number;
  much: number;
}

export interface FaultKind<S extends Servers = Servers> {
  name: string;
  /** Faults of different families may come together. */
  family: "storage" | "process" | "network";
  /** What is confirmed while it lasts may be lost. Nothing that was confirmed before it: until then this waits. */
  inStep?(arena: Arena<S>): Promise<unknown>;
  /** Causes it, heals it, and answers whom it struck. */
  cause(arena: Arena<S>, draw: Draw): Promise<Struck>;
}

/** As the checker of histories wants it: whose leases it may have cost. */
export type Struck = Pick<Fault, "on" | "who">;

/** A broker that has not drained by then has failed. Kubernetes would kill it five seconds later. */
export const DRAIN_LIMIT_MS = 25_000;

export const storageFault = <S extends Servers>(
  name: string,
  cause: (servers: S, draw: Draw, leaseMs: number) => Promise<unknown>,
): FaultKind<S> => ({
  ...{ name, family: "storage" },
  async cause({ servers, leaseMs }, draw) {
    await cause(servers, draw, leaseMs);
    return { on: "storage" };
  },
});

const process = (
  name: string,
  whom: "brokers" | "workers" | "callers",
  cause: (part: Part, arena: Arena<Servers>, draw: Draw) => Promise<unknown>,
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

/** A failover to a replica that may not have all: the price of asynchronous replication. */
export const failover = <S extends Servers & { inStep(): Promise<void> }>(
  name: string,
  cause: (servers: S, draw: Draw, leaseMs: number) => Promise<unknown>,
): FaultKind<S> => ({ ...storageFault(name, cause), inStep: ({ servers }) => servers.inStep() });

/** SIGSTOP, and SIGCONT after a while. */
export async function stopped(part: { signal(signal: NodeJS.Signals): void }, ms: number): Promise<void> {
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

export async function repeated(times: number, everyMs: number, step: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < times; i++) {
    await step();
    await pause(everyMs);
  }
}

export const rollingRestart: FaultKind = {
  ...{ name: "brokers restarted one by one", family: "process" },
  async cause({ brokers }) {
    for (const broker of brokers) await restarted(broker);
    return { on: "broker" };
  },
};

/** What can happen to any run. */
export const faultKinds: readonly FaultKind[] = [
  process("kill", "brokers", (part, _, { much }) => killed(part, between(0, 1_500, much))),
  process("stop for two leases", "brokers", (part, { leaseMs }) => stopped(part, 2 * leaseMs)),
  rollingRestart,
  process("kill", "workers", (part, _, { much }) => killed(part, between(0, 1_500, much))),
  process("stop for two leases", "workers", (part, { leaseMs }) => stopped(part, 2 * leaseMs)),
  process("restart", "workers", restarted),
  process("kill", "callers", (part) => killed(part, 0)),
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

/** A whole number. */
export function between(least: number, most: number, much: number): number {
  return Math.round(least + (most - least) * much);
}
