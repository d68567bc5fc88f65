/** Calls on one stream are what they are by themselves; and what only the stream has: ids, frames, bounds, drain. */
import { fromBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { AdminService } from "../../gen/queuecall/v1/admin_pb.js";
import { EnqueueAndWaitResponseSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { JobState } from "../../gen/queuecall/v1/job_pb.js";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { GrpcCaller, methods, pathOf, refusalOf } from "../support/grpc.ts";
import { WireExchange } from "../support/wire-exchange.ts";

const LIMIT = 10_000;

let broker: BrokerServer;
let caller: GrpcCaller;
let wire: WireExchange;
beforeEach(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  caller = new GrpcCaller(broker.grpcAddress);
  wire = new WireExchange(broker.grpcAddress);
});
afterEach(async () => {
  wire.close();
  caller.close();
  await broker.close();
});

const spec = (jobId: string, data = new Uint8Array()) => ({ queue: "q", jobId, payload: { data } });
/** How long a call waited, to the nanosecond, is its own. */
const told = (status?: Status) => ({
  message: status?.message.replace(/after \d+ ms/, "after a while"),
  details: status?.details.map(({ typeUrl, value }) =>
    typeUrl.endsWith("WaitTimeout") ? typeUrl : { typeUrl, value },
  ),
});
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("the same as an ordinary call", () => {
  const wait = { waitTimeout: {} };
  const cases = [
    ["a wrong field", methods.enqueue, { spec: { queue: "a b" } }],
    ["no spec", methods.enqueueAndWait, {}],
    ["too large a payload", methods.enqueue, { spec: spec("big", new Uint8Array(1024 * 1024 + 1)) }],
    ["no such job", methods.getJob, { queue: "q", jobId: "none ü" }],
    ["nothing to wait for", methods.waitJob, { queue: "q", jobId: "none" }],
    ["a job that exists", methods.enqueue, { spec: { ...spec("there"), onDuplicate: 2 } }],
    ["another payload", methods.enqueue, { spec: { ...spec("there", Buffer.of(1)), rejectPayloadMismatch: true } }],
    ["a wait that is over", methods.enqueueAndWait, { spec: spec("there"), ...wait }],
    ["a lifetime too short", methods.updateResultTtl, { queue: "q", jobId: "there", resultTtl: { nanos: 1 } }],
    ["a wrong page", AdminService.method.listQueues, { pageToken: "?" }],
  ] as const;

  test.each(cases)("%s: status, details and trailers", async (_case, method, init) => {
    await caller.call(methods.enqueue, { spec: spec("there") });
    const refused = await caller.call(method as never, init as never).catch((error) => error);
    const reply = await wire.hello().reply(wire.begin(method as never, init as never));
    const details = refused.metadata.get("grpc-status-details-bin")[0] as Buffer;
    expect(told(reply.status)).toEqual(told(fromBinary(StatusSchema, details)));
    expect(reply.status?.code).toBe(refused.code);
    const { "grpc-status-details-bin": _, ...trailers } = refused.metadata.getMap();
    expect(trailers).toMatchObject(reply.trailers);
    expect(reply.trailers["queuecall-reason"]).toBe(refusalOf(refused).reason);
  });

  test("bytes that are no message", async () => {
    const path = pathOf(methods.getJob);
    const bytes = Buffer.of(0xff, 0xff);
    const refused = refusalOf(await caller.raw(path, bytes).catch((error) => error));
    wire.hello({ calls: [{ callId: 1, method: path, message: bytes }] });
    expect((await wire.reply(1)).status).toMatchObject({ code: refused.code, message: refused.message });
  });

  test("an outcome", async () => {
    const stop = new AbortController();
    const running = createWorker({ url: `http://${broker.grpcAddress}` })
      .handle("q", () => "done")
      .run({ signal: stop.signal });
    const { status, message } = await wire.hello().reply(wire.begin(methods.enqueueAndWait, { spec: spec("a") }));
    expect(status).toBeUndefined();
    const { job } = fromBinary(EnqueueAndWaitResponseSchema, message);
    expect(job).toMatchObject({ jobId: "a", state: JobState.SUCCEEDED, outcome: { case: "result" } });
    stop.abort();
    await running;
  });

  test("a method that is not there, or no unary one", async () => {
    wire.hello();
    for (const method of ["/queuecall.v1.BrokerService/Nope", pathOf(methods.watchJob), ""]) {
      const callId = 100 + method.length;
      wire.say({ calls: [{ callId, method }] });
      expect((await wire.reply(callId)).trailers).toEqual({ "queuecall-reason": "NO_SUCH_SERVICE" });
    }
  });
});

describe("deadline and cancel", () => {
  test("a wait ends before the call's deadline, in the broker's words", async () => {
    const reply = await wire.hello().reply(wire.begin(methods.enqueueAndWait, { spec: spec("a") }, 200));
    expect(reply.trailers).toMatchObject({ "queuecall-reason": "WAIT_TIMEOUT", "queuecall-job-id": "a" });
    expect(broker.stats).toMatchObject({ waiting: 0, calls: 0 });
  });

  test("a negative timeout is a wrong field", async () => {
    wire.hello({ calls: [{ callId: 1, method: pathOf(methods.getJob), timeout: { seconds: -1n } }] });
    expect((await wire.reply(1)).trailers["queuecall-reason"]).toBe("INVALID_FIELD");
  });

  test("a cancelled call frees its wait and gets no reply; its id may be used again", async () => {
    wire.hello({ calls: [wire.callOf(methods.enqueueAndWait, { spec: spec("a") })] });
    await vi.waitFor(() => expect(broker.stats).toMatchObject({ waiting: 1, calls: 1 }));
    wire.say({ cancels: [{ callId: 1 }, { callId: 7 }] });
    await vi.waitFor(() => expect(broker.stats).toMatchObject({ waiting: 0, calls: 0 }));
    wire.say({ calls: [{ ...wire.callOf(methods.getJob, { queue: "q", jobId: "a" }), callId: 1 }] });
    expect((await wire.reply(1)).status).toBeUndefined();
    expect(wire.replies).toHaveLength(1);
  });

  test("the end of the stream frees every wait", async () => {
    wire.hello();
    for (let n = 0; n < 50; n++) wire.begin(methods.enqueueAndWait, { spec: spec(`job-${n}`) });
    await vi.waitFor(() => expect(broker.stats.waiting).toBe(50));
    wire.close();
    await vi.waitFor(() => expect(broker.stats).toMatchObject({ waiting: 0, calls: 0 }));
  });

  test("10,000 timeouts leave nothing behind", async () => {
    const calls = Array.from({ length: LIMIT }, (_, n) =>
      wire.callOf(methods.enqueueAndWait, { spec: spec(`job-${n}`), waitTimeout: { nanos: 5e8 } }),
    );
    wire.hello({ calls });
    await wire.until(() => (wire.replies.length === LIMIT ? true : undefined));
    const reasons = new Set(wire.replies.map(({ trailers }) => trailers["queuecall-reason"]));
    expect([...reasons]).toEqual(["WAIT_TIMEOUT"]);
    expect(new Set(wire.replies.map(({ callId }) => callId)).size).toBe(LIMIT);
    expect(broker.stats).toMatchObject({ waiting: 0, calls: 0 });
  });
});

describe("bounds and fairness", () => {
  test("over 10,000 calls in flight: RATE_LIMITED, and the others wait on", async () => {
    const calls = Array.from({ length: LIMIT + 3 }, (_, n) =>
      wire.callOf(methods.enqueueAndWait, { spec: spec(`${n}`) }),
    );
    wire.hello({ calls });
    await wire.until(() => (wire.replies.length === 3 ? true : undefined));
    for (const { callId, status, trailers } of wire.replies) {
      expect(callId).toBeGreaterThan(LIMIT);
      expect(status?.code).toBe(8);
      expect(trailers["queuecall-reason"]).toBe("RATE_LIMITED");
    }
    expect(wire.received[0]?.welcome).toMatchObject({ maxInFlight: LIMIT, maxMessageBytes: 4n * 1024n * 1024n });
    await vi.waitFor(() => expect(broker.stats.waiting).toBe(LIMIT));
  });

  test("large answers come in frames of about 1 MiB, small ones among them", async () => {
    const big = new Uint8Array(700 * 1024);
    for (let n = 0; n < 8; n++) await caller.call(methods.enqueue, { spec: spec(`big-${n}`, big) });
    await caller.call(methods.enqueue, { spec: spec("small") });
    const get = (jobId: string) => wire.callOf(methods.getJob, { queue: "q", jobId });
    const calls = Array.from({ length: 8 }, (_, n) => [get(`big-${n}`), get("small")]).flat();
    wire.hello({ calls });
    await wire.until(() => (wire.replies.length === 16 ? true : undefined));
    const sizes = wire.received.map(({ replies }) => replies.reduce((sum, each) => sum + each.message.length, 0));
    expect(Math.max(...sizes)).toBeLessThan(2 * 1024 * 1024);
    expect(wire.replies.every(({ status }) => status === undefined)).toBe(true);
  });

  test("a caller that does not read is not read from, and loses nothing", async () => {
    const big = new Uint8Array(500 * 1024);
    await caller.call(methods.enqueue, { spec: spec("big", big) });
    wire.hello();
    wire.stream.pause();
    for (let n = 0; n < 100; n++) wire.begin(methods.getJob, { queue: "q", jobId: "big" });
    await pause(300);
    wire.stream.resume();
    await wire.until(() => (wire.replies.length === 100 ? true : undefined));
  });

  test("what gets ready together leaves together", async () => {
    const calls = Array.from({ length: 100 }, (_, n) => wire.callOf(methods.enqueue, { spec: spec(`job-${n}`) }));
    wire.hello({ calls });
    await wire.until(() => (wire.replies.length === 100 ? true : undefined));
    expect(wire.received.length).toBeLessThan(20);
  });
});

describe("drain", () => {
  test("interrupts waits, says so, and ends the stream once the caller has nothing more", async () => {
    wire.hello();
    const waiting = wire.begin(methods.enqueueAndWait, { spec: spec("a") });
    await vi.waitFor(() => expect(broker.stats.waiting).toBe(1));
    const drained = broker.drain();
    await wire.until(() => wire.received.find(({ drain }) => drain));
    expect((await wire.reply(waiting)).trailers["queuecall-reason"]).toBe("WAIT_INTERRUPTED");
    const late = wire.begin(methods.enqueue, { spec: spec("b") });
    expect((await wire.reply(late)).trailers["queuecall-reason"]).toBe("BROKER_DRAINING");
    wire.stream.end();
    expect(await wire.ended).toBeUndefined();
    expect(await drained).toEqual({ cut: false });
  });

  test("ends by itself where the caller does nothing", async () => {
    wire.hello();
    await wire.until(() => wire.received[0]);
    expect(await broker.drain()).toEqual({ cut: false });
    expect(await wire.ended).toBeUndefined();
  });
});

describe("the rules", () => {
  const getJob = { method: "/queuecall.v1.BrokerService/GetJob" };
  const violations: [string, (wire: WireExchange) => unknown][] = [
    ["no hello first", () => wire.say({ calls: [{ callId: 1, ...getJob }] })],
    ["an empty first message", () => wire.say({})],
    ["two hellos", () => wire.hello().hello()],
    ["a call_id twice", () => wire.hello({ calls: [1, 1].map((callId) => ({ callId, ...getJob })) })],
    ["bytes that are no message", () => wire.hello().stream.write(Buffer.of(0xff, 0xff, 0xff))],
  ];

  test.each(violations)("%s ends the stream: PROTOCOL_VIOLATION", async (_case, violate) => {
    violate(wire);
    expect(refusalOf((await wire.ended) as never)).toMatchObject({ code: 3, reason: "PROTOCOL_VIOLATION" });
    await vi.waitFor(() => expect(broker.stats).toMatchObject({ waiting: 0, calls: 0 }));
  });

  test("a version that is not spoken any more: PROTOCOL_VERSION", async () => {
    wire.say({ hello: { protocolVersion: 0 } });
    expect(refusalOf((await wire.ended) as never)).toMatchObject({ code: 9, reason: "PROTOCOL_VERSION" });
  });

  test("a ping is answered, and a half-close ends the stream after the last reply", async () => {
    wire.hello({ ping: { nonce: 7n } });
    expect(await wire.until(() => wire.received.find(({ pong }) => pong))).toMatchObject({ pong: { nonce: 7n } });
    const last = wire.begin(methods.enqueueAndWait, { spec: spec("a"), waitTimeout: { nanos: 5e7 } });
    wire.stream.end();
    expect(await wire.ended).toBeUndefined();
    expect((await wire.reply(last)).trailers["queuecall-reason"]).toBe("WAIT_TIMEOUT");
  });
});
