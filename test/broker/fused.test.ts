/** Claims that travel with another verb: an enqueue with room at hand, a settlement that makes room. */
import { afterEach, expect, test } from "vitest";
import type { Claimed, Enqueue, Settle, Storage } from "../../server/storage/storage.ts";
import { StorageUnavailable } from "../../server/storage/storage.ts";
import { call, type Rig, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";

let rig: Rig;
afterEach(() => rig.close());

/** Verbs as they are called, and a way to lose the answer of the next one. */
class Watched {
  readonly verbs: string[] = [];
  lose: string | undefined;

  wrap = (storage: Storage): Storage => {
    const seen = async <T>(name: string, verb: () => Promise<T>): Promise<T> => {
      this.verbs.push(name);
      const answer = await verb();
      if (this.lose !== name) return answer;
      this.lose = undefined;
      throw new StorageUnavailable("the answer is lost", "unknown");
    };
    const watched: Partial<Storage> = {
      enqueue: (request: Enqueue) => seen(request.claim ? "enqueue+claim" : "enqueue", () => storage.enqueue(request)),
      settle: (request: Settle) => seen(request.claim ? "settle+claim" : "settle", () => storage.settle(request)),
      claim: (request) => seen("claim", () => storage.claim(request)),
    };
    return new Proxy(storage, {
      get(target, name) {
        const own = watched[name as keyof Storage] ?? target[name as keyof Storage];
        return typeof own === "function" && !(name in watched) ? own.bind(target) : own;
      },
    });
  };

  take(): string[] {
    return this.verbs.splice(0);
  }
}

async function start(window: number, queues = ["q"]): Promise<{ watched: Watched; worker: SeamWorker }> {
  const watched = new Watched();
  rig = await startRig({ probeIntervalMs: 3_600_000 }, watched.wrap);
  const worker = new SeamWorker(rig.broker, { window, queues });
  await rig.clock.advance(1);
  watched.take();
  return { watched, worker };
}

const enqueue = (queue = "q") => rig.broker.callers.enqueue(spec({ queue }), requestId(), call());
const finish = async (worker: SeamWorker, n: number) => {
  worker.complete(worker.deliveries[n] as Claimed);
  await rig.clock.advance(1);
};

test("with room a job is stored and leased by one verb, and its answer is the job as it was stored", async () => {
  const { watched, worker } = await start(1);
  const { status } = await enqueue();
  expect(status.state).toBe("queued");
  await rig.clock.advance(1);
  expect(worker.deliveries.map(({ jobId }) => jobId)).toEqual([status.jobId]);
  await finish(worker, 0);
  expect(watched.take()).toEqual(["enqueue+claim", "settle"]);
});

test("without room it waits, and the settlement that makes room brings it", async () => {
  const { watched, worker } = await start(1);
  for (let n = 0; n < 3; n++) await enqueue();
  await rig.clock.advance(1);
  for (let n = 0; n < 3; n++) await finish(worker, n);
  expect(worker.deliveries).toHaveLength(3);
  const two = ["settle+claim", "settle+claim"];
  expect(watched.take()).toEqual(["enqueue+claim", "enqueue", "enqueue", ...two, "settle"]);
});

test("settlements of one frame fetch by the last of them, as many as all make room for", async () => {
  const { watched, worker } = await start(3);
  for (let n = 0; n < 8; n++) await enqueue();
  await rig.clock.advance(1);
  expect(worker.deliveries).toHaveLength(3);
  watched.take();
  worker.completeAll(worker.deliveries.slice());
  await rig.clock.advance(1);
  expect(worker.deliveries).toHaveLength(6);
  expect(watched.take()).toEqual(["settle", "settle", "settle+claim"]);
  // One that is not held frees nothing: it was settled before. Nor does one that is said again.
  worker.completeAll([worker.deliveries[0], worker.deliveries[3], worker.deliveries[3]] as Claimed[]);
  await rig.clock.advance(1);
  expect(worker.deliveries).toHaveLength(7);
});

test("a stream of several queues has its turns: no settlement claims for it", async () => {
  const { watched, worker } = await start(1, ["a", "b"]);
  for (const queue of ["a", "a", "b", "b"]) await enqueue(queue);
  await rig.clock.advance(1);
  for (let n = 0; n < 4; n++) await finish(worker, n);
  expect(watched.take()).not.toContain("settle+claim");
  expect(worker.deliveries.map(({ queue }) => queue).sort()).toEqual(["a", "a", "b", "b"]);
  expect(worker.deliveries.slice(1, 3).map(({ queue }) => queue)).toContain("b");
});

test("room that was set aside comes back where the job was joined, refused or stayed behind others", async () => {
  const { worker } = await start(1);
  const same = spec({ delayMs: 60_000 });
  for (let n = 0; n < 3; n++) await rig.broker.callers.enqueue(same, requestId(), call());
  await expect(rig.broker.callers.enqueue({ ...same, onDuplicate: "reject" }, requestId(), call())).rejects.toThrow(
    "exists",
  );
  await enqueue();
  await rig.clock.advance(1);
  expect(worker.deliveries).toHaveLength(1);
});

test("an enqueue whose answer is lost: the lease that nobody knows of goes back at once, uncounted", async () => {
  const { watched, worker } = await start(1);
  watched.lose = "enqueue+claim";
  await expect(enqueue()).rejects.toThrow("did not confirm");
  await rig.clock.advance(10);
  expect(worker.deliveries.map(({ attempt }) => attempt)).toEqual([1]);
  await finish(worker, 0);
  await enqueue();
  await rig.clock.advance(1);
  expect(worker.deliveries).toHaveLength(2);
});

test("a settlement whose answer is lost: what it claimed is found by the same claim", async () => {
  const { watched, worker } = await start(1);
  for (let n = 0; n < 3; n++) await enqueue();
  await rig.clock.advance(1);
  watched.lose = "settle+claim";
  await finish(worker, 0);
  expect(worker.deliveries.map(({ attempt }) => attempt)).toEqual([1, 1]);
  expect(worker.frames.flatMap(({ settled }) => settled.map(({ result }) => result))).toEqual(["retry"]);
});
