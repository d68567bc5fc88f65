/** Waits are truthful and in time; a timeout never cancels; a wait never hangs although its job finished. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CallError } from "../../protocol/errors.ts";
import type { JobKey } from "../../server/job/job.ts";
import type { Hint, Storage } from "../../server/storage/storage.ts";
import { call, goingCall, type Rig, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";

let rig: Rig;
afterEach(() => rig.close());

const refusal = (promise: Promise<unknown>): Promise<CallError> =>
  promise.then(
    () => Promise.reject(new Error("accepted")),
    (error) => error,
  );

/** Virtual milliseconds until the promise settles, or undefined if it does not within `limit`. */
async function settlesAfter(promise: Promise<unknown>, limit: number): Promise<number | undefined> {
  const began = rig.clock.monotonic();
  let at: number | undefined;
  promise.then(
    () => (at = rig.clock.monotonic() - began),
    () => (at = rig.clock.monotonic() - began),
  );
  for (let passed = 0; passed <= limit && at === undefined; passed += 10) await rig.clock.advance(10);
  return at;
}

describe("how long a wait is", () => {
  beforeEach(async () => {
    rig = await startRig();
  });

  const cases: [string, number | undefined, number | undefined, number][] = [
    ["neither wait_timeout nor deadline: 30 s", undefined, undefined, 30_000],
    ["wait_timeout alone", 1_000, undefined, 1_000],
    ["deadline alone: 5 % before it, at most 250 ms", undefined, 10_000, 9_750],
    ["a short deadline: at least 20 ms before it", undefined, 200, 180],
    ["5 % of 1 s", undefined, 1_000, 950],
    ["the smaller of the two", 500, 10_000, 500],
    ["the smaller of the two, the other way round", 60_000, 2_000, 1_900],
    ["--max-wait clamps", 10_000_000, undefined, 3_600_000],
    ["a deadline of 10,000 hours is clamped too", undefined, 36_000_000_000, 3_600_000],
  ];
  test.each(cases)("%s", async (_, waitTimeoutMs, deadlineMs, expected) => {
    const waiting = rig.broker.callers.enqueueAndWait(spec(), requestId(), waitTimeoutMs, call(deadlineMs));
    waiting.catch(() => {});
    await rig.clock.advance(expected - 1);
    const at = await settlesAfter(waiting, 260);
    expect(at).toBeDefined();
    expect(at as number).toBeLessThanOrEqual(250);
    expect(await refusal(waiting)).toMatchObject({ reason: "WAIT_TIMEOUT" });
  });

  test("zero: stored and answered at once", async () => {
    const job = spec();
    const error = await refusal(rig.broker.callers.enqueueAndWait(job, requestId(), 0, call()));
    expect(error.options.waitTimeout).toMatchObject({ queue: "q", jobId: job.jobId, state: "queued", attempt: 0 });
    expect(await rig.broker.callers.getJob(job)).toMatchObject({ state: "queued" });
  });

  test("a deadline below the margin still enqueues", async () => {
    const job = spec();
    expect(await refusal(rig.broker.callers.enqueueAndWait(job, requestId(), undefined, call(10)))).toMatchObject({
      reason: "WAIT_TIMEOUT",
    });
    expect(await rig.broker.callers.getJob(job)).toMatchObject({ state: "queued" });
  });
});

