/** What a broker announces of its workers: when, and how much of it. */
import { expect, test } from "vitest";
import { type Attached, type Storage, StorageUnavailable } from "../../server/storage/storage.ts";
import { replaced, SeamWorker, startRig } from "../support/broker.ts";

/** A storage that keeps the announcements of this broker, and has another one's. */
async function listening(others: Record<string, Attached> = {}) {
  const said: Attached[] = [];
  const heard = (storage: Storage) =>
    replaced(storage, {
      announce: async (attached) => void said.push(attached),
      announced: async () => new Map(Object.entries(others)),
    });
  return { said, ...(await startRig({}, heard)) };
}

test("every two seconds, and once more when the last worker has left a drained broker", async () => {
  const { said, clock, broker, close } = await listening();
  expect(said).toMatchObject([{ workers: 0 }]);
  new SeamWorker(broker, { queues: ["a", "b"], window: 3 });
  await clock.advance(2_000);
  new SeamWorker(broker, { queues: ["b"] });
  await clock.advance(2_000);
  expect(said.slice(1).map(({ workers, byQueue }) => [workers, Object.fromEntries(byQueue)])).toEqual([
    [1, { a: 1, b: 1 }],
    [2, { a: 1, b: 2 }],
  ]);
  expect(said[1]?.listed).toMatchObject([{ workerId: "w", queues: ["a", "b"], window: 3, draining: false }]);
  await broker.drain();
  expect(said.at(-1)).toMatchObject({ workers: 0, listed: [] });
  await close();
});

test("all are counted, as many are listed as fit into 64 KiB, queues up to a thousand", async () => {
  const { said, clock, broker, close } = await listening();
  const long = (name: string) => name.padEnd(100, "x");
  for (let i = 0; i < 1_100; i++) new SeamWorker(broker, { workerId: long(`w${i}`), queues: ["all", long(`q${i}`)] });
  await clock.advance(2_000);
  const { workers, byQueue, listed } = said.at(-1)!;
  expect([workers, byQueue.size, byQueue.get("all")]).toEqual([1_100, 1_000, 1_100]);
  expect(JSON.stringify(listed).length).toBeLessThan(66_000);
  expect(listed.length).toBeGreaterThan(100);
  expect(broker.admin.workersHere()).toMatchObject({ workers: 1_100 });
  await close();
});

test("what others announced is added to what is here; what was announced of this one is not", async () => {
  const attached = (workers: number): Attached => ({ workers, byQueue: new Map([["q", workers]]), listed: [] });
  const { storage, broker, close } = await listening({ b1: attached(50), b2: attached(2), b3: attached(4) });
  await storage.pause("q", true);
  await storage.pause("constructor", true);
  new SeamWorker(broker);
  const { queues } = await broker.admin.queues();
  expect(queues.map(({ queue, workers, workersHere }) => [queue, workers, workersHere])).toEqual([
    ["constructor", 0, 0],
    ["q", 7, 1],
  ]);
  expect((await broker.admin.workers()).map(({ brokerId, workers }) => [brokerId, workers])).toEqual([
    ["b1", 1],
    ["b2", 2],
    ["b3", 4],
  ]);
  await close();
});

test("a storage that is away: nobody is told of a part as if it were all; those here are known, and telling goes on", async () => {
  const away = () => Promise.reject(new StorageUnavailable("away", "no"));
  let told = 0;
  const announce = () => {
    told++;
    return away();
  };
  const { broker, clock, close } = await startRig({}, (storage) => replaced(storage, { announced: away, announce }));
  new SeamWorker(broker);
  await expect(broker.admin.workers()).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
  await expect(broker.admin.queues()).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
  expect(broker.admin.workersHere()).toMatchObject({ workers: 1, listed: [{ workerId: "w" }] });
  await clock.advance(4_000);
  expect(told).toBe(3);
  await close();
});
