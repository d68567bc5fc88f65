/** What goes wrong between a broker and its server, and what the broker is told. */
import { describe, expect, test } from "vitest";
import { StorageUnavailable } from "../../../server/storage/storage.ts";
import {
  becomes,
  claim,
  completed,
  enqueue,
  key,
  LEASE,
  payload,
  QUEUE,
  redisUnavailable,
  serverOf,
  settle,
  specOf,
  storageOn,
  unique,
} from "./rig.ts";

const SECRET = "user-data-in-a-payload";

describe.skipIf(redisUnavailable)(`faults of Redis${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`, () => {
  test("L-R7: a library that the server forgot is loaded again", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await enqueue(storage, "a");
    await server.admin.call("FUNCTION", "FLUSH");
    const [job] = await claim(storage);
    await server.admin.call("FUNCTION", "FLUSH");
    expect(await settle(storage, job!, completed())).toMatchObject({ kind: "settled" });
  });

  test("a full server takes no job, but those it has can be worked off", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    for (const id of ["a", "b", "c", "d"]) await enqueue(storage, id);
    await enqueue(storage, "later", { delayMs: 10 });
    const [first, second] = await claim(storage, 2);
    await server.admin.config("SET", "maxmemory", "1");
    expect(await enqueue(storage, "e")).toEqual({ kind: "full" });
    expect(await enqueue(storage, "a", { queue: "new" })).toEqual({ kind: "full" });
    expect(await settle(storage, first!, completed("x".repeat(10_000)))).toMatchObject({ kind: "settled" });
    const items = [{ jobId: second!.jobId, leaseToken: second!.leaseToken }];
    expect(await storage.extend({ queue: QUEUE, items, mode: "renew", lane: "l1", leaseMs: LEASE })).toMatchObject([
      { kind: "ok" },
    ]);
    expect(await storage.cancel(key("d"))).toMatchObject({ kind: "ok" });
    expect(await storage.read(key("c"), "waiters")).toMatchObject({ state: "queued" });
    expect(await claim(storage)).toMatchObject([{ jobId: "c" }]);
    expect(await storage.tick({ queue: QUEUE, jitter: 0, hungryHere: true })).toMatchObject({
      changed: expect.any(Array),
    });
    await server.admin.config("SET", "maxmemory", "0");
    expect(await enqueue(storage, "e")).toMatchObject({ disposition: "created" });
  });

  test("a server that takes no functions, because it is full, is sent scripts: it can be worked off all the same", async () => {
    const server = await serverOf();
    const before = await storageOn(server.url);
    for (const id of ["a", "b"]) await enqueue(before, id);
    await server.admin.config("SET", "maxmemory", "1");
    await server.admin.call("FUNCTION", "FLUSH");
    const storage = await storageOn(server.url, { brokerId: "b2" });
    const jobs = await claim(storage, 2);
    for (const job of jobs) expect(await settle(storage, job, completed())).toMatchObject({ kind: "settled" });
    expect(jobs.map(({ jobId }) => jobId)).toEqual(["a", "b"]);
    expect(await enqueue(storage, "c")).toEqual({ kind: "full" });
    expect(await server.admin.call("FUNCTION", "LIST")).toEqual([]);
  });

  test("verbs of several queues share a call, and what is wrong with the keys of one is no harm to the others", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    const queues = ["one", "two", "three"];
    const all = (jobId: string) =>
      Promise.allSettled(queues.map((queue) => enqueue(storage, jobId, { queue }))).then((answers) =>
        answers.map((answer) => (answer.status === "rejected" ? answer.reason : answer.value.kind)),
      );
    await all("first");
    await server.admin.call("CONFIG", "RESETSTAT");
    expect(await all("second")).toEqual(["accepted", "accepted", "accepted"]);
    expect(String(await server.admin.info("commandstats"))).toContain("cmdstat_fcall:calls=1,");

    const line = (await server.admin.keys("*{two}:q"))[0]!;
    await server.admin.set(line, "no set");
    const [one, two, three] = await all("third");
    expect([one, three]).toEqual(["accepted", "accepted"]);
    expect(two).toBeInstanceOf(StorageUnavailable);
    expect((two as Error).message).toMatch(/WRONGTYPE/);
    for (const queue of ["one", "three"]) {
      expect(await storage.read({ queue, jobId: "third" })).toMatchObject({ state: "queued" });
      expect((await storage.count(queue)).jobs.queued).toBe(3);
    }
  });

  test("more calls at one time than go on the wire: each has its turn, whoever comes in between", async () => {
    const storage = await storageOn((await serverOf()).url);
    // Each a queue of its own, which needs a call before the first job and one after it.
    const answers = Array.from({ length: 4_000 }, async (_, i) => {
      const answer = await enqueue(storage, "a", { queue: `${QUEUE}-${i}` });
      return answer.kind;
    });
    expect(new Set(await Promise.all(answers))).toEqual(new Set(["accepted"]));
  });

  test("a connection that is cut is bridged", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await enqueue(storage, "a");
    await server.admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => enqueue(storage, `b${i}`)));
    expect(answers.every(({ kind }) => kind === "accepted")).toBe(true);
    expect(await storage.tick({ queue: QUEUE, jitter: 0, hungryHere: true })).toMatchObject({ queued: 51 });
  });

  test("a server that becomes a replica is read-only: not ready and unavailable, until it is a master again", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await enqueue(storage, "a");
    const shut = becomes(storage, false);
    await server.admin.call("REPLICAOF", "127.0.0.1", "1");
    const error = await enqueue(storage, "b").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(StorageUnavailable);
    await shut;
    const open = becomes(storage, true);
    await server.admin.call("REPLICAOF", "NO", "ONE");
    await open;
    expect(await enqueue(storage, "c")).toMatchObject({ kind: "accepted" });
    expect((await storage.inspect(QUEUE)).jobs.map(({ record }) => record.jobId)).toEqual(["a", "c"]);
  });

  test("a server that stops answering: unavailable by our own deadline, outcome unknown", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url, { callTimeoutMs: 300 });
    await enqueue(storage, "a");
    server.kill("SIGSTOP");
    const error = await enqueue(storage, "b", { payload: payload(SECRET) }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(StorageUnavailable);
    expect(error).toMatchObject({ accepted: "unknown" });
    server.kill("SIGCONT");
    const spec = specOf("b", { payload: payload(SECRET) });
    await expect
      .poll(() => storage.enqueue({ spec, requestId: unique(), hungryHere: true }).catch(() => "not yet"))
      .toMatchObject({ kind: "accepted" });
  });

  test("a server that dies and comes back empty: ready again, and its queues are known again", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url, { callTimeoutMs: 1_000 });
    await enqueue(storage, "a");
    server.kill("SIGKILL");
    await becomes(storage, false);
    await expect(enqueue(storage, "a")).rejects.toBeInstanceOf(StorageUnavailable);
    await server.restart();
    await becomes(storage, true);
    expect(await enqueue(storage, "a")).toMatchObject({ disposition: "created" });
    expect(await storage.queues()).toEqual({ queues: [QUEUE] });
  });

  test("what an append-only file kept is there after a kill", async () => {
    const server = await serverOf("--appendonly", "yes", "--appendfsync", "always");
    const storage = await storageOn(server.url);
    for (let i = 0; i < 20; i++) await enqueue(storage, `a${i}`);
    const before = await storage.inspect(QUEUE);
    server.kill("SIGKILL");
    await becomes(storage, false);
    await server.restart();
    await becomes(storage, true);
    expect(await storage.inspect(QUEUE)).toEqual(before);
  });

  test("data deleted by hand while connected: the queue is named anew", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await enqueue(storage, "a");
    await server.admin.flushall();
    await enqueue(storage, "b");
    expect(await storage.queues()).toEqual({ queues: [QUEUE] });
  });

  test("parts of a job deleted by hand: the job is gone, the queue goes on", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    for (const id of ["a", "b", "c"]) await enqueue(storage, id);
    await server.admin.del("qc:{q}:j:a");
    await server.admin.hdel("qc:{q}:j:b", "r");
    expect(await storage.read(key("b"))).toBeUndefined();
    expect((await claim(storage, 3)).map(({ jobId }) => jobId)).toEqual(["c"]);
    const { jobs, indexes } = await storage.inspect(QUEUE);
    expect(jobs.map(({ record }) => record.jobId)).toEqual(["c"]);
    expect(indexes.queued).toEqual([]);
  });

  test("a verb that fails behind what it stored leaves that whole, by itself and together with others", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await enqueue(storage, "before");
    await server.admin.set("qc:{q}:w", "no list of brokers");
    const waking = (jobId: string) => storage.enqueue({ spec: specOf(jobId), requestId: unique(), hungryHere: false });
    await expect(waking("a")).rejects.toBeInstanceOf(StorageUnavailable);
    const [b, c, d] = await Promise.allSettled([waking("b"), enqueue(storage, "c"), waking("d")]);
    expect([b.status, c.status, d.status]).toEqual(["rejected", "fulfilled", "rejected"]);
    const { jobs, indexes } = await storage.inspect(QUEUE);
    expect(jobs.map(({ record }) => record.jobId).sort()).toEqual(["a", "b", "before", "c", "d"]);
    expect(indexes.queued).toEqual(["before", "a", "b", "c", "d"]);
  });

  test("an error of the server says nothing of what was sent", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await server.admin.set("qc:{q}:j:a", "not a hash");
    const spec = specOf("a", { payload: payload(SECRET), headers: { h: SECRET }, method: SECRET });
    const error = await storage
      .enqueue({ spec, requestId: unique(), hungryHere: true })
      .catch((error: unknown) => error);
    expect(error).toBeInstanceOf(StorageUnavailable);
    expect((error as Error).message).toMatch(/WRONGTYPE|ERR/);
    const all = [error, (error as Error).cause].map(
      (each) => `${each} ${JSON.stringify(each)} ${(each as Error)?.stack}`,
    );
    expect(all.join()).not.toContain(SECRET);
  });

  test("a closed storage refuses at once", async () => {
    const server = await serverOf();
    const storage = await storageOn(server.url);
    await storage.close();
    expect(storage.ready).toBe(false);
    await expect(enqueue(storage, "a")).rejects.toMatchObject({ accepted: "no" });
  });
});
