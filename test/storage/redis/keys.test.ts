/** What is in the server: which keys, how large, how long. */
import { randomBytes, randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  becomes,
  claim,
  completed,
  enqueue,
  failed,
  key,
  payload,
  QUEUE,
  redisUnavailable,
  serverOf,
  settle,
  storageOn,
  TTL,
} from "./rig.ts";

/** After that long without a word of it, an empty queue loses its name. */
const UNUSED = 600_000;

describe.skipIf(redisUnavailable)(`keys in Redis${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`, () => {
  test("a job that lives never expires; one that ended does, an hour of grace at most after its time", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await enqueue(storage, "a", { maxAttempts: 1 });
    await enqueue(storage, "b");
    const ttls = async () => {
      const keys = (await server.admin.keys("qc:{q}:*")).sort();
      const found = await Promise.all(
        keys.map(async (each) => [each.slice(7), await server.admin.pttl(each)] as const),
      );
      return Object.fromEntries(found.map(([each, ttl]) => [each, ttl > TTL - 60_000 ? "ttl" : ttl]));
    };
    const [a] = await claim(storage);
    await storage.progress({ ...a!, progress: { current: 1, total: 2, message: "" } });
    expect(await ttls()).toMatchObject({ "j:a": -1, "j:b": -1, m: -1, q: -1, r: -1 });
    expect((await server.admin.hkeys("qc:{q}:j:a")).sort()).toEqual(["g", "p", "r"]);
    await settle(storage, a!, failed());
    expect(await ttls()).toMatchObject({ "j:a": "ttl", "j:b": -1, f: -1 });
    expect((await server.admin.hkeys("qc:{q}:j:a")).sort()).toEqual(["g", "h", "o", "p", "r"]);
    await storage.retry(key("a"), { hungryHere: true });
    expect(await ttls()).toMatchObject({ "j:a": -1 });
    expect((await server.admin.hkeys("qc:{q}:j:a")).sort()).toEqual(["p", "r"]);
  });

  test("L-R9: a result takes its payload's place, and what is forgotten leaves nothing", async () => {
    const server = await serverOf();
    let offset = 0;
    const storage = await storageOn(server.url, { clockOffsetMs: () => offset });
    await enqueue(storage, "a");
    await enqueue(storage, "b", { method: "/p.S/M", payload: payload("what it was told") });
    for (const job of await claim(storage, 2)) await settle(storage, job, completed("what it answered"));
    const left = String(Object.entries(await server.admin.hgetall("qc:{q}:j:b")));
    expect(left).toContain("/p.S/M");
    expect(left).toContain("what it answered");
    expect(left).not.toContain("what it was told");
    offset = TTL + 1;
    await storage.tick({ queue: QUEUE, jitter: 0, hungryHere: true });
    await server.admin.del(...(await server.admin.keys("qc:{q}:c:*")));
    expect(await server.admin.keys("*")).toEqual(["qc:schema"]);
  });

  test("a queued job costs at most 600 bytes over its payload", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url, { brokerId: "b1abcdef" });
    const used = async () => Number(/used_memory:(\d+)/.exec(await server.admin.info("memory"))![1]);
    // A bit below a power of two: the server is not in the middle of growing its tables.
    const JOBS = 8_000;
    const PAYLOAD = 200;
    const put = () => {
      const random = { data: randomBytes(PAYLOAD), contentType: "application/json", messageType: "" };
      const backoff = { initialMs: 100, multiplier: 2, maxMs: 30_000 };
      return enqueue(storage, randomUUID(), { payload: random, backoff, digest: randomBytes(16) });
    };
    await Promise.all(Array.from({ length: 10 }, put));
    const before = await used();
    for (let i = 0; i < JOBS; i += 500) await Promise.all(Array.from({ length: 500 }, put));
    const bytes = ((await used()) - before) / JOBS - PAYLOAD;
    expect(bytes).toBeLessThan(600);
  });

  test("what brokers announce of their workers goes once no broker is left, with all its keys", async () => {
    const server = await serverOf();
    let offset = 0;
    const one = await storageOn(server.url, { clockOffsetMs: () => offset });
    const two = await storageOn(server.url, { brokerId: "b2", clockOffsetMs: () => offset });
    const attached = { workers: 1, byQueue: new Map([["q", 1]]), listed: [] };
    await one.announce(attached, 60_000);
    await two.announce(attached, 7_000);
    const ttls = () => Promise.all(["qc:{#brokers}:b", "qc:{#brokers}:a"].map((each) => server.admin.pttl(each)));
    for (const ttl of await ttls()) expect(ttl).toBeGreaterThan(7_000);
    offset = 60_000;
    await two.announce(attached, 7_000);
    expect(await server.admin.hkeys("qc:{#brokers}:a")).toEqual(["b2"]);
    expect(await server.admin.zrange("qc:{#brokers}:b", "0", "-1")).toEqual(["b2"]);
    for (const ttl of await ttls()) expect(ttl).toBeGreaterThan(0);
    // What another version writes, or somebody's hand.
    await server.admin.hset("qc:{#brokers}:a", "b2", "{");
    expect(await one.announced()).toEqual(new Map());
  });

  /** A queue that has a name and no jobs, and two brokers; the first wrote the name. */
  async function emptyQueueOfTwo(clockOffsetMs: () => number) {
    const server = await serverOf();
    const [one, two] = await Promise.all([
      storageOn(server.url, { brokerId: "b1", clockOffsetMs }),
      storageOn(server.url, { brokerId: "b2", clockOffsetMs }),
    ]);
    await one.pause(QUEUE, true);
    await one.pause(QUEUE, false);
    return { server, one, two };
  }

  test("the name of an empty queue stays as long as somebody may have written it to use it", async () => {
    let offset = 0;
    const { two } = await emptyQueueOfTwo(() => offset);
    offset = UNUSED - 60_000;
    const looked = await two.tick({ queue: QUEUE, jitter: 0, hungryHere: true });
    expect([looked.queued, looked.gone ?? false]).toEqual([0, false]);
    expect(await two.queues()).toEqual({ queues: [QUEUE] });
    offset = UNUSED + 60_000;
    expect(await two.tick({ queue: QUEUE, jitter: 0, hungryHere: true })).toMatchObject({ gone: true });
    expect(await two.queues()).toEqual({ queues: [] });
  });

  test("a queue is not unnamed under an enqueue by whoever last wrote its name long ago", async () => {
    let offset = 0;
    const { server, one, two } = await emptyQueueOfTwo(() => offset);
    offset = UNUSED + 1_000;
    // At every moment of the enqueue, the other broker takes the queue for empty.
    for (let n = 0; n < 50; n++) {
      const [enqueued] = await Promise.all([
        enqueue(one, `j${n}`),
        two.tick({ queue: QUEUE, jitter: 0, hungryHere: true }),
        two.tick({ queue: QUEUE, jitter: 0, hungryHere: true }),
      ]);
      expect(enqueued).toMatchObject({ disposition: "created" });
      expect(await two.queues(), `after j${n}`).toEqual({ queues: [QUEUE] });
      await claim(one).then(([job]) => settle(one, job!, completed()));
      offset += TTL + UNUSED;
      await server.admin.del(...(await server.admin.keys("qc:{q}:c:*")));
      if (n % 2) await two.tick({ queue: QUEUE, jitter: 0, hungryHere: true });
    }
  });

  test("two prefixes on one server know nothing of each other", async () => {
    const server = await serverOf();
    const [one, two] = [await storageOn(server.url), await storageOn(`${server.url}?prefix=two`)];
    await enqueue(one, "a");
    expect(await two.read(key("a"))).toBeUndefined();
    expect(await two.queues()).toEqual({ queues: [] });
    await becomes(two, true);
  });
});
