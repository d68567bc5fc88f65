/**
 * Random bytes wherever bytes come in: frames of HTTP/2, bodies of requests, protobuf messages that were right before they
 * were changed. Nothing of it may break the broker, count as a bug, or reach anybody else. FUZZ_RUNS=n and FUZZ_SEED=n
 * choose how much and what; what failed is printed with its seed.
 */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExchangeRequestSchema } from "../../gen/queuecall/v1/multiplex_pb.js";
import { WorkRequestSchema } from "../../gen/queuecall/v1/worker_pb.js";
import { Code } from "../../protocol/errors.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { exchangePath } from "../../server/rpc/exchange.ts";
import { workPath } from "../../server/rpc/worker-service.ts";
import { GrpcCaller, methods, pathOf } from "../support/grpc.ts";
import { Bystander } from "./bystander.ts";
import { Flag, frame, grpcHeaders, headersFrame, message, RawHttp2, Type } from "./raw-http2.ts";

const numRuns = Number(process.env.FUZZ_RUNS ?? 50);
const seed = Number(process.env.FUZZ_SEED ?? 1);
const TIMEOUT_MS = 60_000 + 1_000 * numRuns;

const bugs: unknown[] = [];
let broker: BrokerServer;
let caller: GrpcCaller;
let bystander: Bystander;
beforeAll(async () => {
  const error = (fields: object) => void bugs.push(fields);
  const logger = { debug() {}, info() {}, warn() {}, error };
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", logger });
  caller = new GrpcCaller(broker.grpcAddress);
  bystander = new Bystander(broker.grpcAddress);
});
afterAll(async () => {
  await bystander[Symbol.asyncDispose]();
  caller.close();
  await broker.close();
});

/** Runs the property; afterwards everybody is served and nothing is left. */
async function holds<T>(given: fc.Arbitrary<T>, property: (value: T) => Promise<void>): Promise<void> {
  await fc.assert(fc.asyncProperty(given, property), { numRuns, seed });
  await bystander.isServed();
  expect(bugs).toEqual([]);
}

// ── what is sent ─────────────────────────────────────────────────────────────

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));

/** Bytes that were right, with a few changed, taken out or put in. */
const changed = (right: fc.Arbitrary<Uint8Array>) =>
  fc
    .tuple(right, fc.array(fc.tuple(fc.nat(), fc.nat(2), bytes(6)), { maxLength: 4 }))
    .map(([whole, changes]) =>
      changes.reduce<Buffer>((now, [at, cut, put]) => splice(now, at, cut, put), Buffer.from(whole)),
    );

function splice(now: Buffer, at: number, cut: number, put: Buffer): Buffer {
  const from = at % (now.length + 1);
  return Buffer.concat([now.subarray(0, from), put, now.subarray(from + cut)]);
}

const encoded = <Desc extends DescMessage>(schema: Desc, ...inits: MessageInitShape<Desc>[]) =>
  fc.constantFrom(...inits.map((init) => toBinary(schema, create(schema, init))));

const key = { queue: "q", jobId: "a" };
const ref = { ...key, leaseToken: Buffer.alloc(16, 1) };
const spec = {
  ...key,
  payload: { data: Buffer.from("x"), contentType: "text/plain" },
  labels: { a: "b" },
  delay: { seconds: 1n },
};
const zero = { seconds: 0n };

const calls = fc.oneof(
  ...[
    [methods.enqueue, { spec, requestId: Buffer.alloc(16) }],
    [methods.enqueueAndWait, { spec, waitTimeout: zero }],
    [methods.waitJob, { ...key, waitTimeout: zero }],
    [methods.getJob, key],
    [methods.cancelJob, key],
    [methods.retryJob, key],
    [methods.updateResultTtl, { ...key, resultTtl: { seconds: 5n } }],
  ].map(([method, init]) => {
    const { input } = method as typeof methods.enqueue;
    const right = encoded(input, init as MessageInitShape<typeof input>);
    return fc.record({ path: fc.constant(pathOf(method as typeof methods.enqueue)), body: changed(right) });
  }),
);

const hello = { workerId: "w", protocolVersion: 1, window: 10, subscriptions: [{ queue: "q" }] };
const workRequests = encoded(
  WorkRequestSchema,
  { kind: { case: "hello", value: { ...hello, sessionId: "s", held: [ref] } } },
  { kind: { case: "frame", value: { receivedSeq: 1n, ping: { nonce: 1n }, renewals: [ref] } } },
  { kind: { case: "frame", value: { window: 5, progress: [{ ...ref, progress: { current: 1, message: "m" } }] } } },
  {
    kind: {
      case: "frame",
      value: {
        settlements: [{ ...ref, settleId: 1n, outcome: { case: "failed", value: { status: { code: 3 }, type: "E" } } }],
        subscriptionsUpdate: { subscriptions: [{ queue: "r", methods: ["/a.B/C"] }] },
      },
    },
  },
);
const getJob = toBinary(methods.getJob.input, create(methods.getJob.input, key));
const exchangeRequests = encoded(
  ExchangeRequestSchema,
  { calls: [{ callId: 1, method: pathOf(methods.getJob), message: getJob, headers: { a: "b" } }] },
  { calls: [{ callId: 2, method: "/no/such", timeout: { seconds: 1n } }], cancels: [{ callId: 1 }] },
  { ping: { nonce: 7n } },
);

const streams = fc.oneof(
  fc.record({
    path: fc.constant(workPath),
    first: fc.constant(
      toBinary(WorkRequestSchema, create(WorkRequestSchema, { kind: { case: "hello", value: hello } })),
    ),
    bodies: fc.array(changed(workRequests), { maxLength: 5 }),
  }),
  fc.record({
    path: fc.constant(exchangePath),
    first: fc.constant(
      toBinary(ExchangeRequestSchema, create(ExchangeRequestSchema, { hello: { protocolVersion: 1 } })),
    ),
    bodies: fc.array(changed(exchangeRequests), { maxLength: 5 }),
  }),
);

