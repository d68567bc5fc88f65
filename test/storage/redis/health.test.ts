/** Which servers are refused, which are warned about: the rules, without a server. */
import { describe, expect, test } from "vitest";
import { examine, type Facts } from "../../../server/storage/redis/health.ts";
import type { Durability } from "../../../server/storage/storage.ts";

const info = {
  redis_version: "7.0.15",
  role: "master",
  loading: "0",
  aof_enabled: "1",
  maxmemory: "1000000000",
  maxmemory_policy: "noeviction",
};
const config = { appendfsync: "everysec", "no-appendfsync-on-rewrite": "no", timeout: "0" };

interface Found {
  info?: Record<string, string>;
  config?: Record<string, string> | null;
  schema?: string;
  clockAheadMs?: number;
  failsOver?: boolean;
}

function health(found: Found = {}, required?: Durability) {
  const facts: Facts = {
    info: new Map(Object.entries({ ...info, ...found.info })),
    config: new Map(found.config === null ? [] : Object.entries({ ...config, ...found.config })),
    schema: found.schema,
    clockAheadMs: found.clockAheadMs ?? 0,
    failsOver: found.failsOver ?? false,
  };
  return examine(facts, required);
}

test("nothing to say of a server in order", () => {
  expect(health()).toEqual({
    durability: "redis-everysec",
    loading: false,
    version: "Redis 7.0.15",
    warnings: new Map(),
  });
});

test("a replica is waited for where another will be the master: it was one a moment ago", () => {
  expect(health({ info: { role: "slave" }, failsOver: true })).toMatchObject({ loading: true });
  expect(health({ info: { role: "slave" }, failsOver: true }).refusal).toBeUndefined();
  expect(health({ failsOver: true }).loading).toBe(false);
});

describe("refused", () => {
  test.each([
    ["Redis 6", { info: { redis_version: "6.2.14" } }, /Redis 6\.2\.14 found, Redis 7\.0 or newer required/],
    ["Valkey 7.1", { info: { valkey_version: "7.1.0" } }, /Valkey 7\.1\.0 found, Valkey 7\.2 or newer required/],
    ["a replica", { info: { role: "slave" } }, /a replica found, a master required/],
    ["a newer schema", { schema: "3" }, /schema 3 found, at most 2 is known here/],
    ["a schema of before the first release", { schema: "1" }, /schema 1 found, 2 is required/],
    ["a strange schema", { schema: "x" }, /schema unknown found/],
    ["allkeys eviction", { info: { maxmemory_policy: "allkeys-lru" } }, /allkeys-lru found, noeviction required/],
  ])("%s", (_name, found, message) => {
    expect(health(found).refusal).toMatch(message);
  });

  test.each<[Found, Durability]>([
    [{ info: { aof_enabled: "0" } }, "redis-everysec"],
    [{ config: { appendfsync: "no" } }, "redis-everysec"],
    [{}, "redis-always"],
    [{ config: { appendfsync: "always", "no-appendfsync-on-rewrite": "yes" } }, "redis-always"],
    [{ config: null }, "redis-always"],
  ])("a class below the one required", (found, required) => {
    expect(health(found, required).refusal).toMatch(/durability class \S+ found, \S+ required; redis-cli CONFIG SET/);
  });

  test.each<[Found, Durability]>([
    [{}, "redis-everysec"],
    [{}, "redis-volatile"],
    [{ config: { appendfsync: "always" } }, "redis-always"],
    [{ config: null }, "redis-everysec"],
  ])("not: the class required, or better", (found, required) => {
    expect(health(found, required).refusal).toBeUndefined();
  });

  test("not: Valkey 7.2, Redis 8, an older schema", () => {
    expect(health({ info: { valkey_version: "7.2.4", redis_version: "7.2.4" } }).version).toBe("Valkey 7.2.4");
    expect(health({ info: { redis_version: "8.0.0" }, schema: "2" }).refusal).toBeUndefined();
  });
});

test.each<[string, Found]>([
  ["volatile", { info: { aof_enabled: "0" } }],
  ["eviction", { info: { maxmemory_policy: "volatile-lru" } }],
  ["maxmemory", { info: { maxmemory: "0" } }],
  ["timeout", { config: { timeout: "60" } }],
  ["clock", { clockAheadMs: -1_500 }],
  ["fsync", { config: null }],
  ["fsync", { config: { appendfsync: "no" } }],
])("warned: %s", (name, found) => {
  expect([...health(found).warnings.keys()]).toEqual([name]);
});
