/** A storage that stands still: enqueues are refused beyond a bound, what drains is not; and a worker that floods is read more slowly. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Enqueue, Storage } from "../../server/storage/storage.ts";
import { call, type Rig, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";

/** Lets verbs through, or holds them until it is opened again. */
class Gate {
  #waiting: (() => void)[] = [];
  #shut = false;

  shut(): void {
    this.#shut = true;
  }
  open(): void {
    this.#shut = false;
    for (const go of this.#waiting.splice(0)) go();
  }
  async pass(): Promise<void> {
    if (this.#shut) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
  through(storage: Storage, verbs: readonly string[]): Storage {
    return new Proxy(storage, {
      get: (target, name) => {
        const value = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        if (!verbs.includes(String(name))) return value.bind(target);
        return async (request: Enqueue) => {
          await this.pass();
          return value.call(target, request);
        };
      },
    });
  }
}

let gate: Gate;
let rig: Rig;
const refusals: string[] = [];
beforeEach(async () => {
  gate = new Gate();
  refusals.length = 0;
  const settings = { maxEnqueues: 20, maxEnqueueBytes: 10_000 };
  const held = (storage: Storage) => gate.through(storage, ["enqueue", "settle"]);
  rig = await startRig(settings, held, { refused: (reason) => void refusals.push(reason) });
});
afterEach(async () => {
  gate.open();
  await rig.close();
});

const enqueue = (bytes = 10) =>
  rig.broker.callers.enqueue(
    spec({ payload: { data: Buffer.alloc(bytes), contentType: "", messageType: "" } }),
    requestId(),
    call(),
  );
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("as many enqueues wait as may, by number; the next are refused, and once the storage answers all is as before", async () => {
  gate.shut();
  const waiting = Array.from({ length: 20 }, () => enqueue());
  await expect(enqueue()).rejects.toMatchObject({
    reason: "RATE_LIMITED",
    message: expect.stringMatching(/20 enqueues wait for the storage.*max_enqueues.*nothing was stored/),
    options: { metadata: { limit: "max_enqueues", max_enqueues: "20" }, retryAfterMs: 500 },
  });
  expect(rig.broker.intake).toMatchObject({ count: 20, bytes: 200 });
  expect(refusals).toEqual(["RATE_LIMITED"]);
  gate.open();
  await Promise.all(waiting);
  expect(rig.broker.intake).toMatchObject({ count: 0, bytes: 0 });
  await enqueue();
  expect((await rig.storage.count("q")).jobs.queued).toBe(21);
});

test("by bytes; one that is larger than the bound goes through alone", async () => {
  gate.shut();
  const waiting = [enqueue(6_000)];
  await expect(enqueue(6_000)).rejects.toMatchObject({ options: { metadata: { limit: "max_enqueue_bytes" } } });
  waiting.push(enqueue(4_000));
  gate.open();
  await Promise.all(waiting);
  await enqueue(50_000);
});

test("a caller that gives up leaves its place only when the storage has answered", async () => {
  gate.shut();
  const late = rig.broker.callers.enqueue(spec(), requestId(), call(1_000));
  const ended = expect(late).rejects.toMatchObject({ reason: "ENQUEUE_UNCONFIRMED" });
  await rig.clock.advance(1_000);
  await ended;
  expect(rig.broker.intake.count).toBe(1);
  gate.open();
  await expect.poll(() => rig.broker.intake.count).toBe(0);
});

test("a worker whose results wait for the storage is not read further, until they are stored", async () => {
  const worker = new SeamWorker(rig.broker, { window: 20 });
  await Promise.all(Array.from({ length: 12 }, () => enqueue()));
  await expect.poll(() => worker.deliveries.length).toBe(12);
  gate.shut();
  const megabyte = "x".repeat(1024 * 1024);
  for (const job of worker.deliveries.slice(0, 7)) worker.complete(job, megabyte);
  expect(worker.reading).toBe(true);
  for (const job of worker.deliveries.slice(7)) worker.complete(job, megabyte);
  expect(worker.reading).toBe(false);
  gate.open();
  await expect.poll(() => worker.reading).toBe(true);
  await turn();
  await expect.poll(async () => (await rig.storage.count("q")).jobs.succeeded).toBe(12);
});
