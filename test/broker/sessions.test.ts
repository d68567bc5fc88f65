/** Worker streams at the frame seam, on virtual time: windows, receipts, leases, silence, age. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CallError } from "../../protocol/errors.ts";
import type { Job } from "../../server/job/job.ts";
import { type Storage, StorageUnavailable } from "../../server/storage/storage.ts";
import { call, type Rig, replaced, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";

let rig: Rig;
beforeEach(async () => {
  rig = await startRig();
});
afterEach(() => rig.close());

const enqueue = async (count: number, queue = "q"): Promise<string[]> => {
  const jobs = Array.from({ length: count }, () => spec({ queue }));
  for (const job of jobs) await rig.broker.callers.enqueue(job, requestId(), call());
  await rig.clock.advance(1);
  return jobs.map(({ jobId }) => jobId);
};
const jobOf = (jobId: string, queue = "q"): Promise<Job> => rig.broker.callers.getJob({ queue, jobId });
const reasonOf = (worker: SeamWorker): string | undefined => (worker.end_?.error as CallError | undefined)?.reason;

/** Its reply was lost, and it was sent again: what is answered is the second time. */
function twice(storage: Storage): Storage {
  return replaced(storage, {
    async extend(request) {
      await storage.extend(request);
      return storage.extend(request);
    },
  });
}

/** A broker that notes which leases were lost. */
async function observed(wrap: (storage: Storage) => Storage, lost: string[]) {
  const rig = await startRig({}, wrap, { leaseLost: ({ jobId }, why) => void lost.push(`${jobId} ${why}`) });
  return { ...rig, [Symbol.asyncDispose]: () => rig.close() };
}

describe("the window", () => {
  test("of one works, and is never exceeded", async () => {
    const worker = new SeamWorker(rig.broker, { window: 1 });
    await enqueue(3);
    for (let done = 0; done < 3; done++) {
      expect(worker.deliveries).toHaveLength(done + 1);
      worker.complete(worker.deliveries[done] as never);
      await rig.clock.advance(1);
    }
    expect(worker.deliveries).toHaveLength(3);
  });

  test("zero pauses; opening it brings what waits", async () => {
    const worker = new SeamWorker(rig.broker, { window: 0 });
    await enqueue(20);
    expect(worker.deliveries).toHaveLength(0);
    worker.say({ window: 5 });
    await rig.clock.advance(1);
    expect(worker.deliveries).toHaveLength(5);
    worker.say({ window: 2 });
    worker.complete(worker.deliveries[0] as never);
    await rig.clock.advance(1);
    expect(worker.deliveries).toHaveLength(5);
  });

  test("nothing is claimed for a stream that is not writable, and others get the jobs", async () => {
    const stuck = new SeamWorker(rig.broker, { workerId: "stuck", window: 10 });
    await rig.clock.advance(1);
    stuck.writable = false;
    await enqueue(5);
    expect(stuck.deliveries).toHaveLength(0);
    const other = new SeamWorker(rig.broker, { workerId: "other", window: 10 });
    await rig.clock.advance(1);
    expect(other.deliveries).toHaveLength(5);
  });

  test("a new worker under a backlog gets work at once", async () => {
    new SeamWorker(rig.broker, { window: 4 });
    await enqueue(40);
    const late = new SeamWorker(rig.broker, { window: 4 });
    await rig.clock.advance(1);
    expect(late.deliveries).toHaveLength(4);
  });

  test("a worker on two queues starves neither", async () => {
    await enqueue(100, "a");
    await enqueue(100, "b");
    const worker = new SeamWorker(rig.broker, { queues: ["a", "b"], window: 32 });
    await rig.clock.advance(1);
    const of = (queue: string) => worker.deliveries.filter((job) => job.queue === queue).length;
    expect(of("a")).toBe(16);
    expect(of("b")).toBe(16);
  });

  test("a job larger than the rest of a frame leaves in a frame of its own; all arrive", async () => {
    const big = { data: Buffer.alloc(700_000), contentType: "", messageType: "" };
    for (let i = 0; i < 4; i++) await rig.broker.callers.enqueue(spec({ payload: big }), requestId(), call());
    const worker = new SeamWorker(rig.broker, { window: 4 });
    await rig.clock.advance(1);
    expect(worker.deliveries).toHaveLength(4);
    for (const frame of worker.frames) {
      expect(frame.deliveries.reduce((sum, job) => sum + job.payload.data.length, 0)).toBeLessThan(2 ** 20 + 1);
    }
  });
});