describe("what ends a wait", () => {
  beforeEach(async () => {
    rig = await startRig();
  });

  test("the result; and a late one is fetched after the timeout, which cancelled nothing", async () => {
    const worker = new SeamWorker(rig.broker);
    const job = spec();
    const waiting = rig.broker.callers.enqueueAndWait(job, requestId(), 1_000, call());
    waiting.catch(() => {});
    await rig.clock.advance(1_100);
    expect((await refusal(waiting)).options.waitTimeout).toMatchObject({ state: "running", attempt: 1 });
    const again = rig.broker.callers.waitJob(job, 5_000, call());
    await rig.clock.advance(10);
    worker.complete(worker.deliveries[0] as never, "late");
    await rig.clock.advance(1);
    const status = await again;
    expect(status.outcome).toMatchObject({ kind: "result" });
    const cached = await rig.broker.callers.enqueueAndWait(job, requestId(), 0, call());
    expect(cached).toMatchObject({ disposition: "cached", status: { state: "succeeded" } });
  });

  test("cancellation of a waiting job wakes every waiter", async () => {
    const job = spec();
    const waits = [1, 2, 3].map(() => rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, call()));
    await rig.clock.advance(1);
    await rig.broker.callers.cancelJob(job);
    for (const wait of waits)
      expect((await wait).status).toMatchObject({ state: "cancelled", outcome: { failure: { kind: "cancelled" } } });
  });

  test("a waiter follows the id to its new run", async () => {
    const job = spec();
    await rig.broker.callers.enqueue(job, requestId(), call());
    await rig.broker.callers.cancelJob(job);
    const waiting = rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, call());
    await rig.clock.advance(1);
    const worker = new SeamWorker(rig.broker);
    await rig.clock.advance(1);
    worker.complete(worker.deliveries[0] as never);
    await rig.clock.advance(1);
    expect((await waiting).status.state).toBe("succeeded");
  });

  test("a caller that goes away frees its wait, and the job goes on", async () => {
    const job = spec();
    const { call: going, go } = goingCall();
    const waiting = rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, going);
    waiting.catch(() => {});
    await rig.clock.advance(1);
    expect(rig.broker.waiting).toBe(1);
    go();
    go();
    await refusal(waiting);
    expect(rig.broker.waiting).toBe(0);
    expect(await rig.broker.callers.getJob(job)).toMatchObject({ state: "queued" });
  });

  test("a caller that goes away takes no other caller of the job with it", async () => {
    const job = spec();
    const { call: going, go } = goingCall();
    const leaving = rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, going);
    const staying = rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, call());
    await rig.clock.advance(1);
    go();
    await refusal(leaving);
    await rig.broker.callers.cancelJob(job);
    expect(await settlesAfter(staying, 100)).toBeLessThanOrEqual(10);
    expect((await staying).status.state).toBe("cancelled");
  });

  test("a job that vanishes while one waits", async () => {
    const job = spec({ resultTtlMs: 1_000 });
    await rig.broker.callers.enqueue(job, requestId(), call());
    const waiter = rig.broker.callers.waitJob(job, 600_000, call());
    waiter.catch(() => {});
    await rig.clock.advance(1);
    // Lost to this broker: ended and forgotten in the storage without a word.
    const reached = await rig.storage.cancel(job);
    expect(reached.kind).toBe("ok");
    await rig.clock.advance(20_000);
    const error = await refusal(waiter);
    expect(["OUTCOME_EXPIRED", "accepted"]).toContain(error.reason ?? error.message);
  });

  test("drain interrupts", async () => {
    const waiting = rig.broker.callers.enqueueAndWait(spec(), requestId(), 60_000, call());
    waiting.catch(() => {});
    await rig.clock.advance(1);
    await rig.broker.drain();
    expect(await refusal(waiting)).toMatchObject({ reason: "WAIT_INTERRUPTED" });
    expect(await refusal(rig.broker.callers.enqueue(spec(), requestId(), call()))).toMatchObject({
      reason: "BROKER_DRAINING",
    });
  });

  test("10,000 timeouts leave no waiter and no timer behind", async () => {
    await rig.broker.callers.enqueue(spec(), requestId(), call());
    await rig.clock.advance(1);
    const timers = rig.clock.timers;
    const waits = Array.from({ length: 10_000 }, () =>
      rig.broker.callers.enqueueAndWait(spec(), requestId(), 100, call()).catch((error) => error),
    );
    await rig.clock.advance(0);
    await rig.clock.advance(101);
    const errors = await Promise.all(waits);
    expect(errors.every((error) => error.reason === "WAIT_TIMEOUT")).toBe(true);
    expect(rig.broker.waiting).toBe(0);
    expect(rig.clock.timers).toBe(timers);
  }, 60_000);
});

