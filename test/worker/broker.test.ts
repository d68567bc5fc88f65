/** The library against real brokers over real sockets. What time decides is tested in the other files. */
import { expect, test } from "vitest";
import type { Job } from "../../gen/queuecall/v1/job_pb.js";
import { type BrokerServerOptions, createBroker } from "../../server/index.ts";
import {
  AttemptStoppedError,
  createWorker,
  NonRetryableError,
  RetryableError,
  type Worker,
  type WorkerOptions,
} from "../../worker/index.ts";
import { GrpcCaller, methods } from "../support/grpc.ts";
import { Child } from "../support/processes.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };

async function start(settings: BrokerServerOptions["settings"] = {}) {
  const broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", http: "off", settings });
  const caller = new GrpcCaller(broker.grpcAddress);
  const workers: Worker[] = [];
  return {
    broker,
    url: `http://${broker.grpcAddress}`,
    worker(options: Partial<WorkerOptions> = {}): Worker {
      const worker = createWorker({ url: `http://${broker.grpcAddress}`, logger: silent, ...options });
      workers.push(worker);
      return worker;
    },
    /** Enqueues, waits, and gives the job. */
    async run(jobId: string, value: unknown = null, spec: object = {}) {
      const payload = { data: Buffer.from(JSON.stringify(value)), contentType: "application/json" };
      const { job } = await caller.call(methods.enqueueAndWait, { spec: { queue: "q", jobId, payload, ...spec } });
      if (!job) throw new Error("no job");
      return job;
    },
    cancel: (jobId: string) => caller.call(methods.cancelJob, { queue: "q", jobId }),
    enqueue: (jobId: string) => caller.call(methods.enqueue, { spec: { queue: "q", jobId } }),
    get: (jobId: string) => caller.call(methods.getJob, { queue: "q", jobId }),
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((worker) => worker.close()));
      caller.close();
      await broker.close();
    },
  };
}

const text = ({ outcome }: Job) => (outcome.case === "result" ? Buffer.from(outcome.value.data).toString() : undefined);
const failure = ({ outcome }: Job) => (outcome.case === "failure" ? outcome.value : undefined);

test("jobs come, results go, many at a time", async () => {
  await using rig = await start();
  let now = 0;
  let most = 0;
  const worker = rig.worker({ concurrency: 8 }).handle<{ n: number }>("q", async ({ n }) => {
    most = Math.max(most, ++now);
    await new Promise(setImmediate);
    now--;
    return { square: n * n };
  });
  const running = worker.run();
  const jobs = await Promise.all(Array.from({ length: 200 }, (_, n) => rig.run(`j${n}`, { n })));
  expect(jobs.map((job) => text(job))).toEqual(Array.from({ length: 200 }, (_, n) => `{"square":${n * n}}`));
  expect(most).toBeLessThanOrEqual(8);
  await worker.close();
  await running;
});

test("failures: retried unless they are final", async () => {
  await using rig = await start();
  const worker = rig.worker().handle("q", (_p, { jobId, attempt }) => {
    if (jobId === "final") throw new NonRetryableError("gone", { code: 5 });
    if (attempt < 3) throw new RetryableError("not yet", { retryAfter: 1 });
    return attempt;
  });
  void worker.run();
  expect(text(await rig.run("third"))).toBe("3");
  expect(failure(await rig.run("final"))).toMatchObject({
    kind: 1,
    type: "NonRetryableError",
    status: { code: 5, message: "gone" },
    attempts: [{ number: 1 }],
  });
});

test("a result over the limit fails the job, and the worker goes on", async () => {
  await using rig = await start({ maxResultBytes: 100 });
  void rig
    .worker()
    .handle<number>("q", (n) => new Uint8Array(n))
    .run();
  expect(failure(await rig.run("large", 101))).toMatchObject({ kind: 5 });
  expect(failure(await rig.run("huge", 5 * 1024 * 1024))).toMatchObject({ status: { code: 11 } });
  expect((await rig.run("small", 100)).outcome.case).toBe("result");
});