describe("leases", () => {
  test("a job that is never confirmed comes back after a third of a lease, though its stream lives", async () => {
    const worker = new SeamWorker(rig.broker, { window: 1 });
    worker.auto = false;
    const [jobId = ""] = await enqueue(1);
    await rig.clock.advance(9_000);
    expect(await jobOf(jobId)).toMatchObject({ state: "running", attempt: 1 });
    worker.say({});
    await rig.clock.advance(5_000);
    expect((await jobOf(jobId)).state).not.toBe("succeeded");
    expect((await rig.storage.inspect("q")).jobs[0]?.record.crashes).toBe(1);
  });

  test("a confirmed one has the whole lease, and a renewed one another", async () => {
    const worker = new SeamWorker(rig.broker, { window: 1 });
    const [jobId = ""] = await enqueue(1);
    await rig.clock.advance(25_000);
    expect(await jobOf(jobId)).toMatchObject({ state: "running", attempt: 1 });
    const { queue, leaseToken } = worker.deliveries[0] as never as { queue: string; leaseToken: Uint8Array };
    worker.say({ renewals: [{ queue, jobId, leaseToken }] });
    await rig.clock.advance(25_000);
    expect(await jobOf(jobId)).toMatchObject({ state: "running", attempt: 1 });
  });

  test("not renewed: another attempt starts, the old token is void and the worker is told", async () => {
    const slow = new SeamWorker(rig.broker, { window: 1 });
    const [jobId = ""] = await enqueue(1);
    await rig.clock.advance(1_000);
    const other = new SeamWorker(rig.broker, { window: 1 });
    for (let second = 0; second < 50; second++) {
      await rig.clock.advance(1_000);
      slow.say({});
      other.say({});
    }
    expect(other.deliveries[0]).toMatchObject({ jobId, attempt: 2 });
    slow.complete(slow.deliveries[0] as never);
    await rig.clock.advance(1);
    expect(slow.frames.flatMap((frame) => frame.settled)).toMatchObject([{ result: "lease_lost" }]);
    expect(await jobOf(jobId)).toMatchObject({ state: "running", attempt: 2 });
  });

  test("renew_on_pong keeps a job for as long as the worker answers", async () => {
    const worker = new SeamWorker(rig.broker, { window: 1, renewOnPong: true });
    const [jobId = ""] = await enqueue(1);
    await rig.clock.advance(300_000);
    expect(await jobOf(jobId)).toMatchObject({ state: "running", attempt: 1 });
    expect(worker.deliveries).toHaveLength(1);
  });

  test("a stream that ends: what was confirmed has the grace, what was not goes back at once, uncounted", async () => {
    const worker = new SeamWorker(rig.broker, { window: 2 });
    const [first = ""] = await enqueue(1);
    worker.auto = false;
    const [second = ""] = await enqueue(1);
    worker.session.linkClosed();
    await rig.clock.advance(1);
    expect(await jobOf(first)).toMatchObject({ state: "running", attempt: 1 });
    expect(await jobOf(second)).toMatchObject({ state: "queued", attempt: 0 });
    await rig.clock.advance(4_900);
    expect((await jobOf(first)).state).toBe("running");
    await rig.clock.advance(300);
    expect(await jobOf(first)).toMatchObject({ state: "queued", attempt: 1 });
  });

  test("the same session again adopts what it holds and ends the older stream", async () => {
    const old = new SeamWorker(rig.broker, { sessionId: "s", window: 1 });
    const [jobId = ""] = await enqueue(1);
    const { queue, leaseToken } = old.deliveries[0] as never as { queue: string; leaseToken: Uint8Array };
    const strange = { queue, jobId, leaseToken: Buffer.alloc(16, 9) };
    const held = [{ queue, jobId, leaseToken }, strange];
    const young = new SeamWorker(rig.broker, { sessionId: "s", window: 2, held });
    await rig.clock.advance(1);
    expect(reasonOf(old)).toBe("SESSION_SUPERSEDED");
    expect(young.frames.flatMap((frame) => frame.adopted)).toMatchObject([{ jobId, leaseToken }]);
    expect(young.frames.flatMap((frame) => frame.lost)).toMatchObject([{ leaseToken: strange.leaseToken }]);
    await rig.clock.advance(20_000);
    expect(await jobOf(jobId)).toMatchObject({ state: "running", attempt: 1 });
    young.settle({ queue, jobId, leaseToken } as never, {
      kind: "completed",
      payload: { data: Buffer.from("r"), contentType: "", messageType: "" },
    });
    await rig.clock.advance(1);
    expect(await jobOf(jobId)).toMatchObject({ state: "succeeded" });
  });

  test("what a stream at another broker has adopted stays there, whatever the older one heard of its receipt", async () => {
    const old = new SeamWorker(rig.broker, { sessionId: "s" });
    old.auto = false;
    const [jobId = ""] = await enqueue(1);
    const { queue, leaseToken } = old.deliveries[0]!;
    const items = [{ jobId, leaseToken }];
    await rig.storage.extend({ queue, items, mode: "adopt", lane: "elsewhere", leaseMs: 30_000 });
    // The word of it comes before the receipt, which went another way.
    old.session.supersede();
    await rig.clock.advance(1);
    expect(reasonOf(old)).toBe("SESSION_SUPERSEDED");
    expect(await jobOf(jobId)).toMatchObject({ state: "running", attempt: 1 });
  });

  test("an adoption that the storage ran twice does not end the stream itself", async () => {
    await rig.close();
    rig = await startRig({}, twice);
    new SeamWorker(rig.broker, { sessionId: "s" });
    const [jobId = ""] = await enqueue(1);
    const { leaseToken } = (await rig.storage.inspect("q")).jobs[0]!.record;
    const held = [{ queue: "q", jobId, leaseToken: Buffer.from(leaseToken, "hex") }];
    const young = new SeamWorker(rig.broker, { sessionId: "s", held });
    await rig.clock.advance(1_000);
    expect(young.end_).toBeUndefined();
    expect(rig.broker.workers.size).toBe(1);
  });

  test("an adoption that the storage does not answer is asked for again, until it does", async () => {
    await rig.close();
    let away = 2;
    rig = await startRig({}, (storage) =>
      replaced(storage, {
        async extend(request) {
          if (request.mode === "adopt" && away-- > 0) throw new StorageUnavailable("away", "no");
          return storage.extend(request);
        },
      }),
    );
    const old = new SeamWorker(rig.broker, { sessionId: "s" });
    const [jobId = ""] = await enqueue(1);
    const { queue, leaseToken } = old.deliveries[0]!;
    old.session.linkClosed();
    const young = new SeamWorker(rig.broker, { sessionId: "s", window: 2, held: [{ queue, jobId, leaseToken }] });
    await enqueue(2);
    expect([young.frames.flatMap(({ adopted }) => adopted), young.deliveries]).toEqual([[], []]);
    await rig.clock.advance(1_000);
    expect(young.frames.flatMap(({ adopted }) => adopted)).toMatchObject([{ jobId }]);
    expect(young.deliveries, "it holds one already").toHaveLength(1);
    await rig.clock.advance(20_000);
    expect(await jobOf(jobId), "longer than the grace of the stream that ended").toMatchObject({
      state: "running",
      attempt: 1,
    });
  });

  test("the same session again, holding nothing, ends the older stream too", async () => {
    const old = new SeamWorker(rig.broker, { sessionId: "s" });
    const young = new SeamWorker(rig.broker, { sessionId: "s" });
    await rig.clock.advance(1);
    expect(reasonOf(old)).toBe("SESSION_SUPERSEDED");
    expect([young.end_, rig.broker.workers.size]).toEqual([undefined, 1]);
  });

  test("a job whose workers vanish each time ends as CRASH_LOOP", async () => {
    const job = spec({ maxAttempts: 100 });
    await rig.broker.callers.enqueue(job, requestId(), call());
    for (let crash = 0; crash < 5; crash++) {
      const worker = new SeamWorker(rig.broker, { window: 1 });
      await rig.clock.advance(10);
      expect(worker.deliveries).toHaveLength(1);
      worker.session.linkClosed();
      await rig.clock.advance(6_000);
    }
    expect(await rig.broker.callers.getJob(job)).toMatchObject({
      state: "failed",
      outcome: { failure: { kind: "crash_loop" } },
    });
  });

  test.each([
    ["at once", (storage: Storage) => storage],
    [
      "later than the settlement",
      (storage: Storage) =>
        replaced(storage, {
          async extend(request) {
            const answers = await storage.extend(request);
            await new Promise((resolve) => setImmediate(resolve));
            return answers;
          },
        }),
    ],
  ])("a renewal that comes behind the settlement, answered %s, finds no loss", async (_when, wrap) => {
    const lost: string[] = [];
    await using other = await observed(wrap, lost);
    const worker = new SeamWorker(other.broker, { window: 1 });
    await other.broker.callers.enqueue(spec(), requestId(), call());
    await other.clock.advance(1);
    const [job] = worker.deliveries;
    worker.complete(job!);
    worker.say({ renewals: [job!] });
    await other.clock.advance(1);
    expect(worker.frames.flatMap(({ settled }) => settled)).toMatchObject([{ result: "ok" }]);
    expect([lost, worker.frames.flatMap((frame) => frame.lost)]).toEqual([[], []]);
    // What is not there any more is said to be lost all the same, to who asks for it.
    worker.say({ renewals: [job!] });
    await other.clock.advance(1);
    expect([lost, worker.frames.flatMap((frame) => frame.lost)]).toMatchObject([[], [{ jobId: job!.jobId }]]);
  });
});

