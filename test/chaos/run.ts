/**
 * Real processes under faults, and what came of it: docs/testing.md. Exit code 1 if a promise was broken, with the
 * history of the job; 64 for wrong usage.
 */
import { parseArgs } from "node:util";
import { DEFAULT_LEASE_MS } from "../../protocol/limits.ts";
import type { Limits } from "../history/check.ts";
import { randomOf } from "../storage/histories.ts";
import { fight } from "./battle.ts";
import { ClusterServers, clusterFaults } from "./cluster.ts";
import { type FaultKind, faultKinds, rollingRestart } from "./faults.ts";
import { pairFaults, RedisPair } from "./redis-pair.ts";
import { report } from "./report.ts";
import { schedule } from "./schedule.ts";
import { SentinelServers, sentinelFaults } from "./sentinel.ts";
import type { Servers } from "./servers.ts";

const USAGE =
  "usage: npm run chaos -- [--seed N] [--minutes M | --seconds S] · npm run chaos:restarts -- [--seed N] [--rounds N]";
const LEASE_MS = 2_000;
/** Real clocks and a busy machine: what is late by less proves nothing. */
const limits: Limits = { leaseMs: LEASE_MS, toleranceMs: 5, lateMs: 2_000, sweepMs: 2_000 };
const say = (line: string) => console.log(line);

interface Order {
  seed: number;
  ms: number;
  rounds: number;
}

/** Every fault there is, in an order of the seed's. */
async function chaos<S extends Servers>(
  { seed, ms }: Order,
  servers: (brokers: number) => Promise<S>,
  kinds: readonly FaultKind<S>[],
): Promise<number> {
  const steps = schedule([...kinds, ...faultKinds], randomOf(seed));
  return report(await fight({ seed, servers, leaseMs: LEASE_MS, steps, ms, say }), limits);
}

/** Brokers with the settings that they have by themselves, restarted one after the other, again and again; nobody may notice. */
async function restarts({ seed, rounds }: Order): Promise<number> {
  const steps = Array.from({ length: rounds }, () => ({
    blows: [{ kind: rollingRestart, which: 0, much: 0 }],
    peaceMs: 0,
  }));
  const aftermath = await fight({ seed, servers: RedisPair.start, steps, say });
  return report(aftermath, { ...limits, leaseMs: DEFAULT_LEASE_MS }, { strictly: true });
}

const kinds: Record<string, (order: Order) => Promise<number>> = {
  redis: (order) => chaos(order, RedisPair.start, pairFaults),
  sentinel: (order) => chaos(order, SentinelServers.start, sentinelFaults),
  cluster: (order) => chaos(order, ClusterServers.start, clusterFaults),
  restarts,
};

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
// Whatever is still open by then, a proxied connection or a timer, has no more to say.
process.exit(await main());

async function main(): Promise<number> {
  const texts = { seed: { type: "string" }, minutes: { type: "string" }, seconds: { type: "string" } } as const;
  const options = { ...texts, rounds: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const run = kinds[positionals[0] ?? "redis"];
  const seed = Number(values.seed ?? 1);
  const ms = 1_000 * Number(values.seconds ?? Number(values.minutes ?? 1) * 60);
  const rounds = Number(values.rounds ?? 50);
  if (!run || !Number.isSafeInteger(seed) || !(ms > 0) || !Number.isSafeInteger(rounds)) {
    console.error(USAGE);
    return 64;
  }
  console.log(`seed ${seed}`);
  const wrong = await run({ seed, ms, rounds });
  console.log(wrong === 0 ? `seed ${seed}: every promise kept` : `seed ${seed}: ${wrong} broken`);
  return wrong === 0 ? 0 : 1;
}
