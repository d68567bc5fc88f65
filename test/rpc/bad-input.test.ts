/** Every refusal names the field, the limit and the remedy, in the right code, and leaves nothing behind. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobSpecSchema } from "../../gen/queuecall/v1/job_pb.js";
import { systemClock } from "../../protocol/clock.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { openStorage } from "../../server/storage/open.ts";
import { GrpcCaller, methods, pathOf } from "../support/grpc.ts";

type Spec = MessageInitShape<typeof JobSpecSchema>;
const INVALID_ARGUMENT = 3;
const YEARS_10000 = { seconds: 10_000n * 365n * 86_400n };

let folder: string;
let broker: BrokerServer;
let caller: GrpcCaller;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-"));
  broker = await createBroker({ storage: `sqlite:${folder}/jobs.db`, grpc: "127.0.0.1:0" });
  caller = new GrpcCaller(broker.grpcAddress);
});
afterAll(async () => {
  caller.close();
  await broker.close();
  // Nothing that was refused has left anything: queue "q" was only ever used wrongly.
  const storage = await openStorage(`sqlite:${folder}/jobs.db`, {
    brokerId: "check",
    clock: systemClock,
    warn: () => {},
  });
  const { jobs, indexes } = await storage.inspect("q");
  await storage.close();
  rmSync(folder, { recursive: true });
  expect(jobs).toEqual([]);
  expect(Object.values(indexes).flat()).toEqual([]);
});

const enqueue = (spec: Spec, requestId = new Uint8Array()) => caller.call(methods.enqueue, { spec, requestId });

describe("JobSpec", () => {
  const wrong: [string, Spec, string, RegExp][] = [
    ["no queue", { queue: "" }, "spec.queue", /is required: 1 to 128/],
    ["a queue with a space", { queue: "a b" }, "spec.queue", /"a b" is not a queue name/],
    ["a queue with braces", { queue: "{a}" }, "spec.queue", /A-Z a-z 0-9/],
    ["a queue of 129 characters", { queue: "q".repeat(129) }, "spec.queue", /1 to 128/],
    ["an id of 257 bytes", { queue: "q", jobId: `${"é".repeat(128)}x` }, "spec.job_id", /257 bytes, the limit is 256/],
    ["an id with a newline", { queue: "q", jobId: "a\nb" }, "spec.job_id", /control character/],
    ["an id with NUL", { queue: "q", jobId: "a\0b" }, "spec.job_id", /control character/],
    ["a negative delay", { queue: "q", delay: { seconds: -1n } }, "spec.delay", /negative/],
    ["negative nanos", { queue: "q", delay: { nanos: -1 } }, "spec.delay", /negative/],
    ["too many nanos", { queue: "q", delay: { nanos: 1_000_000_000 } }, "spec.delay", /999,999,999/],
    ["a delay of 10,000 years", { queue: "q", delay: YEARS_10000 }, "spec.delay", /the most is .*365 days/],
    ["a run_timeout of zero", { queue: "q", runTimeout: {} }, "spec.run_timeout", /is zero/],
    ["a start_timeout of zero", { queue: "q", startTimeout: {} }, "spec.start_timeout", /is zero/],
    [
      "a start_timeout within the delay",
      { queue: "q", delay: { seconds: 5n }, startTimeout: { seconds: 5n } },
      "spec.start_timeout",
      /not above spec.delay/,
    ],
    ["a result_ttl of zero", { queue: "q", resultTtl: {} }, "spec.result_ttl", /is zero/],
    [
      "a result_ttl of half a second",
      { queue: "q", resultTtl: { nanos: 5e8 } },
      "spec.result_ttl",
      /the least is 1000 ms/,
    ],
    ["a result_ttl of 10,000 years", { queue: "q", resultTtl: YEARS_10000 }, "spec.result_ttl", /the most is/],
    ["priority 1001", { queue: "q", priority: 1001 }, "spec.priority", /from -1000 to 1000/],
    ["priority -1001", { queue: "q", priority: -1001 }, "spec.priority", /from -1000 to 1000/],
    ["1001 attempts", { queue: "q", maxAttempts: 1001 }, "spec.max_attempts", /from 0 to 1000/],
    ["a back-off of zero", { queue: "q", backoff: { initial: {} } }, "spec.backoff.initial", /is zero/],
    ["a shrinking back-off", { queue: "q", backoff: { multiplier: 0.5 } }, "spec.backoff.multiplier", /from 1 to 100/],
    ["a back-off that is no number", { queue: "q", backoff: { multiplier: Number.NaN } }, "", /./],
    [
      "a back-off whose maximum is below its start",
      { queue: "q", backoff: { initial: { seconds: 2n }, max: { seconds: 1n } } },
      "spec.backoff.max",
      /below spec.backoff.initial/,
    ],
    ["an unknown policy", { queue: "q", onDuplicate: 99 as never }, "spec.on_duplicate", /99/],
    ["a long method", { queue: "q", method: "m".repeat(257) }, "spec.method", /257 bytes, the limit is 256/],
    [
      "a long content type",
      { queue: "q", payload: { contentType: "c".repeat(129) } },
      "spec.payload.content_type",
      /129/,
    ],
  ];
  test.each(wrong.filter(([, , field]) => field !== ""))("%s", async (_, spec, field, text) => {
    const refusal = await caller.refused(enqueue(spec));
    expect(refusal).toMatchObject({ code: INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(refusal.badRequest?.fieldViolations).toMatchObject([{ field }]);
    expect(refusal.message).toMatch(text);
    expect(refusal.info?.metadata.field).toBe(field);
    expect(refusal.trailers.get("queuecall-reason")).toEqual(["INVALID_FIELD"]);
  });

  test("a back-off that is no number is the default", async () => {
    await expect(enqueue({ queue: "other", backoff: { multiplier: Number.NaN } })).resolves.toBeTruthy();
  });

  test("no spec", async () => {
    expect(await caller.refused(caller.call(methods.enqueue, {}))).toMatchObject({
      code: INVALID_ARGUMENT,
      reason: "INVALID_FIELD",
    });
  });

  test("a job without an id is named after its request: a repeat finds it", async () => {
    const id = randomBytes(16);
    const first = await enqueue({ queue: "unnamed" }, id);
    const again = await enqueue({ queue: "unnamed" }, id);
    expect(first.job?.jobId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(again).toMatchObject({ disposition: first.disposition, job: { jobId: first.job?.jobId } });
    const other = await enqueue({ queue: "unnamed" });
    expect(other.job?.jobId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });

  test("a request id that has not 16 bytes", async () => {
    const refusal = await caller.refused(enqueue({ queue: "q" }, randomBytes(15)));
    expect(refusal).toMatchObject({ code: INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(refusal.message).toMatch(/request_id: has 15 bytes; send 16/);
  });
});

describe("sizes", () => {
  test("a payload at the limit is taken, one byte more is refused with the limit", async () => {
    const limit = 1024 * 1024;
    await expect(
      enqueue({ queue: "big", jobId: "fits", payload: { data: new Uint8Array(limit) } }),
    ).resolves.toBeTruthy();
    const refusal = await caller.refused(
      enqueue({ queue: "big", jobId: "over", payload: { data: new Uint8Array(limit + 1) } }),
    );
    expect(refusal).toMatchObject({ code: INVALID_ARGUMENT, reason: "PAYLOAD_TOO_LARGE" });
    expect(refusal.info?.metadata).toMatchObject({ limit_bytes: String(limit), size_bytes: String(limit + 1) });
    expect(await caller.refused(caller.call(methods.getJob, { queue: "big", jobId: "over" }))).toMatchObject({
      reason: "JOB_NOT_FOUND",
    });
  });

  test("headers over 8 KiB", async () => {
    const refusal = await caller.refused(enqueue({ queue: "q", headers: { h: "x".repeat(8192) } }));
    expect(refusal).toMatchObject({ code: INVALID_ARGUMENT, reason: "PAYLOAD_TOO_LARGE" });
    expect(refusal.info?.metadata).toMatchObject({ limit_bytes: "8192", size_bytes: "8193" });
  });

  test("a message over the frame limit is refused by the transport, and the connection lives", async () => {
    const refusal = await caller.refused(enqueue({ queue: "q", payload: { data: new Uint8Array(5 * 1024 * 1024) } }));
    expect(refusal.code).toBe(8);
    await expect(enqueue({ queue: "other", jobId: "after" })).resolves.toBeTruthy();
  });

  test("a compressed message is refused by the transport, with what to do", async () => {
    const gzip = { "grpc.default_compression_algorithm": 2 };
    const client = new Client(broker.grpcAddress, credentials.createInsecure(), gzip);
    const same = (bytes: Buffer) => bytes;
    const error = await new Promise((resolve) =>
      client.makeUnaryRequest(pathOf(methods.enqueue), same, same, Buffer.alloc(1_000), resolve),
    );
    client.close();
    expect(error).toMatchObject({ code: 12, details: expect.stringContaining("send messages as they are") });
  });
});

describe("which job", () => {
  type Key = { queue: string; jobId: string };
  const asks = [
    (key: Key) => caller.call(methods.getJob, key),
    (key: Key) => caller.call(methods.cancelJob, key),
    (key: Key) => caller.call(methods.retryJob, key),
    (key: Key) => caller.call(methods.waitJob, key),
  ];
  test.each([
    ["no queue", { queue: "", jobId: "a" }, "queue"],
    ["no id", { queue: "q", jobId: "" }, "job_id"],
    ["a control character", { queue: "q", jobId: "\u0085" }, "job_id"],
  ])("%s", async (_, key, field) => {
    for (const ask of asks) {
      const refusal = await caller.refused(ask(key));
      expect(refusal).toMatchObject({ code: INVALID_ARGUMENT, reason: "INVALID_FIELD" });
      expect(refusal.badRequest?.fieldViolations[0]?.field).toBe(field);
    }
  });

  test("an unknown job is NOT_FOUND, and its id comes back whole in the trailer", async () => {
    const jobId = "ünknown 100% {id}";
    for (const ask of asks) {
      const refusal = await caller.refused(ask({ queue: "q", jobId }));
      expect(refusal).toMatchObject({ code: 5, reason: "JOB_NOT_FOUND" });
      expect(decodeURIComponent(String(refusal.trailers.get("queuecall-job-id")[0]))).toBe(jobId);
    }
  });

  test("a result_ttl is required, and bounded", async () => {
    await enqueue({ queue: "ttl", jobId: "a" });
    const key = { queue: "ttl", jobId: "a" };
    expect(await caller.refused(caller.call(methods.updateResultTtl, key))).toMatchObject({ reason: "INVALID_FIELD" });
    const late = caller.call(methods.updateResultTtl, { ...key, resultTtl: YEARS_10000 });
    expect(await caller.refused(late)).toMatchObject({ reason: "INVALID_FIELD" });
  });
});

describe("waits", () => {
  test("a negative wait_timeout is refused, an absurd one is clamped", async () => {
    const spec = { queue: "w", jobId: "w" };
    const negative = caller.call(methods.enqueueAndWait, { spec, waitTimeout: { seconds: -1n } });
    expect(await caller.refused(negative)).toMatchObject({ code: INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(await caller.refused(caller.call(methods.getJob, spec))).toMatchObject({ reason: "JOB_NOT_FOUND" });
    const absurd = caller.call(methods.enqueueAndWait, { spec, waitTimeout: YEARS_10000 }, { deadlineMs: 2_000 });
    expect(await caller.refused(absurd)).toMatchObject({ code: 4, reason: "WAIT_TIMEOUT" });
  });
});

describe("bytes", () => {
  test("malformed protobuf is INVALID_ARGUMENT", async () => {
    for (const bytes of [
      Buffer.from([0xff]),
      Buffer.from("0a ff ff ff ff 0f".replaceAll(" ", ""), "hex"),
      randomBytes(64),
    ]) {
      const refusal = await caller.refused(caller.raw(pathOf(methods.enqueue), bytes));
      expect(refusal.code).toBe(INVALID_ARGUMENT);
      expect(refusal.message).not.toMatch(/at .*\.ts/);
    }
  });

  test("an unknown method is UNIMPLEMENTED", async () => {
    expect(await caller.refused(caller.raw("/queuecall.v1.BrokerService/Nope", Buffer.alloc(0)))).toMatchObject({
      code: 12,
    });
  });

  test("grpc-timeout: 99999999H waits like no deadline, not like one that is over", async () => {
    const session = connect(`http://${broker.grpcAddress}`);
    try {
      const request = session.request({
        ":method": "POST",
        ":path": pathOf(methods.getJob),
        "content-type": "application/grpc",
        te: "trailers",
        "grpc-timeout": "99999999H",
      });
      const trailers = new Promise<Record<string, unknown>>((resolve) => {
        request.on("response", (headers) => headers["grpc-status"] !== undefined && resolve(headers));
        request.on("trailers", resolve);
      });
      // queue: "q", job_id: "none"
      const message = Buffer.from("0a017112046e6f6e65", "hex");
      request.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
      request.resume();
      expect(await trailers).toMatchObject({ "grpc-status": "5", "queuecall-reason": "JOB_NOT_FOUND" });
    } finally {
      session.destroy();
    }
  });
});
