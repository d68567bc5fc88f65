/** `queuecall fsck`: quiet about what is sound, exact about what is not. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../protocol/clock.ts";
import { openStorage } from "../../server/storage/open.ts";
import type { Storage } from "../../server/storage/storage.ts";
import {
  claim,
  completed,
  enqueue,
  failed,
  redisUnavailable,
  serverOf,
  settle,
  storageOn,
} from "../storage/redis/rig.ts";
import { command } from "../support/command.ts";

async function fsck(url: string): Promise<{ code: number; findings: Record<string, unknown>[]; stderr: string }> {
  const { code, stdout, stderr } = await command(["fsck", "--storage", url]);
  const lines = stdout.split("\n").filter((line) => line !== "");
  return { code, findings: lines.map((line) => JSON.parse(line)), stderr };
}

/** The first field of a record is its state. */
const QUEUED_AGAIN = `
local record = { cmsgpack.unpack(redis.call('HGET', KEYS[1], 'r')) }
record[1] = 'queued'
redis.call('HSET', KEYS[1], 'r', cmsgpack.pack(unpack(record)))`;

/** One job in each state but CANCELLED, by its first letter; d is done. */
async function fill(storage: Storage): Promise<void> {
  await enqueue(storage, "s", { delayMs: 3_600_000 });
  for (const id of ["d", "f", "r", "q"]) await enqueue(storage, id);
  const [d, f] = await claim(storage, 3);
  await settle(storage, d!, completed());
  await settle(storage, f!, failed({ retryable: false }));
}

describe.skipIf(redisUnavailable)(`on Redis${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`, () => {
  test("sound, also while brokers have it open", async () => {
    const server = await serverOf();
    await fill(await storageOn(server.url));
    expect(await fsck(server.url)).toEqual({ code: 0, findings: [], stderr: "queues: 1, jobs: 5, findings: 0\n" });
  });

  test("what was damaged is named, and left as it is", async () => {
    const server = await serverOf();
    await fill(await storageOn(server.url));
    const { admin } = server;
    await admin.zadd("qc:{q}:q", 1, "ghost");
    await admin.zadd("qc:{q}:s", 1, "q");
    await admin.hdel("qc:{q}:j:s", "r");
    await admin.eval(QUEUED_AGAIN, 1, "qc:{q}:j:f");
    await admin.zrem("qc:{q}:r", "r");
    const { code, findings, stderr } = await fsck(server.url);
    const told = findings.map(({ problem, jobId, index, detail }) =>
      [problem, jobId, index, detail].filter((each) => each !== undefined).join(" · "),
    );
    expect(told.sort()).toEqual([
      "impossible record · f · end time, expire time, failure kind",
      "in a wrong index · f · failed",
      "in a wrong index · f · finished",
      "in a wrong index · q · scheduled",
      "no such job · ghost · queued",
      "no such job · s · scheduled",
      "not in its index · f · queued",
      "not in its index · r · running",
      "part of no job · qc:{q}:j:s",
    ]);
    expect([code, stderr]).toEqual([1, "queues: 1, jobs: 4, findings: 9\n"]);
    expect((await fsck(server.url)).findings).toEqual(findings);
  });

  test("a queue that nobody names, and keys that hold something else", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await fill(storage);
    await enqueue(storage, "lost", { queue: "unnamed" });
    const { admin } = server;
    for (const key of await admin.keys("qc:queues:*")) await admin.zrem(key, "unnamed");
    await admin.multi().del("qc:{q}:b").set("qc:{q}:b", "text").exec();
    await admin.multi().del("qc:{q}:j:q").rpush("qc:{q}:j:q", "x").exec();
    await admin.multi().del("qc:{q}:f").set("qc:{q}:f", "x").exec();
    await admin.hset("qc:{#brokers}:b", "x", 1);
    const [ofQ] = await admin.keys("qc:queues:*");
    await admin.multi().del(ofQ!).set(ofQ!, "x").exec();
    const { code, findings, stderr } = await fsck(server.url);
    expect(findings).toEqual([
      { queue: "q", problem: "not named" },
      { queue: "unnamed", problem: "not named" },
      { problem: "wrong type", detail: `${ofQ} is a string, a zset belongs there` },
      { problem: "wrong type", detail: "qc:{#brokers}:b is a hash, a zset belongs there" },
      { queue: "q", problem: "wrong type", detail: "qc:{q}:b is a string, a zset belongs there" },
      { queue: "q", problem: "wrong type", detail: "qc:{q}:f is a string, a zset belongs there" },
      { queue: "q", problem: "wrong type", detail: "qc:{q}:j:q is a list, a hash belongs there" },
      expect.objectContaining({ queue: "q", problem: "no such job", jobId: "q", index: "queued" }),
      expect.objectContaining({ queue: "q", problem: "not in its index", jobId: "d", index: "finished" }),
      expect.objectContaining({ queue: "q", problem: "not in its index", jobId: "f", index: "finished" }),
      expect.objectContaining({ queue: "q", problem: "wrong count of bytes" }),
    ]);
    expect([code, stderr]).toEqual([1, "queues: 2, jobs: 5, findings: 11\n"]);
  });

  test("a count of bytes that is not what the jobs have; mended once the queue is empty", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await enqueue(storage, "a");
    await server.admin.hincrby("qc:{q}:m", "b", 1_000);
    const detail = expect.stringMatching(/^counted 10\d\d, unfinished jobs have \d\d$/);
    expect((await fsck(server.url)).findings).toEqual([{ queue: "q", problem: "wrong count of bytes", detail }]);
    const [job] = await claim(storage);
    await settle(storage, job!, completed());
    await storage.tick({ queue: "q", jitter: 0, hungryHere: true });
    expect((await fsck(server.url)).findings).toEqual([]);
  });
});

describe("on SQLite", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "queuecall-fsck-"));
    path = join(folder, "jobs.db");
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const open = () => openStorage(`sqlite:${path}`, { brokerId: "b1", clock: systemClock, warn: () => {} });

  test("sound; but not to be had while a broker holds the file", async () => {
    const storage = await open();
    await fill(storage);
    const held = await fsck(`sqlite:${path}`);
    expect([held.code, held.findings]).toEqual([78, []]);
    expect(held.stderr).toMatch(/^queuecall: .*in use by another process.*stop the broker that holds it.*\n$/);
    await storage.close();
    expect(await fsck(`sqlite:${path}`)).toEqual({
      code: 0,
      findings: [],
      stderr: "queues: 1, jobs: 5, findings: 0\n",
    });
  });

  test("what was damaged is named, parts without a job once", async () => {
    const storage = await open();
    await fill(storage);
    await enqueue(storage, "elsewhere", { queue: "other" });
    await storage.close();
    const db = new DatabaseSync(path);
    db.exec(`UPDATE jobs SET state = 'banana' WHERE job_id = 's';
      UPDATE jobs SET state = 'queued' WHERE job_id = 'r';
      DELETE FROM specs WHERE id = (SELECT id FROM jobs WHERE job_id = 'q');
      INSERT INTO results (id, payload) VALUES (999, x'00');`);
    db.close();
    const { code, findings } = await fsck(`sqlite:${path}`);
    expect(code).toBe(1);
    expect(findings).toEqual([
      expect.objectContaining({ problem: "impossible record", jobId: "q", detail: "payload" }),
      expect.objectContaining({ problem: "impossible record", jobId: "r", detail: "lease token, end of lease, owner" }),
      expect.objectContaining({ problem: "impossible record", jobId: "s", state: "banana", detail: "state" }),
      { problem: "part of no job", detail: "results 999" },
    ]);
  });
});
