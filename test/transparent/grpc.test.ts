/** Ordinary grpc-js stubs of somebody's service against a broker: their calls are jobs. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Code as ConnectCode, ConnectError } from "@connectrpc/connect";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RenderRequestSchema } from "../../examples/transparent/gen/acme/v1/thumbnailer_pb.js";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Code } from "../../protocol/errors.ts";
import type { BrokerServerOptions } from "../../server/index.ts";
import { NonRetryableError } from "../../worker/index.ts";
import { GrpcCaller, methods, refusalOf } from "../support/grpc.ts";
import { WireWorker } from "../support/wire-worker.ts";
import { announced, RENDER, type Rig, SERVICE, type Stub, start, Thumbnailer } from "./rig.ts";

let rig: Rig;
let stub: Stub;
let runs = 0;
beforeAll(async () => {
  rig = await start();
  ({ stub } = rig);
  rig.work((worker) => worker.service(Thumbnailer, { render: (request) => render(request.url, request.width) }));
  await announced(stub);
});
afterAll(() => rig[Symbol.asyncDispose]());

async function render(url: string, width: number) {
  runs++;
  if (url === "missing") throw new ConnectError("no such image", ConnectCode.NotFound);
  if (url === "odd") {
    const detail = { fieldViolations: [{ field: "url", description: "odd" }] };
    throw new ConnectError("odd", ConnectCode.InvalidArgument, undefined, [{ desc: BadRequestSchema, value: detail }]);
  }
  if (url === "broken") throw new Error("it broke");
  if (url === "busy" && runs < 3) throw new ConnectError("busy", ConnectCode.Unavailable);
  return { image: Buffer.from(`${url} ${width}`), mediaType: "image/png" };
}

describe("a unary call", () => {
  test("is a job: its reply the worker's, its id and disposition in the headers", async () => {
    const { image, mediaType, headers } = await stub.render({ url: "a", width: 7 });
    expect([image, mediaType]).toEqual(["a 7", "image/png"]);
    expect(headers["queuecall-disposition"]).toBe("created");
    const caller = new GrpcCaller(rig.broker.grpcAddress);
    const { job } = await caller.call(methods.getJob, { queue: SERVICE, jobId: headers["queuecall-job-id"]! });
    expect(job).toMatchObject({ method: RENDER, maxAttempts: 3, priority: 0 });
    caller.close();
  });

  test("without a deadline waits too", async () => {
    expect(await stub.render({ url: "b" }, { deadlineMs: Number.POSITIVE_INFINITY })).toMatchObject({ image: "b 0" });
  });

  test("of the same queuecall-job-id runs once, and gets the kept reply", async () => {
    const before = runs;
    const headers = { "queuecall-job-id": "é/once: {1}" };
    // Not ASCII: as bytes.
    const binary = { "queuecall-job-id-bin": Buffer.from("é/once: {1}") };
    await stub.render({ url: "c" }, { headers: { "queuecall-job-id": "once" } });
    expect(await stub.render({ url: "c" }, { headers: { "queuecall-job-id": "once" } })).toMatchObject({
      image: "c 0",
      headers: { "queuecall-disposition": "cached", "queuecall-job-id": "once" },
    });
    expect(runs - before).toBe(1);
    const { headers: answered } = await stub.render({ url: "c" }, { headers: binary });
    expect(decodeURIComponent(answered["queuecall-job-id"]!)).toBe(headers["queuecall-job-id"]);
    const other = await stub.render({ url: "other" }, { headers: { "queuecall-job-id": "once" } });
    expect(other).toMatchObject({ image: "c 0", headers: { "queuecall-payload-mismatch": "true" } });
  });

  test("that is not done in time ends with WAIT_TIMEOUT, and goes on", async () => {
    // The longest wait stands for a deadline, whose margin a busy machine may not keep.
    await using rig = await byHand({ maxWaitMs: 300 });
    const headers = { "queuecall-job-id": "slow" };
    expect(await rig.stub.refused({ url: "slow" }, { headers })).toMatchObject({
      code: Code.DEADLINE_EXCEEDED,
      reason: "WAIT_TIMEOUT",
      waitTimeout: { jobId: "slow", queue: SERVICE },
      headers: { "queuecall-job-id": "slow", "queuecall-disposition": "created" },
    });
    await rig.worker.settle(await rig.worker.delivery(), { case: "completed", value: {} } as never);
    expect((await rig.stub.render({ url: "slow" }, { headers })).headers["queuecall-disposition"]).toBe("cached");
  });

  test("is waited for until its deadline", async () => {
    const headers = { "queuecall-job-id": "patient", "queuecall-delay": "60s" };
    expect(await stub.refused({ url: "patient" }, { headers, deadlineMs: 400 })).toMatchObject({ code: 4 });
    const caller = new GrpcCaller(rig.broker.grpcAddress);
    expect((await caller.call(methods.cancelJob, { queue: SERVICE, jobId: "patient" })).job?.state).toBe(6);
    caller.close();
  });

  test("with queuecall-mode: enqueue is answered at once, with an empty message", async () => {
    const enqueue = { "queuecall-mode": "enqueue", "queuecall-job-id": "later", "queuecall-delay": "0.2s" };
    expect(await stub.render({ url: "later" }, { headers: enqueue })).toMatchObject({
      image: "",
      headers: { "queuecall-job-id": "later", "queuecall-disposition": "created" },
    });
    expect(await stub.render({ url: "later" }, { headers: { "queuecall-job-id": "later" } })).toMatchObject({
      image: "later 0",
    });
  });

  test("carries its fields in headers", async () => {
    const headers = {
      "queuecall-job-id": "all",
      "queuecall-mode": "enqueue",
      "queuecall-queue": "elsewhere",
      "queuecall-priority": "-7",
      "queuecall-delay": "1.5s",
      "queuecall-max-attempts": "9",
      "queuecall-result-ttl": "60s",
      "queuecall-run-timeout": "5s",
      "queuecall-start-timeout": "7.250s",
      "queuecall-retry-on": "failure",
      "queuecall-on-duplicate": "reject",
    };
    await stub.render({ url: "x" }, { headers });
    const caller = new GrpcCaller(rig.broker.grpcAddress);
    const { job } = await caller.call(methods.getJob, { queue: "elsewhere", jobId: "all" });
    expect(job).toMatchObject({ priority: -7, maxAttempts: 9, state: 1, method: RENDER });
    expect(await stub.refused({ url: "x" }, { headers })).toMatchObject({ code: 6, reason: "JOB_ALREADY_EXISTS" });
    caller.close();
  });
});

describe("a failure", () => {
  test("of the handler is the call's own status, with details; the job's id is in the trailers", async () => {
    const missing = await stub.refused({ url: "missing" }, { headers: { "queuecall-job-id": "m" } });
    expect(missing).toMatchObject({ code: Code.NOT_FOUND, message: "no such image", info: undefined });
    expect(missing.headers).toMatchObject({
      "queuecall-job-id": "m",
      "queuecall-disposition": "created",
      "queuecall-reason": "JOB_FAILED",
    });
    const odd = await stub.refused({ url: "odd" });
    expect(odd).toMatchObject({ code: Code.INVALID_ARGUMENT, badRequest: { fieldViolations: [{ field: "url" }] } });
  });

  test("is not retried, unless it is UNAVAILABLE: a stranger's handler may not be idempotent", async () => {
    runs = 0;
    expect(await stub.refused({ url: "broken" })).toMatchObject({ code: Code.UNKNOWN, message: "it broke" });
    expect(runs).toBe(1);
    runs = 0;
    expect(await stub.render({ url: "busy" })).toMatchObject({ image: "busy 0" });
    expect(runs).toBe(3);
    runs = 0;
    const insisting = { headers: { "queuecall-retry-on": "failure", "queuecall-max-attempts": "2" } };
    expect(await stub.refused({ url: "broken" }, insisting)).toMatchObject({ code: Code.UNKNOWN });
    expect(runs).toBe(2);
  });

  test("of a repeated call is the kept one", async () => {
    const headers = { "queuecall-job-id": "failed" };
    await stub.refused({ url: "missing" }, { headers });
    runs = 0;
    expect(await stub.refused({ url: "missing" }, { headers })).toMatchObject({
      code: Code.NOT_FOUND,
      headers: { "queuecall-disposition": "cached" },
    });
    expect(runs).toBe(0);
    const again = { ...headers, "queuecall-on-duplicate": "rerun-if-failed" };
    await stub.refused({ url: "missing" }, { headers: again });
    expect(runs).toBe(1);
  });
});

/** A service of its own, whose worker's every frame is the test's. */
async function byHand(settings: BrokerServerOptions["settings"] = {}) {
  const rig = await start({ settings: { reconnectGraceMs: 100, ...settings } });
  const worker = new WireWorker(rig.broker.grpcAddress);
  worker.hello({ subscriptions: [{ queue: SERVICE, methods: [RENDER] }], window: 5 });
  await announced(rig.stub);
  return Object.assign(rig, { worker });
}

