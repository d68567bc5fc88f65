/** The protocol between languages: docs/protocol.md is what the other sides were written from. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createQueueClient, JobFailedError, TimeoutError } from "../../client/index.ts";
import { type BrokerServer, type BrokerSettings, createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { absent, call, ForeignWorker, type Language, Line, languages, RECEIPT_MS } from "./rig.ts";

interface Request {
  key: string;
  value?: unknown;
  ms?: number;
  fail?: number;
}
interface Response {
  value: unknown;
  runs: number;
}

let ends: AsyncDisposableStack;
beforeEach(() => {
  ends = new AsyncDisposableStack();
});
afterEach(() => ends.disposeAsync());

async function broker(settings: Partial<BrokerSettings> = {}, storage = "memory:", grpc = "127.0.0.1:0") {
  return ends.use(await createBroker({ storage, grpc, http: "off", settings }));
}

/** A storage that a broker's restart does not empty. */
function file(): string {
  const folder = mkdtempSync(join(tmpdir(), "queuecall-interop-"));
  ends.defer(() => rmSync(folder, { recursive: true }));
  return `sqlite:${join(folder, "queuecall.db")}`;
}

const foreignWorker = (language: Language, address: string) => ends.use(new ForeignWorker(language, address, "q"));

/** The class of a failure that the worker was told to have. */
const toldFailure = { Python: "ValueError", Go: "main.ToldTo" };

/** The same handler as that of `told`. */
function typescriptWorker({ grpcAddress }: BrokerServer) {
  const runs = new Map<string, number>();
  const worker = createWorker({ url: `http://${grpcAddress}`, concurrency: 4 }).handle<Request, Response>(
    "q",
    async ({ key, value, ms = 0, fail = 0 }) => {
      const run = (runs.get(key) ?? 0) + 1;
      runs.set(key, run);
      await sleep(ms);
      if (run <= fail) throw new RangeError(`failure ${run} of ${key}`);
      return { value: value ?? null, runs: run };
    },
  );
  const running = worker.run();
  ends.defer(async () => {
    await worker.close();
    await running;
  });
  return { runs: (key: string) => runs.get(key) ?? 0 };
}

function typescriptCaller({ grpcAddress }: { grpcAddress: string }) {
  return ends.use(createQueueClient({ url: `http://${grpcAddress}` })).queue<Request, Response>("q");
}

test.skip.for(absent)("%s: %s", () => {});