test("cancel reaches the handler", async () => {
  await using rig = await start();
  const { promise: running, resolve: started } = Promise.withResolvers<void>();
  void rig
    .worker()
    .handle("q", (_p, { signal }) => {
      started();
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    })
    .run();
  const job = rig.run("a");
  await running;
  await rig.cancel("a");
  expect(failure(await job)).toMatchObject({ kind: 6 });
});

test("run_timeout stops the handler", async () => {
  await using rig = await start();
  const { promise: reason, resolve } = Promise.withResolvers<unknown>();
  void rig
    .worker({ drainTimeout: 0 })
    .handle("q", (_p, { signal }) => {
      signal.addEventListener("abort", () => resolve(signal.reason));
      return new Promise(() => {});
    })
    .run();
  const spec = { maxAttempts: 1, runTimeout: { seconds: 0n, nanos: 100_000_000 } };
  expect(failure(await rig.run("a", null, spec))).toMatchObject({ kind: 2 });
  expect(await reason).toBeInstanceOf(AttemptStoppedError);
});

test("renewals keep a job longer than its lease", async () => {
  await using rig = await start({ leaseMs: 300 });
  let runs = 0;
  void rig
    .worker()
    .handle("q", async () => {
      runs++;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    })
    .run();
  expect(await rig.run("a")).toMatchObject({ attempt: 1 });
  expect(runs).toBe(1);
});

test("drain hands back what has not started and finishes what runs", async () => {
  await using rig = await start();
  const { promise: finish, resolve: letGo } = Promise.withResolvers<void>();
  const { promise: running, resolve: started } = Promise.withResolvers<void>();
  const controller = new AbortController();
  const worker = rig.worker({ window: 2 }).handle("q", async () => {
    started();
    await finish;
    return "done";
  });
  const run = worker.run({ signal: controller.signal });
  const first = rig.run("first");
  await running;
  await rig.enqueue("second");
  controller.abort();
  letGo();
  await run;
  expect(text(await first)).toBe('"done"');
  expect((await rig.get("second")).job).toMatchObject({ state: 2, attempt: 0 });
  expect(rig.broker.stats.sessions).toBe(0);
});

test("the broker restarts its streams: no job is run twice, none is lost", async () => {
  await using rig = await start({ maxStreamAgeMs: 100 });
  let runs = 0;
  void rig
    .worker({ concurrency: 4 })
    .handle("q", async () => {
      runs++;
      await new Promise((resolve) => setTimeout(resolve, 20));
    })
    .run();
  const jobs = await Promise.all(Array.from({ length: 100 }, (_, n) => rig.run(`j${n}`)));
  expect(jobs.every(({ attempt, outcome }) => attempt === 1 && outcome.case === "result")).toBe(true);
  expect(runs).toBe(100);
});

test("a worker waits for its broker", async () => {
  const first = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", http: "off" });
  const address = first.grpcAddress;
  await first.close();
  const worker = createWorker({ url: `http://${address}`, logger: silent }).handle("q", () => "here");
  const running = worker.run();
  const broker = await createBroker({ storage: "memory:", grpc: address, http: "off" });
  const caller = new GrpcCaller(address);
  const { job } = await caller.call(methods.enqueueAndWait, { spec: { queue: "q", jobId: "a" } });
  expect(job && text(job)).toBe('"here"');
  await worker.close();
  await running;
  caller.close();
  await broker.close();
});

test("L-R13: a worker keeps its process alive until run resolves, and not longer", async () => {
  await using rig = await start();
  const code = `
    import { createWorker } from ${JSON.stringify(new URL("../../worker/index.ts", import.meta.url).href)};
    const stop = new AbortController();
    const worker = createWorker({ url: ${JSON.stringify(rig.url)} }).handle("q", () => { stop.abort(); return "bye"; });
    await worker.run({ signal: stop.signal });
    console.log("drained");
  `;
  await using child = new Child(["--input-type=module", "-e", code]);
  expect(text(await rig.run("a"))).toBe('"bye"');
  expect(await child.ended).toMatchObject({ code: 0, signal: null, stdout: "drained\n" });
});
