/** Enqueues of one turn travel together, and are answered as if each had gone alone. */
import { ServerCredentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { createQueueClient, JobExistsError, type QueueClient, type QueueClientOptions } from "../../client/index.ts";
import { Disposition } from "../../gen/queuecall/v1/job_pb.js";
import { createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { FakeBroker, hang, refuse } from "./fake-broker.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const created = (spec: { jobId: string } | undefined) => ({
  disposition: Disposition.CREATED,
  job: { queue: "q", jobId: spec?.jobId ?? "", state: 2 },
});

async function start(options: Partial<QueueClientOptions> = {}) {
  const broker = await FakeBroker.start(0, ServerCredentials.createInsecure(), true);
  broker.on("enqueue", ({ message }) => created(message.spec));
  broker.on("enqueueBatch", ({ message }) => ({ items: message.items.map(({ spec }) => created(spec)) }));
  const client: QueueClient = createQueueClient({ url: broker.url, ...options });
  closers.push(() => client.close().then(() => broker.close()));
  return { broker, queue: client.queue<unknown, unknown>("q") };
}
const ids = (count: number) => Array.from({ length: count }, (_, n) => `j${n}`);

it("enqueues of one turn are one call of at most 1,000, one alone is an ordinary call", async () => {
  const { broker, queue } = await start();
  const answers = await Promise.all(ids(1_500).map((id) => queue.enqueue(id, id)));
  expect(answers.map(({ job }) => job.jobId)).toEqual(ids(1_500));
  expect(answers[0]).toMatchObject({ disposition: "created", job: { queue: "q", state: "queued" } });
  expect(broker.requests("enqueueBatch").map(({ message }) => message.items.length)).toEqual([1_000, 500]);
  await queue.enqueue("alone", 1);
  expect(broker.requests("enqueue")).toHaveLength(1);
});

it("each has its own request id, also when it is asked for again", async () => {
  const { broker, queue } = await start();
  broker.on("enqueueBatch", refuse("INTERNAL", "broken"));
  await Promise.all(ids(3).map((id) => queue.enqueue(id, id)));
  const sent = broker.requests("enqueueBatch")[0]!.message.items.map(({ requestId }) => Buffer.from(requestId));
  const again = broker.requests("enqueue").map(({ message }) => Buffer.from(message.requestId));
  expect(new Set(sent.map(String)).size).toBe(3);
  expect(again).toEqual(sent);
});

it("a broker without batches is asked once", async () => {
  const { broker, queue } = await start();
  broker.on("enqueueBatch", refuse("NO_SUCH_SERVICE", "no such method"));
  for (let n = 0; n < 2; n++) await Promise.all(ids(3).map((id) => queue.enqueue(id, id)));
  expect(broker.requests("enqueueBatch")).toHaveLength(1);
  expect(broker.requests("enqueue")).toHaveLength(6);
});

it("large ones go by themselves", async () => {
  const { broker, queue } = await start();
  await Promise.all([queue.enqueue("big", "x".repeat(600_000)), queue.enqueue("a", 1), queue.enqueue("b", 1)]);
  expect(broker.requests("enqueue").map(({ message }) => message.spec?.jobId)).toEqual(["big"]);
  expect(broker.requests("enqueueBatch")[0]!.message.items).toHaveLength(2);
});

it("one that is given up before it was sent is not sent, one that waits ends at its own time", async () => {
  const { broker, queue } = await start({ retry: false });
  const given = new AbortController();
  const call = queue.enqueue("given-up", 1, { signal: given.signal });
  given.abort("no longer");
  broker.on("enqueueBatch", hang);
  const late = queue.enqueue("late", 1, { timeout: 50 });
  void queue.enqueue("patient", 1).catch(() => {});
  await expect(call).rejects.toBe("no longer");
  await expect(late).rejects.toMatchObject({ accepted: "unknown" });
  const sent = broker.requests("enqueueBatch")[0]!.message.items.map(({ spec }) => spec?.jobId);
  expect(sent).toEqual(["late", "patient"]);
});

describe("with a broker", () => {
  it("refusals and outcomes are those of an enqueue by itself", async () => {
    const broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
    const url = `http://${broker.grpcAddress}`;
    const client = createQueueClient({ url });
    const stop = new AbortController();
    const running = createWorker({ url })
      .handle("q", () => "done")
      .run({ signal: stop.signal });
    closers.push(
      () => client.close().then(() => running.then(() => broker.close())),
      () => stop.abort(),
    );
    const queue = client.queue<number, string>("q");
    await queue.enqueueAndWait("there", 1);
    const [made, cached, exists, wrong] = await Promise.allSettled([
      queue.enqueue("new", 1, { delay: 60_000 }),
      queue.enqueue("there", 1),
      queue.enqueue("there", 1, { onDuplicate: "reject" }),
      queue.enqueue("wrong", 1, { delay: 2_000, startTimeout: 1_000 }),
    ]);
    expect(made).toMatchObject({ value: { disposition: "created", job: { state: "scheduled" } } });
    expect(cached).toMatchObject({ value: { disposition: "cached", outcome: { result: "done" } } });
    expect(exists).toMatchObject({ reason: expect.any(JobExistsError) });
    expect(wrong).toMatchObject({ reason: { message: expect.stringContaining("start_timeout") } });
  });
});