describe("cancellation and progress", () => {
  test("a cancel is pushed to the stream that runs the job", async () => {
    const worker = new SeamWorker(rig.broker);
    const [jobId = ""] = await enqueue(1);
    await rig.broker.callers.cancelJob({ queue: "q", jobId });
    await rig.clock.advance(1);
    expect(worker.frames.flatMap((frame) => frame.cancels)).toMatchObject([{ jobId }]);
    worker.settle(worker.deliveries[0] as never, { kind: "cancelled" });
    await rig.clock.advance(1);
    expect(await jobOf(jobId)).toMatchObject({ state: "cancelled" });
  });

  test("progress is stored at most five times a second, the newest always", async () => {
    const worker = new SeamWorker(rig.broker);
    const [jobId = ""] = await enqueue(1);
    const { queue, leaseToken } = worker.deliveries[0] as never as { queue: string; leaseToken: Uint8Array };
    const before = (await jobOf(jobId)).version;
    for (let current = 1; current <= 100; current++) {
      worker.say({ progress: [{ queue, jobId, leaseToken, progress: { current, total: 100, message: "" } }] });
      await rig.clock.advance(10);
    }
    await rig.clock.advance(200);
    const job = await jobOf(jobId);
    expect(job.progress).toMatchObject({ current: 100, total: 100 });
    expect(job.version - before).toBeLessThanOrEqual(7);
  });
});