describe.for(languages)("a %s worker, a TypeScript caller", (language) => {
  test("results", async () => {
    const server = await broker();
    foreignWorker(language, server.grpcAddress);
    const queue = typescriptCaller(server);
    const value = { text: "Grüße, 世界", number: 1.5, list: [null, true] };
    expect(await queue.enqueueAndWait("r", { key: "r", value })).toEqual({ value, runs: 1 });
    const keys = Array.from({ length: 100 }, (_, i) => `r${i}`);
    const results = await Promise.all(keys.map((key) => queue.enqueueAndWait(key, { key, value: key })));
    expect(results).toEqual(keys.map((key) => ({ value: key, runs: 1 })));
  });

  test("large payloads and results", async () => {
    const server = await broker();
    foreignWorker(language, server.grpcAddress);
    const value = "x".repeat(1024 * 1024 - 100);
    const all = Array.from({ length: 8 }, (_, i) => `l${i}`);
    const queue = typescriptCaller(server);
    const results = await Promise.all(all.map((key) => queue.enqueueAndWait(key, { key, value })));
    expect(results.map((result) => result.value === value)).toEqual(all.map(() => true));
  });

  test("failures are tried again", async () => {
    const server = await broker();
    const worker = foreignWorker(language, server.grpcAddress);
    const queue = typescriptCaller(server);
    expect(await queue.enqueueAndWait("f", { key: "f", fail: 2 }, { maxAttempts: 3 })).toEqual({
      value: null,
      runs: 3,
    });
    const failed = await queue.enqueueAndWait("g", { key: "g", fail: 9 }, { maxAttempts: 2 }).catch((error) => error);
    expect(failed).toBeInstanceOf(JobFailedError);
    expect(failed.failure).toMatchObject({ kind: "handler", message: "failure 2 of g", type: toldFailure[language] });
    expect(worker.runs("g")).toBe(2);
  });

  test("a job longer than the lease stays the worker's, by its pongs", async () => {
    const server = await broker({ leaseMs: 600, pingIntervalMs: 300 });
    const worker = foreignWorker(language, server.grpcAddress);
    const queue = typescriptCaller(server);
    expect(await queue.enqueueAndWait("p", { key: "p", ms: 2_500 })).toEqual({ value: null, runs: 1 });
    expect(worker.runs("p")).toBe(1);
  });

  test("the stream is cut: the result comes on the next one", async () => {
    const server = await broker();
    const line = ends.use(await Line.open(server.grpcAddress));
    const worker = foreignWorker(language, line.address);
    const result = typescriptCaller(server).enqueueAndWait("c", { key: "c", ms: 1_000, value: 1 });
    await worker.began("c");
    line.cut();
    expect(await result).toEqual({ value: 1, runs: 1 });
  });

  test("the broker is restarted on the same port: the result comes there", async () => {
    const storage = file();
    const first = await broker({}, storage);
    const address = first.grpcAddress;
    const worker = foreignWorker(language, address);
    const result = typescriptCaller(first).enqueueAndWait("b", { key: "b", ms: 1_500, value: 1 });
    await worker.began("b");
    await first.close();
    await broker({}, storage, address);
    expect(await result).toEqual({ value: 1, runs: 1 });
  });

  test("the broker drains: the worker moves on", async () => {
    const storage = file();
    const first = await broker({}, storage);
    const address = first.grpcAddress;
    const worker = foreignWorker(language, address);
    const queue = typescriptCaller(first);
    const result = queue.enqueueAndWait("d", { key: "d", ms: 500, value: 1 });
    await worker.began("d");
    expect(await first.drain()).toEqual({ cut: false });
    const second = await broker({}, storage, address);
    expect(await result).toEqual({ value: 1, runs: 1 });
    expect(await typescriptCaller(second).enqueueAndWait("e", { key: "e" })).toEqual({ value: null, runs: 1 });
  });

  test("the wait is over, the outcome is fetched later", async () => {
    const server = await broker();
    const worker = foreignWorker(language, server.grpcAddress);
    const queue = typescriptCaller(server);
    await expect(queue.enqueueAndWait("t", { key: "t", ms: 800 }, { timeout: 200 })).rejects.toThrow(TimeoutError);
    expect(await queue.wait("t")).toEqual({ value: null, runs: 1 });
    expect(worker.runs("t")).toBe(1);
  });
});

/** Resolves once the job has begun to run, or never will. */
async function begun(worker: { runs(key: string): number }, key: string, answers: Promise<unknown>): Promise<void> {
  let over = false;
  const end = () => (over = true);
  answers.then(end, end);
  while (!over && worker.runs(key) === 0) await sleep(20);
  await sleep(RECEIPT_MS);
}

/** Each caller with our worker, and with that of the next language. */
const pairs = languages.flatMap((caller, i) => {
  const next = languages[(i + 1) % languages.length]!;
  return (["TypeScript", next] as const).map((worker) => [caller, worker] as const);
});

