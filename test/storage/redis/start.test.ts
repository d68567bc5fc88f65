/** Starting on real servers: refused with one line, warned once, or waited for. */
import { describe, expect, test } from "vitest";
import { StorageRefused } from "../../../server/storage/storage.ts";
import { becomes, enqueue, freePort, redisUnavailable, serverOf, startRedis, storageOn } from "./rig.ts";

describe.skipIf(redisUnavailable)(`start on Redis${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`, () => {
  test("an untouched server: volatile, one warning with the remedy", async () => {
    const server = await serverOf();
    const warnings: string[] = [];
    const storage = await storageOn(server.url, { warn: (message) => warnings.push(message) });
    expect(storage.ready).toBe(true);
    expect(storage.info).toMatchObject({ kind: "redis", url: `${server.url}/0`, durability: "redis-volatile" });
    expect(storage.info.version).toMatch(/^(Redis|Valkey) \d+\.\d+/);
    expect(warnings.filter((each) => /appendonly no.*CONFIG SET appendonly yes/.test(each))).toHaveLength(1);
    expect(await server.admin.get("qc:schema")).toBe("2");
  });

  test.each([
    ["everysec", "redis-everysec"],
    ["always", "redis-always"],
  ])("with an append-only file, fsync %s: %s", async (fsync, durability) => {
    const server = await serverOf("--appendonly", "yes", "--appendfsync", fsync);
    expect((await storageOn(server.url)).info.durability).toBe(durability);
  });

  describe("refused, in one line", () => {
    const refusal = async (url: string, options = {}) => {
      const error = await storageOn(url, options).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(error).toBeInstanceOf(StorageRefused);
      expect((error as Error).message).not.toContain("\n");
      return (error as Error).message;
    };

    test("a replica", async () => {
      const master = await serverOf();
      const replica = await serverOf("--replicaof", "127.0.0.1", String(master.port));
      expect(await refusal(replica.url)).toMatch(/a replica found, a master required; .*REPLICAOF NO ONE/);
    });

    test("allkeys eviction", async () => {
      const server = await serverOf("--maxmemory-policy", "allkeys-lru");
      expect(await refusal(server.url)).toMatch(/allkeys-lru found, noeviction required.*CONFIG SET/);
    });

    test("a newer schema, and nothing is written", async () => {
      const server = await serverOf();
      await server.admin.set("mine:schema", "7");
      expect(await refusal(`${server.url}?prefix=mine`)).toMatch(/schema 7 found, at most 2 is known here/);
      expect(await server.admin.dbsize()).toBe(1);
    });

    test("a class below the one required", async () => {
      const server = await serverOf();
      const message = await refusal(server.url, { requireDurability: "redis-always" });
      expect(message).toMatch(/redis-volatile found, redis-always required; redis-cli CONFIG SET/);
    });

    test("a URL that is none, without repeating it", async () => {
      expect(await refusal("redis://:secret@host:port")).not.toContain("secret");
    });
  });

  test("a password is used, and never shown", async () => {
    const server = await serverOf("--requirepass", "s3cr3t/@");
    const storage = await storageOn(`redis://:${encodeURIComponent("s3cr3t/@")}@127.0.0.1:${server.port}/2?prefix=a`);
    expect(storage.ready).toBe(true);
    expect(storage.info.url).toBe(`redis://127.0.0.1:${server.port}/2`);
  });

  test("a wrong password: not ready, and the reason without the password", async () => {
    const server = await serverOf("--requirepass", "right");
    const warnings: string[] = [];
    const storage = await storageOn(`redis://:wr0ng@127.0.0.1:${server.port}`, { warn: (line) => warnings.push(line) });
    expect(storage.ready).toBe(false);
    expect(warnings.join()).toMatch(/WRONGPASS/);
    expect(warnings.join()).not.toContain("wr0ng");
  });

  test("a server that is not there yet is waited for", async () => {
    const port = await freePort();
    const warnings: string[] = [];
    const url = `redis://127.0.0.1:${port}`;
    const storage = await storageOn(url, { warn: (message) => warnings.push(message) });
    expect(storage.ready).toBe(false);
    expect(warnings.join()).toMatch(/cannot be reached \(ECONNREFUSED\)/);
    const server = await startRedis({ port });
    try {
      await becomes(storage, true);
      expect(await enqueue(storage, "a")).toMatchObject({ disposition: "created" });
    } finally {
      await server.stop();
    }
  });

  test("a condition that appears later: not ready, then ready again", async () => {
    const server = await serverOf();
    const warnings: string[] = [];
    const storage = await storageOn(server.url, { warn: (message) => warnings.push(message) });
    await server.admin.config("SET", "maxmemory-policy", "allkeys-lru");
    // Looked at on each connection, and each minute.
    await server.admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await becomes(storage, false);
    await expect.poll(() => warnings.join(), { timeout: 5_000 }).toMatch(/allkeys-lru found/);
    await expect(enqueue(storage, "a")).rejects.toMatchObject({ name: "StorageUnavailable", accepted: "no" });
    await server.admin.config("SET", "maxmemory-policy", "noeviction");
    await becomes(storage, true);
    expect(await enqueue(storage, "a")).toMatchObject({ disposition: "created" });
  });
});