describe("of what becomes of a job that has no status of its own, ErrorInfo says which", () => {
  test("CANCELLED, START_TIMEOUT, RUN_TIMEOUT, CRASH_LOOP", async () => {
    await using rig = await byHand();
    const { stub, worker } = rig;
    const caller = new GrpcCaller(rig.broker.grpcAddress);
    const failed = (kind: string) => ({ reason: "JOB_FAILED", info: { metadata: { kind, queue: SERVICE } } });

    const delayed = stub.refused({}, { headers: { "queuecall-job-id": "c", "queuecall-delay": "60s" } });
    const cancel = () => caller.call(methods.cancelJob, { queue: SERVICE, jobId: "c" });
    while (
      await cancel().then(
        () => false,
        () => true,
      )
    );
    expect(await delayed).toMatchObject({ code: Code.CANCELLED, ...failed("CANCELLED") });

    const nowhere = { "queuecall-start-timeout": "0.2s", "queuecall-queue": "nobody" };
    expect(await stub.refused({}, { headers: nowhere })).toMatchObject({
      code: Code.DEADLINE_EXCEEDED,
      info: { metadata: { kind: "START_TIMEOUT", queue: "nobody" } },
    });

    // Not retried, though tries are left.
    const long = stub.refused({}, { headers: { "queuecall-run-timeout": "0.3s" } });
    await worker.delivery();
    expect(await long).toMatchObject({ code: Code.DEADLINE_EXCEEDED, ...failed("RUN_TIMEOUT") });

    const lost = stub.refused({}, { headers: { "queuecall-max-attempts": "1" } });
    await worker.delivery();
    // The receipt is in front of it.
    worker.frame({ ping: { nonce: 1n } });
    await worker.take(({ pong }) => pong);
    worker.close();
    expect(await lost).toMatchObject({ code: Code.ABORTED, ...failed("CRASH_LOOP") });
    caller.close();
  });
});

