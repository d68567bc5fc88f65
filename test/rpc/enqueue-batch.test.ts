/** EnqueueBatch: each item is answered as Enqueue would answer it, alone and on a stream. */
import { fromBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EnqueueBatchResponseSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { Disposition, JobState } from "../../gen/queuecall/v1/job_pb.js";
import { Code } from "../../protocol/errors.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { bearer, type Guarded, role, startGuarded } from "../access/rig.ts";
import { GrpcCaller, methods, refusalOf } from "../support/grpc.ts";
import { WireExchange } from "../support/wire-exchange.ts";

let broker: BrokerServer;
let caller: GrpcCaller;
beforeEach(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  caller = new GrpcCaller(broker.grpcAddress);
});
afterEach(async () => {
  caller.close();
  await broker.close();
});

const item = (jobId: string, fields = {}) => ({ spec: { queue: "q", jobId, ...fields } });

test("each item by itself: made, joined, refused, in order", async () => {
  await caller.call(methods.enqueue, item("there"));
  const items = [
    item("a"),
    item("there"),
    item("there", { onDuplicate: 2 }),
    { spec: { queue: "a b" } },
    {},
    item(""),
    item("later", { delay: { seconds: 60n } }),
    item("a"),
  ];
  const { items: answers } = await caller.call(methods.enqueueBatch, { items });
  expect(answers.map(({ disposition }) => disposition)).toEqual([
    Disposition.CREATED,
    Disposition.JOINED,
    Disposition.UNSPECIFIED,
    Disposition.UNSPECIFIED,
    Disposition.UNSPECIFIED,
    Disposition.CREATED,
    Disposition.CREATED,
    Disposition.JOINED,
  ]);
  expect(answers.map(({ status }) => status?.code ?? 0)).toEqual([
    ...[0, 0, Code.ALREADY_EXISTS, Code.INVALID_ARGUMENT, Code.INVALID_ARGUMENT],
    ...[0, 0, 0],
  ]);
  expect(answers[2]!.job).toMatchObject({ queue: "q", jobId: "there" });
  expect(answers[2]!.status!.details[0]!.typeUrl).toMatch(/ErrorInfo$/);
  expect(answers[5]!.job!.jobId).toMatch(/^[0-9a-f-]{36}$/);
  expect(answers.map(({ job }) => job?.state)).toMatchObject({ 0: JobState.QUEUED, 6: JobState.SCHEDULED });
  const { job } = await caller.call(methods.getJob, { queue: "q", jobId: "a" });
  expect(job!.state).toBe(JobState.QUEUED);
});

test("no outcome, although one is there", async () => {
  const stop = new AbortController();
  const running = createWorker({ url: `http://${broker.grpcAddress}` })
    .handle("q", () => "done")
    .run({ signal: stop.signal });
  await caller.call(methods.enqueueAndWait, item("done"));
  stop.abort();
  await running;
  const { items } = await caller.call(methods.enqueueBatch, { items: [item("done")] });
  expect(items[0]).toMatchObject({ disposition: Disposition.CACHED, job: { state: JobState.SUCCEEDED } });
  expect(items[0]!.job!.outcome.case).toBeUndefined();
});

test("a repeat of a request is answered as the first was", async () => {
  const items = [{ ...item("", { onDuplicate: 2 }), requestId: Buffer.alloc(16, 7) }];
  const [first, again] = [
    await caller.call(methods.enqueueBatch, { items }),
    await caller.call(methods.enqueueBatch, { items }),
  ];
  expect(again).toEqual(first);
});

test("1,000 items are stored; none and one more are refused", async () => {
  const items = Array.from({ length: 1_000 }, (_, n) => item(`${n}`));
  const answer = await caller.call(methods.enqueueBatch, { items });
  expect(answer.items.map(({ job }) => job!.jobId)).toEqual(items.map(({ spec }) => spec.jobId));
  for (const wrong of [[], [...items, item("more")]]) {
    const refused = refusalOf(await caller.call(methods.enqueueBatch, { items: wrong }).catch((error) => error));
    expect(refused).toMatchObject({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(refused.message).toContain("from 1 to 1000");
  }
});

test("on a stream it is the same", async () => {
  const wire = new WireExchange(broker.grpcAddress).hello();
  const reply = await wire.reply(wire.begin(methods.enqueueBatch, { items: [item("a"), {}] }));
  const { items } = fromBinary(EnqueueBatchResponseSchema, reply.message);
  expect(items.map(({ disposition }) => disposition)).toEqual([Disposition.CREATED, Disposition.UNSPECIFIED]);
  wire.close();
});

test("rights are asked for item by item, and nothing is stored without one", async () => {
  const producer = role("producer", "mail/*", "enqueue");
  const reader = role("reader", "*", ["wait"]);
  await using rig: Guarded = await startGuarded([producer.entry, reader.entry]);
  const guarded = new GrpcCaller(rig.broker.grpcAddress);
  const items = [{ spec: { queue: "mail/out", jobId: "a" } }, { spec: { queue: "other", jobId: "a" } }];
  const answer = await guarded.call(methods.enqueueBatch, { items }, { metadata: bearer(producer.token) });
  expect(answer.items.map(({ status }) => status?.code)).toEqual([undefined, Code.PERMISSION_DENIED]);
  const look = { queue: "other", jobId: "a" };
  const missing = await guarded.call(methods.getJob, look, { metadata: bearer(reader.token) }).catch((error) => error);
  expect(refusalOf(missing).reason).toBe("JOB_NOT_FOUND");
  guarded.close();
});
