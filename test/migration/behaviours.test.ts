/**
 * The behaviours of docs/migrate.md, kept or different, as far as no other test shows them.
 * The numbers are those of its table.
 */
import { describe, expect, test } from "vitest";
import { createQueueClient, InvalidRequestError, type JobFailedError } from "../../client/index.ts";
import type { LeaseLoss } from "../../server/broker/observer.ts";
import { createWorker, type JobContext, NonRetryableError } from "../../worker/index.ts";
import { call, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";
import { closes, gate, type Rig, rejection, silent, start } from "./rig.ts";

test("1, 7, 40: a program that only calls needs no handler; ids are apart by queue, and made where there is none", async () => {
  const { client, url } = await start();
  const [mail, print] = ["mail", "print"].map((name) => client.queue<string, string>(name));
  expect(await mail!.enqueue("1", "m")).toMatchObject({ disposition: "created" });
  expect(await print!.enqueue("1", "p")).toMatchObject({ disposition: "created" });
  const made = await mail!.enqueue("", "m");
  expect(made.job.jobId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  const worker = createWorker({ url })
    .handle<string>("mail", (text) => `mailed ${text}`)
    .handle<string>("print", (text) => `printed ${text}`);
  void worker.run();
  closes(worker);
  expect([await mail!.wait("1"), await print!.wait("1")]).toEqual(["mailed m", "printed p"]);
  expect(await mail!.wait(made.job.jobId)).toBe("mailed m");
});

test("4: a worker that was stopped stays so; a new one goes on", async () => {
  const { queue, work } = await start();
  const first = work(() => "first");
  expect(await queue.enqueueAndWait("a", 1)).toBe("first");
  await first.close();
  await expect(first.run()).rejects.toThrow(TypeError);
  work(() => "second");
  expect(await queue.enqueueAndWait("b", 1)).toBe("second");
});

test("8: a TTL that cannot be is refused, and nothing is stored", async () => {
  const { queue } = await start();
  for (const wrong of ["1000", null, Number.NaN, Number.POSITIVE_INFINITY]) {
    const resultTtl = wrong as number;
    await expect(queue.enqueue("a", 1, { resultTtl })).rejects.toThrow(TypeError);
    await expect(queue.updateResultTtl("a", resultTtl)).rejects.toThrow(TypeError);
  }
  for (const resultTtl of [-1, 0, 999, 366 * 24 * 3_600_000]) {
    await expect(queue.enqueue("a", 1, { resultTtl })).rejects.toThrow(InvalidRequestError);
  }
  await expect(queue.enqueue("a", 1, { resultTTL: 5_000 } as object)).rejects.toThrow('did you mean "resultTtl"?');
  expect(await rejection(queue.get("a"))).toMatchObject({ code: "JOB_NOT_FOUND" });
});

test("9, 10: the first enqueue decides payload, attempts and TTL; the caller's defaults count, the worker has none", async () => {
  const { url, work, until } = await start();
  const client = closes(createQueueClient({ url, defaults: { resultTtl: 5_000, maxAttempts: 1 }, logger: silent }));
  const queue = client.queue<string, string>("q");
  await queue.enqueue("a", "first");
  expect(await queue.enqueue("a", "second", { resultTtl: 9_000, maxAttempts: 7 })).toMatchObject({
    disposition: "joined",
  });
  work((text) => text);
  expect(await queue.wait("a")).toBe("first");
  const job = await until("a", ({ outcome }) => outcome !== undefined);
  expect(job).toMatchObject({ maxAttempts: 1 });
  expect(job.expireTime!.getTime() - job.endTime!.getTime()).toBe(5_000);
});

test("12: first in, first out; a higher priority goes first", async () => {
  const { queue, work } = await start();
  for (const [id, priority] of Object.entries({ a: 0, b: 0, low: -5, c: 0, high: 5 })) {
    await queue.enqueue(id, 1, { priority });
  }
  const order: string[] = [];
  work((_, { jobId }) => void order.push(jobId));
  await queue.wait("low");
  expect(order).toEqual(["high", "a", "b", "c", "low"]);
});

describe("11: an id that exists", () => {
  interface Case {
    /** Brings the job "a" into its state, with the payload "first". */
    given(rig: Rig, go: Promise<void>): Promise<unknown>;
    enqueue: object;
    /** What enqueueAndWait answers, or the code it rejects with. */
    answer: unknown;
  }
  const echo = (rig: Rig, go: Promise<void>) =>
    rig.work(async (text) => {
      await go;
      return text;
    });
  const cases: Record<string, Case> = {
    "in line: joins": {
      given: async (rig, go) => {
        await rig.queue.enqueue("a", "first");
        void go.then(() => echo(rig, go));
      },
      enqueue: { disposition: "joined", job: { state: "queued" } },
      answer: "first",
    },
    "running: joins": {
      given: async (rig, go) => {
        echo(rig, go);
        await rig.queue.enqueue("a", "first");
        await rig.until("a", ({ state }) => state === "running");
      },
      enqueue: { disposition: "joined", job: { state: "running" } },
      answer: "first",
    },
    "between attempts: joins": {
      given: async (rig, go) => {
        rig.work(async (text, { attempt }) => {
          if (attempt === 1) throw new Error("no");
          await go;
          return text;
        });
        await rig.queue.enqueue("a", "first", { backoff: { initial: 10_000 } });
        await rig.until("a", ({ state }) => state === "scheduled");
        void go.then(() => rig.advance(10_000));
      },
      enqueue: { disposition: "joined", job: { state: "scheduled", attempt: 1 } },
      answer: "first",
    },
    "done, kept: its result at once": {
      given: async (rig) => {
        echo(rig, Promise.resolve());
        await rig.queue.enqueueAndWait("a", "first");
      },
      enqueue: { disposition: "cached", outcome: { state: "succeeded", result: "first" } },
      answer: "first",
    },
    "failed, kept: its failure at once": {
      given: async (rig) => {
        rig.work(() => {
          throw new Error("no");
        });
        await rejection(rig.queue.enqueueAndWait("a", "first", { maxAttempts: 1 }));
      },
      enqueue: { disposition: "cached", outcome: { state: "failed" } },
      answer: "JOB_FAILED",
    },
    "done, no longer kept: a new run": {
      given: async (rig) => {
        echo(rig, Promise.resolve());
        await rig.queue.enqueueAndWait("a", "first", { resultTtl: 1_000 });
        await rig.advance(1_100);
      },
      enqueue: { disposition: "created" },
      answer: "second",
    },
    "failed, no longer kept: a new run": {
      given: async (rig) => {
        rig.work((text) => {
          if (text === "first") throw new Error("no");
          return text;
        });
        await rejection(rig.queue.enqueueAndWait("a", "first", { maxAttempts: 1, resultTtl: 1_000 }));
        await rig.advance(1_100);
      },
      enqueue: { disposition: "created" },
      answer: "second",
    },
    "cancelled: a new run": {
      given: async (rig) => {
        await rig.queue.enqueue("a", "first");
        await rig.queue.cancel("a");
        echo(rig, Promise.resolve());
      },
      enqueue: { disposition: "created" },
      answer: "second",
    },
  };

  for (const [name, { given, enqueue, answer }] of Object.entries(cases)) {
    test(name, async () => {
      // Each call on a job of its own, for the first would change what the second finds.
      for (const call of ["enqueue", "enqueueAndWait"] as const) {
        const rig = await start({ clock: "manual" });
        const { promise: go, resolve: letGo } = gate();
        const quiet = closes(createQueueClient({ url: rig.url, logger: silent })).queue("q");
        await given(rig, go);
        if (call === "enqueue") {
          expect(await quiet.enqueue("a", "second")).toMatchObject(enqueue);
          letGo();
          continue;
        }
        const answered = quiet.enqueueAndWait("a", "second").catch((error) => error.code);
        letGo();
        expect(await answered).toBe(answer);
      }
    });
  }
});

test("15, 29: waiters hear of the last failure only; how many tries there were can be read", async () => {
  const { queue, work, until } = await start();
  work((_, { attempt }) => {
    throw new Error(`try ${attempt}`);
  });
  const error = (await rejection(
    queue.enqueueAndWait("a", 1, { backoff: { initial: 1 } }),
  )) as unknown as JobFailedError;
  expect(error.message).toBe("try 3");
  expect(error.cached).toBe(false);
  expect(error.failure.attempts.map(({ number, message }) => [number, message])).toEqual([
    [1, "try 1"],
    [2, "try 2"],
    [3, "try 3"],
  ]);
  const job = await until("a", ({ outcome }) => outcome !== undefined);
  expect(job).toMatchObject({ state: "failed", attempt: 3, maxAttempts: 3 });
  expect(job.createTime!.getTime()).toBeLessThanOrEqual(job.startTime!.getTime());
});

test("17: a caller that leaves frees its wait at once", async () => {
  const { queue, waiting } = await start();
  const controller = new AbortController();
  const call = rejection(queue.enqueueAndWait("a", 1, { signal: controller.signal, timeout: 3_600_000 }));
  await waiting(1);
  controller.abort("gone");
  expect(await call).toBe("gone");
  await waiting(0);
  expect(await queue.get("a")).toMatchObject({ state: "queued" });
});

test("20: a retry keeps its place in line", async () => {
  const { queue, work, until, advance } = await start({ clock: "manual" });
  const order: string[] = [];
  const first = work((_, { jobId, attempt }) => {
    order.push(`${jobId}${attempt}`);
    throw new Error("again");
  });
  await queue.enqueue("a", 1);
  await until("a", ({ state }) => state === "scheduled");
  await first.close();
  await queue.enqueue("b", 1);
  await advance(1_000);
  work((_, { jobId, attempt }) => void order.push(`${jobId}${attempt}`));
  await queue.wait("b");
  expect(order).toEqual(["a1", "a2", "b1"]);
});

/** What a hook after the execution is here: a function around the handler. */
const hooked =
  <Req, Res>(handler: (payload: Req, ctx: JobContext) => Promise<Res>, after: (end: object) => Promise<void>) =>
  async (payload: Req, ctx: JobContext): Promise<Res> => {
    const { jobId, attempt, maxAttempts } = ctx;
    const result = await handler(payload, ctx).catch(async (error) => {
      const final = error instanceof NonRetryableError || attempt === maxAttempts;
      if (final) await after({ jobId, attempt, error: error.message });
      throw error;
    });
    await after({ jobId, attempt, result });
    return result;
  };

test("24: a function around the handler is called once a job, after its success or its last failure", async () => {
  const { queue, work } = await start();
  const ends: object[] = [];
  work(
    hooked(
      async (payload, { attempt }) => {
        if (payload === "final") throw new NonRetryableError("final");
        if (attempt < (payload as number)) throw new Error(`try ${attempt}`);
        return "done";
      },
      async (end) => void ends.push(end),
    ),
  );
  const options = { backoff: { initial: 1 } };
  expect(await queue.enqueueAndWait("second try", 2, options)).toBe("done");
  await rejection(queue.enqueueAndWait("no try", 9, options));
  await rejection(queue.enqueueAndWait("no sense", "final", options));
  expect(ends).toEqual([
    { jobId: "second try", attempt: 2, result: "done" },
    { jobId: "no try", attempt: 3, error: "try 3" },
    { jobId: "no sense", attempt: 1, error: "final" },
  ]);
});

test("25: a handler decides how long its own result is kept", async () => {
  const { client, queue, work, until } = await start();
  work(async (_, ctx) => {
    await client.queue(ctx.queue).updateResultTtl(ctx.jobId, 120_000);
  });
  await queue.enqueueAndWait("a", 1, { resultTtl: 5_000 });
  const job = await until("a", ({ outcome }) => outcome !== undefined);
  expect(job.expireTime!.getTime() - job.endTime!.getTime()).toBe(120_000);
});

test("26: what such a function throws is the handler's failure, tried again like any other; caught, it does no harm", async () => {
  const { queue, work, url } = await start();
  let runs = 0;
  const broken = async () => {
    throw new Error("hook broke");
  };
  work(hooked(async () => ++runs, broken));
  const error = await rejection(queue.enqueueAndWait("a", 1, { maxAttempts: 2, backoff: { initial: 1 } }));
  expect([error.code, error.message, runs]).toEqual(["JOB_FAILED", "hook broke", 2]);
  const careful = createWorker({ url }).handle(
    "careful",
    hooked(
      async () => "done",
      () => broken().catch(() => {}),
    ),
  );
  void careful.run();
  closes(careful);
  expect(await closes(createQueueClient({ url })).queue("careful").enqueueAndWait("a", 1)).toBe("done");
});

test("27: times, tries, and who failed are read from the job, by anybody", async () => {
  const { queue, work, advance } = await start({ clock: "manual" });
  const { promise: begun, resolve: begin } = gate<JobContext>();
  const { promise: end, resolve: finish } = gate();
  work(
    async (_, ctx) => {
      if (ctx.attempt === 1) throw new Error("no");
      begin(ctx);
      await end;
      throw new NonRetryableError("never");
    },
    { workerId: "w-7" },
  );
  await queue.enqueue("a", 1, { delay: 5_000, backoff: { initial: 1 } });
  await advance(5_000);
  await advance(1_000);
  const { enqueueTime, attempt, maxAttempts } = await begun;
  await advance(2_000);
  finish();
  await rejection(queue.wait("a"));
  const job = await queue.get("a");
  const [created, started, ended] = [job.createTime, job.startTime, job.endTime].map((time) => time!.getTime());
  expect([attempt, maxAttempts, enqueueTime.getTime()]).toEqual([2, 3, created]);
  expect(started! - created!).toBeGreaterThanOrEqual(5_000);
  expect(ended! - started!).toBeGreaterThanOrEqual(2_000);
  expect(job.outcome).toMatchObject({
    error: {
      failure: {
        attempts: [
          { number: 1, message: "no", workerId: "w-7" },
          { number: 2, message: "never", workerId: "w-7" },
        ],
      },
    },
  });
});

test("28, 29: a result, a failure, and a job that is not there are told apart", async () => {
  const { queue, work } = await start();
  work((payload) => {
    if (payload === "bad") throw Object.assign(new Error("bad"), { code: 9 });
    return null;
  });
  await queue.enqueueAndWait("good", 1);
  await rejection(queue.enqueueAndWait("bad", "bad"));
  expect((await queue.get("good")).outcome).toEqual({ state: "succeeded", result: null });
  expect((await queue.get("bad")).outcome).toMatchObject({
    state: "failed",
    error: { message: "bad", originalError: { name: "Error", code: "FAILED_PRECONDITION" } },
  });
  expect(await rejection(queue.get("none"))).toMatchObject({ code: "JOB_NOT_FOUND" });
});

test("32, 33: cancel by state; a failed id is run again by retry or by its policy, not by cancel", async () => {
  const { queue, work, until } = await start();
  let broken = true;
  work(async (payload, { signal }) => {
    if (payload === "long") await new Promise((_, reject) => signal.addEventListener("abort", () => reject("stopped")));
    if (broken) throw new Error("no");
    return "mended";
  });
  expect(await rejection(queue.cancel("none"))).toMatchObject({ code: "JOB_NOT_FOUND" });
  await queue.enqueue("waiting", 1, { delay: 60_000 });
  expect(await queue.cancel("waiting")).toMatchObject({ state: "cancelled" });
  await queue.enqueue("running", "long");
  await until("running", ({ state }) => state === "running");
  expect(await queue.cancel("running")).toMatchObject({ state: "running", cancelRequested: true });
  expect(await rejection(queue.wait("running"))).toMatchObject({ code: "JOB_CANCELLED" });
  await rejection(queue.enqueueAndWait("failed", 1, { maxAttempts: 1 }));
  expect(await queue.cancel("failed")).toMatchObject({ state: "failed" });
  broken = false;
  expect(await queue.retry("failed")).toMatchObject({ state: "queued" });
  expect(await queue.wait("failed")).toBe("mended");
  expect(await queue.cancel("failed")).toMatchObject({ state: "succeeded" });
});

test("36: a lost lease needs no reaper to be started: the job comes back, and the broker's observer says so", async () => {
  const lost: [string, LeaseLoss][] = [];
  const rig = closes(await startRig({}, undefined, { leaseLost: ({ jobId }, why) => void lost.push([jobId, why]) }));
  const dead = new SeamWorker(rig.broker);
  const job = spec();
  await rig.broker.callers.enqueue(job, requestId(), call());
  await rig.clock.advance(1_000);
  dead.session.linkClosed();
  await rig.clock.advance(6_000);
  const next = new SeamWorker(rig.broker);
  await rig.clock.advance(1_000);
  expect(next.deliveries).toMatchObject([{ jobId: job.jobId, attempt: 2 }]);
  expect(lost).toEqual([[job.jobId, "stream_ended"]]);
});

test("39: what is no longer kept goes by itself, though nobody asks for it again", async () => {
  const { client, queue, work, advance } = await start({ clock: "manual" });
  work(() => "done");
  await queue.enqueueAndWait("a", 1, { resultTtl: 10_000 });
  const kept = async () => (await client.admin.listQueues({})).queues.map(({ succeeded }) => Number(succeeded));
  expect(await kept()).toEqual([1]);
  await advance(60_000);
  expect(await kept()).toEqual([]);
});

test("42: payloads in a format of one's own are bytes to queuecall", async () => {
  const { client, work } = await start();
  const queue = client.queue<Uint8Array, Uint8Array>("q");
  const pack = (value: unknown) => new TextEncoder().encode(JSON.stringify(value).split("").reverse().join(""));
  const unpack = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes).split("").reverse().join(""));
  work((bytes: Uint8Array) => pack({ got: unpack(bytes) }));
  expect(unpack(await queue.enqueueAndWait("a", pack({ n: 1 })))).toEqual({ got: { n: 1 } });
});