describe("metadata", () => {
  test("on the list travels to the worker and back, in binary too; what lets somebody in or is one hop's never does", async () => {
    await using rig = await byHand();
    const { stub, worker } = rig;
    const bytes = Buffer.from([0, 255, 1]);
    const calling = stub.render(
      {},
      {
        headers: {
          "x-tenant": ["a", "b"],
          "x-raw-bin": bytes,
          traceparent: "00-1-2-03",
          authorization: "Bearer secret",
          cookie: "secret",
          "proxy-authorization": "secret",
          unlisted: "1",
        },
      },
    );
    const delivery = await worker.delivery();
    expect(delivery.headers).toEqual({
      "x-tenant": "a, b",
      "x-raw-bin": bytes.toString("base64"),
      traceparent: "00-1-2-03",
    });
    const headers = {
      "x-cost": "3",
      "x-raw-bin": bytes.toString("base64"),
      "set-cookie": "x",
      unlisted: "1",
      "x-bad": "\n",
      "queuecall-job-id": "y",
    };
    await worker.settle(delivery, { case: "completed", value: { headers } } as never);
    const reply = await calling;
    expect(reply.headers).toMatchObject({ "x-cost": "3", "x-raw-bin": bytes.toString("base64") });
    expect(Object.keys(reply.headers)).not.toEqual(expect.arrayContaining(["set-cookie"]));
    expect(reply.headers.unlisted ?? reply.headers["x-bad"]).toBeUndefined();
    expect(reply.headers["queuecall-job-id"]).toBe(delivery.jobId);

    const refused = stub.refused({});
    const second = await worker.delivery();
    const failed = { status: { code: 9, message: "no" }, headers: { "x-why": "because" } };
    await worker.settle(second, { case: "failed", value: failed } as never, 2n);
    expect(await refused).toMatchObject({ code: 9, headers: { "x-why": "because" } });
  });

  test("other names travel where the list says so", async () => {
    await using rig = await start({ settings: { passHeaders: ["tenant"] } });
    const worker = new WireWorker(rig.broker.grpcAddress);
    worker.hello({ subscriptions: [{ queue: SERVICE, methods: [RENDER] }] });
    await announced(rig.stub);
    await rig.stub.render({}, { headers: { tenant: "a", "x-no": "1", "queuecall-mode": "enqueue" } });
    expect((await worker.delivery()).headers).toEqual({ tenant: "a" });
    worker.close();
  });
});

