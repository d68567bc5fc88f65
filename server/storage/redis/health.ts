/**
 * Whether a server can be trusted with jobs: what was found, judged by rules that need no server. Read from INFO, since
 * CONFIG is often blocked on managed servers. Reasons and sources: docs/storage.md.
 */
import { type Durability, durabilityOrder } from "../storage.ts";
import { SCHEMA_VERSION } from "./keys.ts";

export interface Facts {
  /** INFO: field → value. */
  info: ReadonlyMap<string, string>;
  /** CONFIG GET: parameter → value; empty where it is blocked. */
  config: ReadonlyMap<string, string>;
  /** The schema key; undefined: none yet. */
  schema: string | undefined;
  /** The server's clock less ours. Milliseconds. */
  clockAheadMs: number;
  /** Who is the master changes by itself here: sentinels, a cluster. */
  failsOver: boolean;
}

export interface Health {
  /** Why the server cannot be used: found, required, and what fixes it. */
  refusal?: string;
  /** It, or another in its place, will be usable by itself: wait. */
  loading: boolean;
  durability: Durability;
  /** "Redis 7.0.15". */
  version: string;
  /** What an operator should know, by a name that stays the same. */
  warnings: ReadonlyMap<string, string>;
}

const MAX_CLOCK_DIFFERENCE_MS = 1_000;

export function examine(facts: Facts, requireDurability: Durability | undefined): Health {
  const durability = durabilityOf(facts);
  const refusal = refusalOf(facts) ?? tooWeak(durability, requireDurability);
  return {
    ...(refusal && { refusal }),
    loading: facts.info.get("loading") === "1" || (facts.failsOver && facts.info.get("role") !== "master"),
    durability,
    version: versionOf(facts.info).shown,
    warnings: new Map(warningsOf(facts)),
  };
}

/** Several nodes are as good as the worst of them. */
export function worst(nodes: readonly Health[]): Health {
  const refused = nodes.find((node) => node.refusal);
  const weakest = nodes.reduce((a, b) =>
    durabilityOrder.indexOf(b.durability) < durabilityOrder.indexOf(a.durability) ? b : a,
  );
  return {
    ...weakest,
    ...(refused?.refusal && { refusal: refused.refusal }),
    loading: nodes.some((node) => node.loading),
    warnings: new Map(nodes.flatMap((node) => [...node.warnings])),
  };
}

function versionOf(info: Facts["info"]): { name: "Redis" | "Valkey"; number: string; shown: string } {
  const valkey = info.get("valkey_version");
  const name = valkey ? "Valkey" : "Redis";
  const number = valkey ?? info.get("redis_version") ?? "0";
  const cluster = info.get("cluster_enabled") === "1" ? " (cluster)" : "";
  return { name, number, shown: `${name} ${number}${cluster}` };
}

function refusalOf({ info, schema, failsOver }: Facts): string | undefined {
  const { name, number, shown } = versionOf(info);
  const [major = 0, minor = 0] = number.split(".").map(Number);
  const least = name === "Valkey" ? [7, 2] : [7, 0];
  if (major < least[0]! || (major === least[0] && minor < least[1]!)) {
    return `${shown} found, ${name} ${least.join(".")} or newer required; upgrade it, e.g. docker run -p 6379:6379 redis:7`;
  }
  if (info.get("role") !== "master" && !failsOver) {
    return `a ${info.get("role") === "slave" ? "replica" : `server of role "${info.get("role") ?? "unknown"}"`} found, a master required; use the master's address, or redis-cli REPLICAOF NO ONE`;
  }
  if (schema !== undefined && Number(schema) !== SCHEMA_VERSION) {
    return Number(schema) < SCHEMA_VERSION
      ? `data of schema ${schema} found, ${SCHEMA_VERSION} is required; use another ?prefix=, or start empty`
      : `data of schema ${Number(schema) || "unknown"} found, at most ${SCHEMA_VERSION} is known here; use a newer queuecall, or another ?prefix=`;
  }
  const policy = info.get("maxmemory_policy") ?? "";
  if (policy.startsWith("allkeys-")) {
    return `maxmemory-policy ${policy} found, noeviction required, since it deletes jobs; redis-cli CONFIG SET maxmemory-policy noeviction`;
  }
  return undefined;
}

function tooWeak(found: Durability, required: Durability | undefined): string | undefined {
  if (required === undefined || durabilityOrder.indexOf(found) >= durabilityOrder.indexOf(required)) return undefined;
  const remedy = required.startsWith("redis")
    ? `redis-cli CONFIG SET appendonly yes${required === "redis-always" ? " appendfsync always no-appendfsync-on-rewrite no" : ""}`
    : "use sqlite:, or lower --require-durability";
  return `durability class ${found} found, ${required} required; ${remedy}`;
}

function durabilityOf({ info, config }: Facts): Durability {
  if (info.get("aof_enabled") !== "1" || config.get("appendfsync") === "no") return "redis-volatile";
  // no-appendfsync-on-rewrite skips the fsync of "always" while a child runs.
  const always = config.get("appendfsync") === "always" && config.get("no-appendfsync-on-rewrite") === "no";
  return always ? "redis-always" : "redis-everysec";
}

function* warningsOf({ info, config, clockAheadMs }: Facts): Generator<[name: string, message: string]> {
  const policy = info.get("maxmemory_policy") ?? "";
  if (info.get("aof_enabled") !== "1") {
    yield ["volatile", "appendonly no: jobs are lost when Redis stops; redis-cli CONFIG SET appendonly yes"];
  } else if (config.get("appendfsync") === undefined) {
    yield ["fsync", "CONFIG is blocked, so appendfsync is unknown; taken as everysec"];
  } else if (config.get("appendfsync") === "no") {
    yield [
      "fsync",
      "appendfsync no: jobs of up to 30 s are lost with the machine; redis-cli CONFIG SET appendfsync everysec",
    ];
  }
  if (policy.startsWith("volatile-")) {
    yield [
      "eviction",
      `maxmemory-policy ${policy}: finished jobs may vanish early; redis-cli CONFIG SET maxmemory-policy noeviction`,
    ];
  }
  if (info.get("maxmemory") === "0") {
    yield ["maxmemory", "maxmemory 0: memory is bounded by the machine only; redis-cli CONFIG SET maxmemory 1gb"];
  }
  if ((config.get("timeout") ?? "0") !== "0") {
    yield ["timeout", "timeout > 0: Redis cuts idle connections; redis-cli CONFIG SET timeout 0"];
  }
  if (Math.abs(clockAheadMs) > MAX_CLOCK_DIFFERENCE_MS) {
    const direction = clockAheadMs > 0 ? "ahead of" : "behind";
    yield [
      "clock",
      `the clock of Redis is ${Math.round(Math.abs(clockAheadMs))} ms ${direction} this machine's; Redis' counts`,
    ];
  }
}
