/** A queue's types on the caller's end, and what they mean on the wire. */
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import {
  createQueueClient,
  defineQueue,
  type EnqueueResult,
  type Job,
  type JobFailedError,
  type QueueClient,
} from "../../client/index.ts";
import { type Backoff, BackoffSchema, Disposition, JobState, ProgressSchema } from "../../gen/queuecall/v1/job_pb.js";
import { FakeBroker } from "./fake-broker.ts";

let broker: FakeBroker;
let client: QueueClient;

beforeEach(async () => {
  broker = await FakeBroker.start();
  client = createQueueClient({ url: broker.url });
});
afterEach(async () => {
  await client.close();
  broker.close();
});

/** Answers every enqueueAndWait with this payload. */
function answer(data: Uint8Array, contentType = "", messageType = "") {
  const outcome = { case: "result" as const, value: { data, contentType, messageType } };
  broker.on("enqueueAndWait", () => ({ job: { jobId: "j", state: JobState.SUCCEEDED, outcome } }));
}
function sent() {
  const { data, contentType, messageType } = broker.requests("enqueueAndWait")[0]!.message.spec!.payload!;
  return { data: new Uint8Array(data), contentType, messageType };
}

describe("types", () => {
  it("are those of the type arguments for JSON", () => {
    const queue = client.queue<{ url: string }, { status: number }>("fetch");
    expectTypeOf(queue.enqueueAndWait).parameter(1).toEqualTypeOf<{ url: string }>();
    expectTypeOf(queue.enqueueAndWait).returns.resolves.toEqualTypeOf<{ status: number }>();
    expectTypeOf(queue.wait).returns.resolves.toEqualTypeOf<{ status: number }>();
    expectTypeOf(queue.get).returns.resolves.toEqualTypeOf<Job<{ status: number }>>();
    expectTypeOf(queue.watch).returns.toExtend<AsyncIterable<Job<{ status: number }>>>();
    // @ts-expect-error an option of the wrong case
    expectTypeOf(queue.enqueue).toBeCallableWith("id", { url: "" }, { resultTTL: 1 });
    // @ts-expect-error another payload
    expectTypeOf(queue.enqueue).toBeCallableWith("id", { uri: "" });
  });

  it("are unknown where nothing is said", () => {
    expectTypeOf(client.queue("any").wait).returns.resolves.toEqualTypeOf<unknown>();
  });

  it("are initialisers in and messages out with schemas", () => {
    const queue = client.queue(defineQueue("typed", { request: ProgressSchema, response: BackoffSchema }));
    expectTypeOf({ current: 1 }).toExtend<Parameters<typeof queue.enqueue>[1]>();
    expectTypeOf(queue.wait).returns.resolves.toEqualTypeOf<Backoff>();
    // @ts-expect-error no such field
    void (() => queue.enqueue("id", { nothing: 1 }));
  });

  it("tell a cached outcome from a job in flight", () => {
    const read = (answered: EnqueueResult<number>) => {
      if (answered.disposition !== "cached") {
        expectTypeOf(answered.disposition).toEqualTypeOf<"created" | "joined">();
        return;
      }
      if (answered.outcome.state === "succeeded") expectTypeOf(answered.outcome.result).toEqualTypeOf<number>();
      if (answered.outcome.state === "failed") expectTypeOf(answered.outcome.error).toEqualTypeOf<JobFailedError>();
    };
    expect(read).toBeTypeOf("function");
  });
});

describe("payloads", () => {
  it("are JSON by default", async () => {
    answer(Buffer.from('{"ok":true}'), "application/json");
    expect(await client.queue("q").enqueueAndWait("j", { a: [null] })).toEqual({ ok: true });
    expect(sent()).toMatchObject({
      data: new Uint8Array(Buffer.from('{"a":[null]}')),
      contentType: "application/json",
    });
  });

  it("are bytes for bytes", async () => {
    answer(new Uint8Array([255, 0]), "application/octet-stream");
    const result = await client.queue<Uint8Array, Uint8Array>("q").enqueueAndWait("j", new Uint8Array([1, 254]));
    expect([...result]).toEqual([255, 0]);
    expect(sent()).toMatchObject({ data: new Uint8Array([1, 254]), contentType: "application/octet-stream" });
  });

  it("tell undefined from null", async () => {
    const queue = client.queue("q");
    answer(new Uint8Array(0));
    expect(await queue.enqueueAndWait("j", undefined)).toBeUndefined();
    answer(Buffer.from("null"), "application/json");
    expect(await queue.enqueueAndWait("j", null)).toBeNull();
  });

  it("are protobuf with schemas", async () => {
    answer(
      toBinary(BackoffSchema, create(BackoffSchema, { multiplier: 3 })),
      "application/protobuf",
      BackoffSchema.typeName,
    );
    const queue = client.queue(defineQueue("typed", { request: ProgressSchema, response: BackoffSchema }));
    expect((await queue.enqueueAndWait("j", { current: 5 })).multiplier).toBe(3);
    expect(sent()).toMatchObject({
      data: toBinary(ProgressSchema, create(ProgressSchema, { current: 5 })),
      contentType: "application/protobuf",
      messageType: "queuecall.v1.Progress",
    });
  });
});

describe("enqueue", () => {
  it.each([
    [Disposition.CREATED, "created"],
    [Disposition.JOINED, "joined"],
  ])("answers %s as %s, without an outcome", async (disposition, name) => {
    const job = { queue: "q", jobId: "j", state: JobState.QUEUED, version: 1_800_000_000_000_000n, attempt: 0 };
    broker.on("enqueue", () => ({ disposition, job }));
    const status = { queue: "q", jobId: "j", state: "queued", version: 1_800_000_000_000_000, attempt: 0 };
    const answered = await client.queue("q").enqueue("j", 1);
    expect(answered).toEqual({ disposition: name, job: { ...status, cancelRequested: false, outcome: undefined } });
  });

  it("answers a finished job with its outcome", async () => {
    const outcome = { case: "failure" as const, value: { kind: 1, status: { code: 2, message: "bad" } } };
    const job = { queue: "q", jobId: "j", state: JobState.FAILED, outcome };
    broker.on("enqueue", () => ({ disposition: Disposition.CACHED, job }));
    const answered = await client.queue("q").enqueue("j", 1);
    expect(answered).toMatchObject({
      disposition: "cached",
      outcome: { state: "failed", error: { message: "bad", cached: true, code: "JOB_FAILED" } },
    });
  });
});
