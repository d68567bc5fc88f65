/** What is refused before anything is sent, and what is sent for each option. */
import { toJson } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createQueueClient,
  InvalidRequestError,
  type Queue,
  type QueueClient,
  type QueueClientOptions,
} from "../../client/index.ts";
import { JobSpecSchema } from "../../gen/queuecall/v1/job_pb.js";
import { FakeBroker } from "./fake-broker.ts";

let broker: FakeBroker;
let client: QueueClient;
let queue: Queue<unknown, unknown>;

beforeEach(async () => {
  broker = await FakeBroker.start();
  broker.on("enqueue", () => ({ job: { jobId: "j" } }));
  client = createQueueClient({ url: broker.url });
  queue = client.queue("q");
});
afterEach(async () => {
  await client.close();
  broker.close();
});

const sent = () => toJson(JobSpecSchema, broker.requests("enqueue")[0]!.message.spec!);

describe("options of a call", () => {
  it.each([
    [{ resultTTL: 1 }, 'unknown option "resultTTL"; did you mean "resultTtl"?'],
    [{ max_attempts: 1 }, 'unknown option "max_attempts"; did you mean "maxAttempts"?'],
    [{ Timeout: 1 }, 'unknown option "Timeout"; did you mean "timeout"?'],
    [{ backoff: { intial: 1 } }, 'unknown option "backoff.intial"; did you mean "backoff.initial"?'],
    [{ zzzzzzzzzzzzzzzz: 1 }, 'unknown option "zzzzzzzzzzzzzzzz"; known are method, headers'],
  ])("refuses %j", async (options, message) => {
    const error = await queue.enqueue("j", 1, options as object).catch((thrown: Error) => thrown);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(message);
    expect(broker.arrived).toEqual([]);
  });

  it("refuses those of another call", async () => {
    await expect(queue.enqueue("j", 1, { cancelOnAbort: true } as object)).rejects.toThrow(TypeError);
    await expect(queue.wait("j", { delay: 1 } as object)).rejects.toThrow(TypeError);
    await expect(queue.get("j", { delay: 1 } as object)).rejects.toThrow(TypeError);
    expect(() => queue.watch("j", { delay: 1 } as object)).toThrow(TypeError);
  });

  it.each(["timeout", "delay", "runTimeout", "startTimeout", "resultTtl"])("checks %s", async (field) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, "30s", null, 5n]) {
      const call = queue.enqueue("j", 1, { [field]: value });
      if (value === null && field === "timeout") await call;
      else await expect(call).rejects.toThrow(new RegExp(`^${field}: expected a finite number of milliseconds`));
    }
    const error = await queue.enqueue("j", 1, { [field]: -1 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidRequestError);
    expect(error).toMatchObject({
      code: "INVALID_REQUEST",
      message: `${field}: must not be negative, got -1`,
      violations: [{ field, description: "must not be negative, got -1" }],
    });
  });

  it.each([
    [{ backoff: { max: -1 } }, "backoff.max: must not be negative"],
    [{ priority: 1.5 }, "priority: expected a whole number"],
    [{ maxAttempts: -1 }, "maxAttempts: must not be negative"],
    [{ onDuplicate: "JOIN" }, "onDuplicate: expected one of join, reject, rerun-if-failed, rerun-if-finished"],
    [{ headers: { a: 1 } }, "headers.a: expected a string, got 1"],
    [{ rejectPayloadMismatch: 1 }, "rejectPayloadMismatch: expected true or false"],
    [{ method: 1 }, "method: expected a string"],
  ])("refuses %j", async (options, message) => {
    await expect(queue.enqueue("j", 1, options as object)).rejects.toThrow(message);
  });

  it("refuses ids and payloads that cannot be sent as they are", async () => {
    await expect(queue.enqueue("\ud800", 1)).rejects.toThrow("id: must not contain lone surrogates");
    await expect(queue.get(1 as unknown as string)).rejects.toThrow("id: expected a string, got 1");
    await expect(queue.enqueue("j", 1n)).rejects.toThrow(TypeError);
    await expect(queue.updateResultTtl("j", Number.NaN)).rejects.toThrow("resultTtl: expected a finite number");
    expect(broker.arrived).toEqual([]);
  });

  it("sends all of them", async () => {
    await queue.enqueue(
      "j",
      { a: 1 },
      {
        method: "/a.B/C",
        headers: { h: "1" },
        labels: { l: "2" },
        priority: -7,
        delay: 1_500,
        maxAttempts: 4,
        backoff: { initial: 50, multiplier: 3, max: 900 },
        runTimeout: 2_000,
        startTimeout: 60_000,
        resultTtl: 300_000,
        onDuplicate: "rerun-if-failed",
        rejectPayloadMismatch: true,
      },
    );
    expect(sent()).toEqual({
      queue: "q",
      jobId: "j",
      method: "/a.B/C",
      payload: { data: Buffer.from('{"a":1}').toString("base64"), contentType: "application/json" },
      headers: { h: "1" },
      labels: { l: "2" },
      priority: -7,
      delay: "1.500s",
      maxAttempts: 4,
      backoff: { initial: "0.050s", multiplier: 3, max: "0.900s" },
      runTimeout: "2s",
      startTimeout: "60s",
      resultTtl: "300s",
      onDuplicate: "ON_DUPLICATE_RERUN_IF_FAILED",
      rejectPayloadMismatch: true,
    });
  });

  it("leaves to the broker what is not given", async () => {
    await queue.enqueue("j", undefined, { delay: undefined });
    expect(sent()).toEqual({ queue: "q", jobId: "j", payload: {} });
  });

  it("come from the client's defaults where they are absent or undefined", async () => {
    await using eager = createQueueClient({
      url: broker.url,
      defaults: { maxAttempts: 9, priority: 1, timeout: 1_000 },
    });
    await eager.queue("q").enqueue("j", undefined, { priority: 2, maxAttempts: undefined });
    expect(sent()).toMatchObject({ maxAttempts: 9, priority: 2 });
  });
});

describe("options of a client", () => {
  const made = (options: object) => () => createQueueClient(options as QueueClientOptions);

  it("are checked", () => {
    const url = "http://127.0.0.1:1";
    expect(made({ urls: url })).toThrow(new TypeError('unknown option "urls"; did you mean "url"?'));
    expect(made({})).toThrow("url: expected a string, got undefined");
    expect(made({ url: [] })).toThrow("url: expected at least one");
    expect(made({ url: "redis://h:1" })).toThrow("url: expected http://host:port or https://host:port");
    expect(made({ url, mode: "fast" })).toThrow('mode: expected "unary" or "multiplex"');
    expect(made({ url, defaults: { resultTTL: 1 } })).toThrow(
      '"defaults.resultTTL"; did you mean "defaults.resultTtl"?',
    );
    expect(made({ url, defaults: { delay: -1 } })).toThrow("delay: must not be negative");
    expect(made({ url, retry: { initial: -1 } })).toThrow("retry.initial: must not be negative");
    expect(made({ url, mode: "multiplex", token: "t", retry: false })).not.toThrow();
  });

  it("take an address as the broker prints it", async () => {
    await using bare = createQueueClient({ url: broker.url.replace("http://", "") });
    await bare.queue("q").enqueue("j", 1);
    expect(broker.arrived).toHaveLength(1);
  });

  it("names of queues are checked", () => {
    expect(() => client.queue("no spaces")).toThrow(InvalidRequestError);
    expect(() => client.queue("")).toThrow(InvalidRequestError);
    expect(() => client.queue(undefined as unknown as string)).toThrow(TypeError);
  });
});