describe.for(pairs)("a %s caller, a %s worker", ([caller, language]) => {
  const start = (server: BrokerServer) =>
    language === "TypeScript" ? typescriptWorker(server) : foreignWorker(language, server.grpcAddress);

  test("results", async () => {
    const server = await broker();
    start(server);
    const value = { text: "Grüße, 世界", list: [1, null] };
    const answers = await call(
      caller,
      server.grpcAddress,
      { call: "q", data: { key: "r", value } },
      { call: "q", data: { key: "s", value }, job_id: "s", priority: 5, result_ttl: { seconds: 60 } },
      { wait: "q", job_id: "s" },
    );
    expect(answers).toEqual([1, 2, 3].map(() => ({ ok: { value, runs: 1 } })));
  });

  test("failures are tried again; the last one is the caller's", async () => {
    const server = await broker();
    const worker = start(server);
    const [tried, failed] = await call(
      caller,
      server.grpcAddress,
      { call: "q", data: { key: "f", fail: 1 } },
      { call: "q", data: { key: "g", fail: 9 }, job_id: "g", max_attempts: 2 },
    );
    expect(tried).toEqual({ ok: { value: null, runs: 2 } });
    expect(failed).toEqual({ error: "JobFailed", message: "g: failure 2 of g" });
    expect(worker.runs("g")).toBe(2);
  });

  test("the wait is over, the outcome is fetched later", async () => {
    const server = await broker();
    const worker = start(server);
    const [late, fetched] = await call(
      caller,
      server.grpcAddress,
      { call: "q", data: { key: "t", ms: 800, value: 1 }, job_id: "t", timeout: 0.2 },
      { wait: "q", job_id: "t" },
    );
    expect(late).toMatchObject({ error: "WaitTimeout", message: expect.stringMatching(/^job t is .* it goes on$/) });
    expect(fetched).toEqual({ ok: { value: 1, runs: 1 } });
    expect(worker.runs("t")).toBe(1);
  });

  test("a wait longer than the broker's longest goes on", async () => {
    const server = await broker({ maxWaitMs: 200 });
    start(server);
    const answers = await call(caller, server.grpcAddress, { call: "q", data: { key: "m", ms: 900 } });
    expect(answers).toEqual([{ ok: { value: null, runs: 1 } }]);
  });

  test("a request that is repeated is answered as the first time", async () => {
    const server = await broker();
    const worker = start(server);
    const answers = await call(
      caller,
      server.grpcAddress,
      { send: "q", job_id: "i", request: 1 },
      { wait: "q", job_id: "i" },
      { send: "q", job_id: "i", request: 1 },
      { send: "q", job_id: "i", request: 2 },
    );
    const [first, , repeated, other] = answers;
    expect([first, repeated, other]).toEqual([
      { ok: "DISPOSITION_CREATED" },
      { ok: "DISPOSITION_CREATED" },
      { ok: "DISPOSITION_CACHED" },
    ]);
    expect(worker.runs("i")).toBe(1);
  });

  test("the caller's connection is cut: it asks again", async () => {
    const server = await broker();
    const worker = start(server);
    const line = ends.use(await Line.open(server.grpcAddress));
    const answers = call(caller, line.address, { call: "q", data: { key: "c", ms: 1_500 }, job_id: "c" });
    await begun(worker, "c", answers);
    line.cut();
    expect(await answers).toEqual([{ ok: { value: null, runs: 1 } }]);
    expect(worker.runs("c")).toBe(1);
  });

  test.each(["close", "drain"] as const)("the broker's %s, and a new one on the same port", async (end) => {
    const storage = file();
    const first = await broker({}, storage);
    const address = first.grpcAddress;
    const worker = start(first);
    const answers = call(caller, address, { call: "q", data: { key: "b", ms: 1_000 }, job_id: "b" });
    await begun(worker, "b", answers);
    await first[end]();
    await broker({}, storage, address);
    expect(await answers).toEqual([{ ok: { value: null, runs: 1 } }]);
    expect(worker.runs("b")).toBe(1);
  });
});

test.runIf(languages.includes("Python"))("a Python caller stores, watches and cancels", async () => {
  const server = await broker();
  const stopped = await call(
    "Python",
    server.grpcAddress,
    { enqueue: "q", data: { key: "w" }, job_id: "w" },
    { cancel: "q", job_id: "w" },
    { watch: "q", job_id: "w" },
    { wait: "q", job_id: "w" },
    { watch: "q", job_id: "none" },
  );
  expect(stopped).toEqual([
    { ok: "w" },
    { ok: "CANCELLED" },
    { ok: ["CANCELLED"] },
    { error: "JobFailed", message: expect.stringMatching(/^w: /) },
    { refused: "NOT_FOUND", reason: "JOB_NOT_FOUND" },
  ]);
  typescriptWorker(server);
  const [, watched] = await call(
    "Python",
    server.grpcAddress,
    { enqueue: "q", data: { key: "x", ms: 300 }, job_id: "x" },
    { watch: "q", job_id: "x" },
  );
  expect(watched).toMatchObject({ ok: expect.arrayContaining(["RUNNING", "SUCCEEDED"]) });
});

describe.for(languages)("a %s caller", (caller) => {
  test("hears the reason of a refusal", async () => {
    const { grpcAddress } = await broker();
    const answers = await call(
      caller,
      grpcAddress,
      { call: "no queue", data: {} },
      { wait: "q", job_id: "missing" },
      { call: "q", data: "x".repeat(2 ** 20) },
    );
    expect(answers).toEqual([
      { refused: "INVALID_ARGUMENT", reason: "INVALID_FIELD" },
      { refused: "NOT_FOUND", reason: "JOB_NOT_FOUND" },
      { refused: "INVALID_ARGUMENT", reason: "PAYLOAD_TOO_LARGE" },
    ]);
  });

  test("does not take a missing broker for a timeout of the wait", async () => {
    const [answer] = await call(caller, "127.0.0.1:1", { call: "q", data: {}, timeout: 1 });
    expect(answer).toEqual({ refused: "UNAVAILABLE", reason: "" });
  });
});