describe("refused, with nothing stored", () => {
  test.each([
    ["queuecall-priority", "high"],
    ["queuecall-priority", "1001"],
    ["queuecall-delay", "5"],
    ["queuecall-delay", "-1s"],
    ["queuecall-max-attempts", "1001"],
    ["queuecall-max-attempts", "1.5"],
    ["queuecall-result-ttl", "0.5s"],
    ["queuecall-result-ttl", "0s"],
    ["queuecall-run-timeout", "0s"],
    ["queuecall-start-timeout", "soon"],
    ["queuecall-mode", "async"],
    ["queuecall-queue", "no queue"],
    ["queuecall-job-id", ""],
    ["queuecall-job-id", "x".repeat(257)],
    ["queuecall-job-id-bin", Buffer.from([0xff, 0xfe])],
    ["queuecall-job-id-bin", Buffer.from("a\nb")],
    ["queuecall-retry-on", "always"],
    ["queuecall-on-duplicate", "REJECT"],
    ["queuecall-jobid", "a"],
    ["queuecall-mode", ["wait", "wait"]],
  ] as const)("%s: %s is INVALID_ARGUMENT by its name", async (name, value) => {
    const refused = await stub.refused({ url: "never" }, { headers: { [name]: value as string } });
    expect(refused).toMatchObject({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(refused.badRequest?.fieldViolations[0]?.field).toMatch(
      new RegExp(`^${name}(-bin)?$|^${name.replace("-bin", "")}$`),
    );
    expect(refused.message).toContain("queuecall-");
  });

  test("two job ids; a start timeout that is over before the delay", async () => {
    const two = { "queuecall-job-id": "a", "queuecall-job-id-bin": Buffer.from("b") };
    expect(await stub.refused({}, { headers: two })).toMatchObject({
      code: 3,
      message: expect.stringContaining("queuecall-job-id"),
    });
    const late = { "queuecall-delay": "5s", "queuecall-start-timeout": "4s" };
    expect(await stub.refused({}, { headers: late })).toMatchObject({
      code: 3,
      message: expect.stringContaining("queuecall-start-timeout: 4000 ms is not above queuecall-delay"),
    });
  });

  test("a message or metadata over the limit", async () => {
    expect(await stub.refused({ url: "x".repeat(1024 * 1024 + 1) })).toMatchObject({ reason: "PAYLOAD_TOO_LARGE" });
    const refused = await stub.refused({}, { headers: { "x-a": "y".repeat(9_000) } });
    expect(refused).toMatchObject({ reason: "PAYLOAD_TOO_LARGE", info: { metadata: { field: "metadata" } } });
  });

  test.each([
    ["/nobody.v1.Knows/It", "NO_SUCH_SERVICE"],
    ["/queuecall.v1.BrokerService/NoSuch", "NO_SUCH_SERVICE"],
    ["/grpc.health.v1.Health/NoSuch", "NO_SUCH_SERVICE"],
    [`/${SERVICE}/NoSuch`, "NO_SUCH_METHOD"],
    [`/${SERVICE}/Preview`, "NO_SUCH_METHOD"],
    ["/nothing", "NO_SUCH_SERVICE"],
    [`/${SERVICE}/`, "NO_SUCH_SERVICE"],
    ["//Render", "NO_SUCH_SERVICE"],
  ])("%s is UNIMPLEMENTED/%s", async (path, reason) => {
    const caller = new GrpcCaller(rig.broker.grpcAddress);
    const refused = await caller.refused(caller.raw(path, new Uint8Array(), { deadlineMs: 5_000 }));
    expect(refused).toMatchObject({ code: Code.UNIMPLEMENTED, reason });
    caller.close();
  });
});

describe("a streaming call", () => {
  test("of a streaming method is UNIMPLEMENTED, in clear words", async () => {
    const error = await new Promise<ServiceError>((resolve) =>
      stub.client
        .preview({ url: "a" })
        .on("data", () => {})
        .on("error", (error) => resolve(error as ServiceError)),
    );
    expect(error.code).toBe(Code.UNIMPLEMENTED);
    expect(error.details).toContain(`/${SERVICE}/Preview`);
    expect(error.details).toContain("streaming");
  });

  test.each([0, 2])("of a unary method with %i messages is UNIMPLEMENTED, and no job", async (count) => {
    runs = 0;
    const stream = stub.client.makeBidiStreamRequest(
      RENDER,
      (bytes: Buffer) => bytes,
      (bytes) => bytes,
    );
    const error = new Promise<ServiceError>((resolve) =>
      stream.on("data", () => {}).on("error", (error) => resolve(error as ServiceError)),
    );
    for (let i = 0; i < count; i++)
      stream.write(Buffer.from(toBinary(RenderRequestSchema, create(RenderRequestSchema))));
    stream.end();
    expect(refusalOf(await error)).toMatchObject({ code: Code.UNIMPLEMENTED, reason: "NO_SUCH_METHOD" });
    expect(runs).toBe(0);
  });

  test("of a service that nobody announced is refused before it says anything", async () => {
    const stream = stub.client.makeBidiStreamRequest(
      "/nobody.v1.Knows/It",
      (bytes: Buffer) => bytes,
      (bytes) => bytes,
    );
    const error = new Promise<ServiceError>((resolve) =>
      stream.on("data", () => {}).on("error", (error) => resolve(error as ServiceError)),
    );
    expect((await error).code).toBe(Code.UNIMPLEMENTED);
  });
});

test("a caller that goes away leaves its job running", async () => {
  await using rig = await byHand();
  const { stub, worker } = rig;
  const metadata = new Metadata();
  metadata.set("queuecall-job-id", "left");
  const { promise: gone, resolve } = Promise.withResolvers<ServiceError | null>();
  const call = stub.client.render({}, metadata, {}, resolve);
  const delivery = await worker.delivery();
  call.cancel();
  expect((await gone)?.code).toBe(Code.CANCELLED);
  while (rig.broker.stats.waiting > 0) await new Promise(setImmediate);
  await worker.settle(delivery, { case: "completed", value: {} } as never);
  expect(await stub.render({}, { headers: { "queuecall-job-id": "left" } })).toMatchObject({
    headers: { "queuecall-disposition": "cached" },
  });
});

test("NonRetryableError and its code", async () => {
  await using rig = await start();
  rig.work((worker) =>
    worker.service(Thumbnailer, {
      render: () => {
        throw new NonRetryableError("gone", { code: Code.UNAVAILABLE });
      },
    }),
  );
  await announced(rig.stub);
  expect(await rig.stub.refused({})).toMatchObject({ code: Code.UNAVAILABLE, message: "gone" });
});
