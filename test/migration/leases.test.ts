/** Long jobs, dying workers, late results, stops. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { call, requestId, type SeamWorker as Seam, SeamWorker, spec, startRig } from "../support/broker.ts";
import { Child } from "../support/processes.ts";
import { closes, gate, start } from "./rig.ts";

const LEASE_MS = 30_000;

test("L4: a late result of a worker that lost the job changes nothing, and does not end the second run", async () => {
  const rig = closes(await startRig());
  const zombie = new SeamWorker(rig.broker);
  const job = spec();
  await rig.broker.callers.enqueue(job, requestId(), call());
  await rig.clock.advance(1_000);
  const second = new SeamWorker(rig.broker);
  await aliveFor(LEASE_MS + 5_000, zombie, second);
  expect(second.deliveries).toMatchObject([{ attempt: 2 }]);

  zombie.complete(zombie.deliveries[0]!, "stale");
  await rig.clock.advance(1);
  expect(zombie.frames.flatMap((frame) => frame.settled)).toMatchObject([{ result: "lease_lost" }]);
  expect(await rig.broker.callers.getJob(job)).toMatchObject({ state: "running", attempt: 2 });

  second.complete(second.deliveries[0]!, "fresh");
  await rig.clock.advance(1);
  zombie.complete(zombie.deliveries[0]!, "stale");
  await rig.clock.advance(1);
  const { state, outcome } = await rig.broker.callers.getJob(job);
  expect(state).toBe("succeeded");
  expect(outcome).toMatchObject({ kind: "result", payload: { data: Buffer.from("fresh") } });

  async function aliveFor(ms: number, ...workers: Seam[]) {
    for (let passed = 0; passed < ms; passed += 1_000) {
      await rig.clock.advance(1_000);
      for (const worker of workers) worker.say({});
    }
  }
});

test("L5: a job that takes its worker down each time is given up", async () => {
  const rig = closes(await startRig());
  const job = spec({ maxAttempts: 1_000 });
  await rig.broker.callers.enqueue(job, requestId(), call());
  let crashes = 0;
  while ((await rig.broker.callers.getJob(job)).state !== "failed" && crashes < 20) {
    const worker = new SeamWorker(rig.broker);
    await rig.clock.advance(10);
    worker.session.linkClosed();
    await rig.clock.advance(6_000);
    crashes++;
  }
  expect(crashes).toBe(5);
  expect(await rig.broker.callers.getJob(job)).toMatchObject({ outcome: { failure: { kind: "crash_loop" } } });
});

test("L6: a job longer than its lease is run once, by one worker", async () => {
  const { queue, work } = await start({ settings: { leaseMs: 600 } });
  let runs = 0;
  const handler = async () => {
    runs++;
    await delay(1_500);
    return "long";
  };
  work(handler);
  work(handler);
  expect(await queue.enqueueAndWait("a", 1)).toBe("long");
  expect(await queue.get("a")).toMatchObject({ attempt: 1 });
  expect(runs).toBe(1);
});

test("L7: a worker that stops before its handler is done hands the job back, uncounted", async () => {
  const { queue, work, until } = await start();
  const { promise: begun, resolve: begin } = gate();
  const stopped = work((_, { signal }) => {
    begin();
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  await queue.enqueue("a", 1);
  await begun;
  await stopped.close();
  expect(await queue.get("a")).toMatchObject({ state: "queued", attempt: 0 });
  work(() => "by the next one");
  expect(await queue.wait("a")).toBe("by the next one");
  expect(await until("a", ({ outcome }) => outcome !== undefined)).toMatchObject({ attempt: 1 });
});

test("L8: jobs that a stopping worker holds and has not begun are handed back too", async () => {
  const { queue, work } = await start();
  const { promise: begun, resolve: begin } = gate();
  const { promise: end, resolve: finish } = gate();
  const ids = ["a", "b", "c", "d"];
  await Promise.all(ids.map((id) => queue.enqueue(id, 1)));
  let first = 0;
  const stopping = work(
    async () => {
      first++;
      begin();
      await end;
      return "first";
    },
    { window: 4, drainTimeout: 10_000 },
  );
  await begun;
  const closed = stopping.close();
  finish();
  await closed;
  work(() => "second");
  const results = await Promise.all(ids.map((id) => queue.wait(id)));
  expect(first).toBe(1);
  expect(results.toSorted()).toEqual(["first", "second", "second", "second"]);
});

test("L9: a delivery that never reached its worker is nobody's attempt, and goes to the next", async () => {
  const rig = closes(await startRig());
  const deaf = new SeamWorker(rig.broker);
  deaf.auto = false;
  const job = spec();
  await rig.broker.callers.enqueue(job, requestId(), call());
  await rig.clock.advance(10);
  expect(deaf.deliveries).toHaveLength(1);
  deaf.session.linkClosed();
  const next = new SeamWorker(rig.broker);
  await rig.clock.advance(10);
  expect(next.deliveries).toMatchObject([{ jobId: job.jobId, attempt: 1 }]);
});

test("L19, L20: nothing has to be running beside the broker: the next broker on the same storage takes back what was leased", async () => {
  const folder = await mkdtemp(join(tmpdir(), "queuecall-"));
  closes({ close: () => rm(folder, { recursive: true }) });
  const storage = `sqlite:${join(folder, "jobs.db")}`;

  const before = await start({ storage, clock: "manual" });
  await before.queue.enqueue("a", 1);
  const code = `
    import { createWorker } from "./worker/index.ts";
    createWorker({ url: "${before.url}" }).handle("q", (_, ctx) => new Promise(() => ctx.progress(1))).run();
  `;
  await using worker = new Child(["--input-type=module", "-e", code]);
  await before.until("a", ({ progress }) => progress !== undefined);
  await worker.kill("SIGKILL");
  await before.close();

  // Its worker never comes here, and nobody told this broker when the job was taken.
  const after = await start({ storage, clock: "manual" });
  after.work((_, { attempt }) => attempt);
  // The clock of the broker passes the usual wait in an instant; a job that starts anew takes real time.
  const result = after.queue.wait("a", { timeout: 600_000 });
  await after.waiting(1);
  expect(await after.queue.get("a")).toMatchObject({ state: "running", attempt: 1 });
  await after.advance(3 * LEASE_MS);
  expect(await result).toBe(2);
});

test("L-PG3: a worker that goes on and off while jobs arrive loses none and runs none twice", async () => {
  const { queue, work } = await start();
  const runs = new Map<string, number>();
  const worker = work(
    (_, { jobId }) => {
      runs.set(jobId, (runs.get(jobId) ?? 0) + 1);
      if (runs.size % 7 === 0) worker.pause();
      setImmediate(() => worker.resume());
    },
    { concurrency: 4 },
  );
  await Promise.all(Array.from({ length: 100 }, (_, n) => queue.enqueueAndWait(`j${n}`, n)));
  expect(runs.size).toBe(100);
  expect([...runs.values()].every((count) => count === 1)).toBe(true);
});