describe("the stream", () => {
  test("without hello for 10 s ends", async () => {
    const ends: unknown[] = [];
    const link = {
      writable: true,
      sendWelcome() {},
      send() {},
      read() {},
      destroy() {},
      end: (error?: Error) => void ends.push(error),
    };
    rig.broker.workers.open(link);
    await rig.clock.advance(10_001);
    expect(ends).toMatchObject([{ reason: "PROTOCOL_VIOLATION" }]);
    expect(rig.broker.workers.size).toBe(0);
  });

  test("that falls silent for 2.5 ping intervals is destroyed, and its jobs go on elsewhere", async () => {
    const worker = new SeamWorker(rig.broker);
    const [jobId = ""] = await enqueue(1);
    worker.auto = false;
    await rig.clock.advance(37_000);
    expect(worker.destroyed).toBe(false);
    await rig.clock.advance(5_000);
    expect(worker.destroyed).toBe(true);
    expect(rig.broker.workers.size).toBe(0);
    await rig.clock.advance(10_000);
    expect((await jobOf(jobId)).state).toBe("queued");
  });

  test("an idle one that answers pings lives", async () => {
    const worker = new SeamWorker(rig.broker);
    await rig.clock.advance(600_000);
    expect(worker.end_).toBeUndefined();
    expect(worker.frames.filter((frame) => frame.ping !== undefined).length).toBeGreaterThan(30);
  });

  test("of half an hour is asked to move on: at once where it holds nothing", async () => {
    const worker = new SeamWorker(rig.broker);
    await rig.clock.advance(34 * 60_000);
    expect(worker.frames.map((frame) => frame.drain).filter(Boolean)).toEqual(["max-stream-age"]);
    expect(worker.end_).toEqual({});
  });

  test("of half an hour that holds a job ends with it, or is cut", async () => {
    const [done, stays] = [
      new SeamWorker(rig.broker, { renewOnPong: true }),
      new SeamWorker(rig.broker, { renewOnPong: true }),
    ];
    await enqueue(2);
    await rig.clock.advance(30 * 60_000 + 10_000);
    expect(done.frames.map((frame) => frame.drain).filter(Boolean)).toEqual(["max-stream-age"]);
    expect(done.end_).toBeUndefined();
    done.complete(done.deliveries[0] as never);
    await rig.clock.advance(1);
    expect(done.frames.flatMap((frame) => frame.settled)).toMatchObject([{ result: "ok" }]);
    expect(done.end_).toEqual({});
    await rig.clock.advance(60_000);
    expect(stays.end_).toEqual({});
  });

  test("a worker's drain is confirmed, and nothing is delivered after it", async () => {
    const worker = new SeamWorker(rig.broker, { window: 10 });
    await enqueue(2);
    worker.say({ drain: true });
    await enqueue(3);
    expect(worker.deliveries).toHaveLength(2);
    expect(worker.frames.at(-1)).toMatchObject({ drain: "confirmed" });
    const { jobs } = await rig.storage.inspect("q");
    const waiting = jobs.filter(({ record }) => record.state === "queued");
    expect(
      waiting.map(({ record }) => record.fence),
      "not even claimed",
    ).toEqual([0, 0, 0]);
    for (const job of worker.deliveries) worker.complete(job);
    worker.session.workerEnded();
    await rig.clock.advance(1);
    expect(worker.end_).toEqual({});
    expect(worker.frames.flatMap((frame) => frame.settled)).toHaveLength(2);
    expect(rig.broker.workers.size).toBe(0);
  });

  const broken: [string, (worker: SeamWorker) => void][] = [
    ["a receipt of what was never sent", (worker) => worker.say({ receivedSeq: 99n })],
    [
      "a second hello",
      (worker) =>
        void worker.session.hello({
          protocolVersion: 1,
          workerId: "w",
          sessionId: "",
          queues: [],
          window: 1,
          held: [],
          renewOnPong: false,
          clientInfo: "",
        }),
    ],
  ];
  test.each(broken)("%s ends it", async (_, breaks) => {
    const worker = new SeamWorker(rig.broker);
    await rig.clock.advance(1);
    breaks(worker);
    expect(reasonOf(worker)).toBe("PROTOCOL_VIOLATION");
    expect(rig.broker.workers.size).toBe(0);
  });

  test("a protocol version that is not spoken any more is refused, a newer one is met", async () => {
    expect(reasonOf(new SeamWorker(rig.broker, { protocolVersion: 0 }))).toBe("PROTOCOL_VERSION");
    expect(new SeamWorker(rig.broker, { protocolVersion: 9 }).welcome).toBeDefined();
  });
});

describe("a stuck worker", () => {
  test("gets nothing more while it confirms nothing, and goes on when it does", async () => {
    const worker = new SeamWorker(rig.broker, { window: 10 });
    worker.auto = false;
    await enqueue(1);
    expect(worker.deliveries).toHaveLength(1);
    await rig.clock.advance(3_000);
    await enqueue(3);
    expect(worker.deliveries).toHaveLength(1);
    worker.say({ receivedSeq: 1n });
    await rig.clock.advance(1);
    expect(worker.deliveries).toHaveLength(4);
    worker.say({ receivedSeq: 2n });
    worker.say({ receivedSeq: 1n });
    await rig.clock.advance(3_000);
    await enqueue(1);
    expect(worker.deliveries).toHaveLength(5);
  });

  test("a window sent right after hello counts, whatever hello said", async () => {
    const worker = new SeamWorker(rig.broker, {
      window: 10,
      held: [{ queue: "q", jobId: "x", leaseToken: Buffer.alloc(16) }],
    });
    worker.say({ window: 2 });
    await enqueue(5);
    expect(worker.deliveries).toHaveLength(2);
  });
});
