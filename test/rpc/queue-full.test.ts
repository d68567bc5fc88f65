/** Limits of queues as callers and operators see them: QUEUE_FULL, what never is refused, and where the limits are shown. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createQueueClient, OverloadedError, type QueueClient } from "../../client/index.ts";
import { AdminService } from "../../gen/queuecall/v1/admin_pb.js";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { GrpcCaller, methods, refusalOf } from "../support/grpc.ts";

let broker: BrokerServer;
let caller: GrpcCaller;
let client: QueueClient;

beforeAll(async () => {
  const queues = [
    { queue: "few", maxLength: 2 },
    { queue: "small.*", maxLength: Number.POSITIVE_INFINITY, maxBytes: 2_000 },
    { queue: "small.er", maxBytes: 1_000 },
  ];
  const settings = { maxQueueLength: 5, queues };
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", settings });
  caller = new GrpcCaller(broker.grpcAddress);
  client = createQueueClient({ url: `http://${broker.grpcAddress}` });
});
afterAll(async () => {
  await client.close();
  caller.close();
  await broker.close();
});

const enqueue = (queue: string, jobId: string, bytes = 10) =>
  caller.call(methods.enqueue, { spec: { queue, jobId, payload: { data: Buffer.alloc(bytes) } } });
const refusal = (promise: Promise<unknown>) => promise.then(() => undefined, refusalOf);
const infoOf = async (queue: string) =>
  (await caller.call(AdminService.method.listQueues, {})).queues.find((each) => each.queue === queue);

test("a full queue refuses a new job: which limit, how much, when to try again; joins go on", async () => {
  for (const id of ["a", "b"]) await enqueue("few", id);
  const refused = await refusal(enqueue("few", "c"));
  expect(refused).toMatchObject({ code: 8, reason: "QUEUE_FULL" });
  expect(refused?.message).toMatch(/queue few takes 2 unfinished jobs at most \(max_length\): nothing was stored/);
  expect(refused?.info?.metadata).toMatchObject({ queue: "few", limit: "max_length", max_length: "2" });
  expect(refused?.retryInfo?.retryDelay?.seconds).toBe(1n);
  expect((await enqueue("few", "a")).disposition).toBe(2);
  expect(await infoOf("few")).toMatchObject({ queued: 2n, maxLength: 2n, maxBytes: 0n });
  await expect(client.queue("few").enqueue("d", "x")).rejects.toThrow(OverloadedError);
});

test("by bytes; the closest rule counts, and the default for what it leaves out", async () => {
  await enqueue("small.a", "a", 1_500);
  expect((await refusal(enqueue("small.a", "b", 1_500)))?.info?.metadata).toMatchObject({ max_bytes: "2000" });
  expect(await refusal(enqueue("small.er", "a", 1_500))).toMatchObject({ reason: "QUEUE_FULL" });
  const { queued, bytes, maxLength, maxBytes } = (await infoOf("small.a"))!;
  expect([queued, maxLength, maxBytes]).toEqual([1n, 0n, 2_000n]);
  expect(Number(bytes)).toBeGreaterThan(1_500);
  for (let i = 0; i < 5; i++) await enqueue("any", `j${i}`);
  expect((await refusal(enqueue("any", "one more")))?.info?.metadata).toMatchObject({ max_length: "5" });
  const { limits } = await caller.call(AdminService.method.getServerInfo, {});
  expect(limits).toMatchObject({ maxQueueLength: 5n, maxQueueBytes: 0n });
});

test("a queue that was full takes jobs again once some have ended", async () => {
  const stop = new AbortController();
  const worker = createWorker({ url: `http://${broker.grpcAddress}` }).handle("few", () => "done");
  const running = worker.run({ signal: stop.signal });
  await client.queue("few").wait("a", { timeout: 5_000 });
  await client.queue("few").wait("b", { timeout: 5_000 });
  expect(await client.queue("few").enqueueAndWait("c", "x", { timeout: 5_000 })).toBe("done");
  stop.abort();
  await running;
});