describe("when notifications are lost", () => {
  let told: (ready: boolean) => void;
  beforeEach(async () => {
    rig = await startRig({}, (storage) =>
      override(storage, {
        onReady: (listener) => {
          told = listener;
          return () => {};
        },
      }),
    );
  });

  /** Another broker finishes the job, and no hint of it ever arrives. */
  async function finishedElsewhere(job: JobKey): Promise<void> {
    const leaseToken = Buffer.alloc(16, 7);
    const { jobs } = await rig.storage.claim({
      queue: "q",
      lane: "elsewhere",
      claimId: 1,
      workerId: "w",
      max: 1,
      maxBytes: 1e6,
      tokens: [leaseToken],
      leaseMs: 30_000,
      jitter: 0,
    });
    expect(jobs).toHaveLength(1);
    const outcome = {
      kind: "completed",
      payload: { data: Buffer.from("r"), contentType: "", messageType: "" },
    } as const;
    await rig.storage.settle({ ...job, leaseToken, outcome, jitter: 0, hungryHere: false });
  }

  test("L-R11: the sweep finds the outcome", async () => {
    const job = spec();
    const waiting = rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, call());
    await rig.clock.advance(1);
    await finishedElsewhere(job);
    const at = await settlesAfter(waiting, 10_000);
    expect(at).toBeLessThanOrEqual(6_000);
    expect((await waiting).status.state).toBe("succeeded");
  });

  test("once the storage says that hints are back, every wait is looked at, without a sweep", async () => {
    const job = spec();
    const waiting = rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, call());
    await rig.clock.advance(1);
    await finishedElsewhere(job);
    told(true);
    expect(await settlesAfter(waiting, 10_000)).toBeLessThanOrEqual(10);
    expect((await waiting).status.state).toBe("succeeded");
  });
});

test("a late hint of an earlier run ends no wait for this one", async () => {
  let hinted: (hint: Hint) => void = () => {};
  rig = await startRig({}, (storage) =>
    override(storage, {
      onHint: (listener) => {
        hinted = listener;
        return () => {};
      },
    }),
  );
  const job = spec();
  await rig.broker.callers.enqueue(job, requestId(), call());
  const old = await rig.broker.callers.cancelJob(job);
  const waiting = rig.broker.callers.enqueueAndWait(job, requestId(), 1_000, call());
  waiting.catch(() => {});
  await rig.clock.advance(1);
  hinted({ kind: "changed", ...job, version: old.version, status: old });
  expect(await settlesAfter(waiting, 2_000)).toBeGreaterThan(900);
  expect(await refusal(waiting)).toMatchObject({ reason: "WAIT_TIMEOUT" });
});

describe("when a read and an enqueue pass each other", () => {
  test("a read from before the job was stored does not make it gone", async () => {
    const stored = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    let hint: ((hint: Hint) => void) | undefined;
    rig = await startRig({}, (storage) =>
      override(storage, {
        onHint: (listener) => {
          hint = listener;
          return () => {};
        },
        enqueue: async (request) => {
          await stored.promise;
          return storage.enqueue(request);
        },
        readMany: async (keys) => {
          const statuses = await storage.readMany(keys);
          await answered.promise;
          return statuses;
        },
      }),
    );
    const job = spec();
    const waiting = rig.broker.callers.enqueueAndWait(job, requestId(), 60_000, call());
    hint?.({ kind: "changed", queue: job.queue, jobId: job.jobId, version: 1 });
    await rig.clock.advance(1);
    stored.resolve();
    await rig.clock.advance(1);
    answered.resolve();
    await rig.clock.advance(1);
    const worker = new SeamWorker(rig.broker);
    await rig.clock.advance(1);
    worker.complete(worker.deliveries[0] as never);
    await rig.clock.advance(1);
    expect((await waiting).status.state).toBe("succeeded");
  });
});

describe("when the storage does not answer", () => {
  test("ENQUEUE_UNCONFIRMED before the deadline, and the same request finds the job", async () => {
    let hang = true;
    const held: (() => void)[] = [];
    rig = await startRig({}, (storage) =>
      override(storage, {
        enqueue: async (request) => {
          const answer = await storage.enqueue(request);
          if (hang) await new Promise<void>((resolve) => held.push(resolve));
          return answer;
        },
      }),
    );
    const job = spec();
    const id = requestId();
    const waiting = rig.broker.callers.enqueueAndWait(job, id, undefined, call(1_000));
    waiting.catch(() => {});
    await rig.clock.advance(951);
    expect(await refusal(waiting)).toMatchObject({ reason: "ENQUEUE_UNCONFIRMED" });
    hang = false;
    expect(await rig.broker.callers.enqueue(job, id, call())).toMatchObject({ disposition: "created" });
    for (const resolve of held) resolve();
  });
});

function override(storage: Storage, verbs: Partial<Storage>): Storage {
  return new Proxy(storage, {
    get(target, name) {
      const verb = verbs[name as keyof Storage] ?? Reflect.get(target, name);
      return typeof verb === "function" ? verb.bind(target) : verb;
    },
  });
}