// ── what comes of it ─────────────────────────────────────────────────────────

test(
  "frames of any kind in any order",
  async () => {
    const frames = fc.array(
      fc.record({ type: fc.nat(12), flags: fc.nat(255), stream: fc.nat(9), payload: bytes(60) }),
      { minLength: 1, maxLength: 20 },
    );
    await holds(frames, async (some) => {
      await using raw = await RawHttp2.begin(broker.grpcAddress);
      await raw.write(...some.map(({ type, flags, stream, payload }) => frame(type, flags, stream, payload)));
    });
  },
  TIMEOUT_MS,
);

test(
  "bodies of any kind, cut anywhere",
  async () => {
    const paths = [
      pathOf(methods.enqueue),
      pathOf(methods.watchJob),
      workPath,
      exchangePath,
      "/grpc.health.v1.Health/Watch",
    ];
    const body = fc.oneof(
      bytes(100),
      fc
        .record({ of: bytes(50), length: fc.nat(100), compressed: fc.nat(2) })
        .map(({ of, ...lie }) => message(of, lie)),
    );
    const requests = fc.array(
      fc.record({ path: fc.constantFrom(...paths), pieces: fc.array(body, { maxLength: 4 }), ends: fc.boolean() }),
      { minLength: 1, maxLength: 5 },
    );
    await holds(requests, async (some) => {
      await using raw = await RawHttp2.begin(broker.grpcAddress);
      for (const [n, { path, pieces, ends }] of some.entries()) {
        const id = 2 * n + 1;
        await raw.write(headersFrame(id, grpcHeaders(path)), ...pieces.map((piece) => frame(Type.data, 0, id, piece)));
        if (ends) await raw.write(frame(Type.data, Flag.endStream, id));
      }
    });
  },
  TIMEOUT_MS,
);

/** What callers' mistakes are answered with. Neither INTERNAL nor UNKNOWN: those are ours. */
const fair = [
  Code.OK,
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.ALREADY_EXISTS,
  Code.FAILED_PRECONDITION,
  Code.DEADLINE_EXCEEDED,
];

test(
  "requests that were right before",
  async () => {
    await holds(calls, async ({ path, body }) => {
      const code = await caller.raw(path, body, { deadlineMs: 20_000, metadata: {} }).then(
        () => Code.OK,
        (error) => error.code,
      );
      expect(fair).toContain(code);
    });
  },
  TIMEOUT_MS,
);

test(
  "messages on streams of workers and callers that were right before",
  async () => {
    const same = (some: Uint8Array): Buffer => Buffer.from(some);
    await holds(streams, async ({ path, first, bodies }) => {
      const stream = caller.client.makeBidiStreamRequest(path, same, same);
      const ended = new Promise<number>((resolve) => {
        stream.on("error", (error) => resolve((error as unknown as { code: number }).code));
        stream.on("end", () => resolve(Code.OK));
      });
      stream.on("data", () => {});
      for (const body of [first, ...bodies]) stream.write(body);
      stream.end();
      expect([...fair, Code.ABORTED]).toContain(await ended);
    });
  },
  TIMEOUT_MS,
);

test.each([
  [
    "20,000 renewals of one lease",
    Code.INVALID_ARGUMENT,
    workPath,
    () => {
      const value = { receivedSeq: 0n, renewals: Array.from({ length: 20_000 }, () => ref) };
      return [
        toBinary(WorkRequestSchema, create(WorkRequestSchema, { kind: { case: "hello", value: hello } })),
        toBinary(WorkRequestSchema, create(WorkRequestSchema, { kind: { case: "frame", value } })),
      ];
    },
  ],
  [
    "20,000 subscriptions",
    Code.INVALID_ARGUMENT,
    workPath,
    () => {
      const subscriptions = Array.from({ length: 20_000 }, (_, n) => ({ queue: `q${n}` }));
      return [
        toBinary(
          WorkRequestSchema,
          create(WorkRequestSchema, { kind: { case: "hello", value: { ...hello, subscriptions } } }),
        ),
      ];
    },
  ],
  [
    "20,000 calls",
    Code.OK,
    exchangePath,
    () => {
      const many = Array.from({ length: 20_000 }, (_, callId) => ({ callId, method: "/no/such" }));
      return [
        toBinary(ExchangeRequestSchema, create(ExchangeRequestSchema, { hello: { protocolVersion: 1 }, calls: many })),
      ];
    },
  ],
  ["groups in groups, 100,000 deep", Code.INVALID_ARGUMENT, workPath, () => [Buffer.alloc(100_000, 0x7b)]],
  [
    "a million fields that nobody knows",
    Code.INVALID_ARGUMENT,
    exchangePath,
    () => [Buffer.alloc(2_000_000, Buffer.from([0xf8, 0x07, 0x01]))],
  ],
])("%s in one message", async (_, code, path, messages) => {
  const same = (some: Uint8Array): Buffer => Buffer.from(some);
  const stream = caller.client.makeBidiStreamRequest(path, same, same);
  const ended = new Promise<number>((resolve) => {
    stream.on("error", (error) => resolve((error as unknown as { code: number }).code));
    stream.on("end", () => resolve(Code.OK));
  });
  stream.on("data", () => {});
  for (const body of messages()) stream.write(body);
  stream.end();
  expect(await ended).toBe(code);
  await bystander.isServed();
  expect(bugs).toEqual([]);
});
