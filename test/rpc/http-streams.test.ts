/** Workers and multiplexed callers on the HTTP port: whatever it speaks over HTTP/2, and our own client and worker. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createWritableIterable } from "@connectrpc/connect/protocol";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { EnqueueAndWaitRequestSchema, EnqueueAndWaitResponseSchema } from "../../gen/queuecall/v1/broker_pb.js";
import {
  type ExchangeRequestSchema,
  type ExchangeResponse,
  MultiplexService,
} from "../../gen/queuecall/v1/multiplex_pb.js";
import { WorkerService, type WorkRequestSchema } from "../../gen/queuecall/v1/worker_pb.js";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { methods, pathOf, refusalOf } from "../support/grpc.ts";
import { WireExchange } from "../support/wire-exchange.ts";
import { WireWorker } from "../support/wire-worker.ts";

let broker: BrokerServer;
let url: string;
let address: string;
beforeEach(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", http: "127.0.0.1:0" });
  address = broker.httpAddress as string;
  url = `http://${address}`;
});
afterEach(() => broker.close());

const idle = { waiting: 0, sessions: 0, calls: 0 };
const waitRequest = (jobId: string) => {
  const spec = { queue: "q", jobId, payload: { data: Buffer.from(jobId) } };
  return toBinary(EnqueueAndWaitRequestSchema, create(EnqueueAndWaitRequestSchema, { spec }));
};

const transports: [string, () => Transport][] = [
  ["Connect", () => createConnectTransport({ baseUrl: url, httpVersion: "2", useBinaryFormat: true })],
  ["Connect, JSON", () => createConnectTransport({ baseUrl: url, httpVersion: "2", useBinaryFormat: false })],
  ["gRPC-Web", () => createGrpcWebTransport({ baseUrl: url, httpVersion: "2" })],
  ["gRPC", () => createGrpcTransport({ baseUrl: url })],
];

describe.each(transports)("%s", (_, transport) => {
  test("a worker's stream and a multiplexed caller's, to their ends", async () => {
    const work = createWritableIterable<MessageInitShape<typeof WorkRequestSchema>>();
    const calls = createWritableIterable<MessageInitShape<typeof ExchangeRequestSchema>>();
    const hello = { protocolVersion: 1, workerId: "w", window: 1, subscriptions: [{ queue: "q" }] };
    void work.write({ kind: { case: "hello", value: hello } });
    const callOf = { callId: 1, method: pathOf(methods.enqueueAndWait), message: waitRequest("a") };
    void calls.write({ hello: { protocolVersion: 1 }, calls: [callOf] });
    const answers = (async () => {
      const all: ExchangeResponse[] = [];
      for await (const response of createClient(MultiplexService, transport()).exchange(calls)) {
        all.push(response);
        if (response.replies.length > 0) calls.close();
      }
      return all;
    })();

    let settled = 0;
    for await (const { kind } of createClient(WorkerService, transport()).work(work)) {
      if (kind.case !== "frame") continue;
      for (const { queue, jobId, leaseToken } of kind.value.deliveries) {
        const payload = { data: Buffer.from("done") };
        const outcome = { case: "completed" as const, value: { payload } };
        const settlements = [{ settleId: 1n, queue, jobId, leaseToken, outcome }];
        void work.write({ kind: { case: "frame", value: { settlements } } });
      }
      settled += kind.value.settled.length;
      if (settled > 0) work.close();
    }
    const replies = (await answers).flatMap(({ replies }) => replies);
    expect(replies).toMatchObject([{ callId: 1 }]);
    const { job } = fromBinary(EnqueueAndWaitResponseSchema, replies[0]?.message ?? Buffer.of());
    expect(job?.outcome).toMatchObject({ case: "result", value: { data: Uint8Array.from(Buffer.from("done")) } });
    await vi.waitFor(() => expect(broker.stats).toMatchObject(idle));
  });

  test("what breaks the protocol ends the stream, and says why", async () => {
    const { work } = createClient(WorkerService, transport());
    async function* requests() {
      yield { kind: { case: "frame" as const, value: {} } };
    }
    const error = await work(requests())[Symbol.asyncIterator]().next().catch(ConnectError.from);
    expect((error as ConnectError).code).toBe(Code.InvalidArgument);
    expect((error as ConnectError).findDetails(ErrorInfoSchema)[0]?.reason).toBe("PROTOCOL_VIOLATION");
    await vi.waitFor(() => expect(broker.stats).toMatchObject(idle));
  });
});

test("our client and worker need no other port", async () => {
  const stop = new AbortController();
  const working = createWorker({ url })
    .handle<Uint8Array, Uint8Array>("echo", (data) => data)
    .run({ signal: stop.signal });
  await using client = createQueueClient({ url });
  const large = Buffer.alloc(900_000, 7);
  const echoed = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      client.queue("echo").enqueueAndWait(`${n}`, n === 7 ? large : Buffer.from(`${n}`)),
    ),
  );
  expect(echoed.map((each) => Buffer.from(each as Uint8Array).equals(large))).toEqual(
    Array.from({ length: 20 }, (_, n) => n === 7),
  );
  stop.abort();
  await working;
});

test("malformed bytes are the peer's mistake", async () => {
  const worker = new WireWorker(address);
  worker.stream.write(Buffer.of(0xff, 0xff));
  const exchange = new WireExchange(address).hello();
  exchange.stream.write(Buffer.of(0xff, 0xff));
  for (const ended of [worker.ended, exchange.ended]) {
    expect(refusalOf((await ended) as never)).toMatchObject({ code: 3, reason: "PROTOCOL_VIOLATION" });
  }
  worker.close();
  exchange.close();
});

test("whoever goes leaves nothing behind, and a drain sends callers elsewhere", async () => {
  const worker = new WireWorker(address);
  worker.hello({ queues: ["other"] });
  const exchange = new WireExchange(address).hello();
  exchange.begin(methods.enqueueAndWait, { spec: { queue: "q", jobId: "a" } });
  await vi.waitFor(() => expect(broker.stats).toMatchObject({ waiting: 1, sessions: 1 }));
  worker.close();
  exchange.close();
  await vi.waitFor(() => expect(broker.stats).toMatchObject(idle));

  const later = new WireExchange(address).hello();
  await later.until(() => later.received[0]);
  const drained = broker.drain();
  await later.until(() => later.received.find(({ drain }) => drain));
  expect(await later.ended).toBeUndefined();
  expect(await drained).toEqual({ cut: false });
});

test("HTTP/1.1 cannot carry them, and says so", async () => {
  const answer = await fetch(`${url}${pathOf(WorkerService.method.work)}`, {
    method: "POST",
    headers: { "content-type": "application/connect+proto", "connect-protocol-version": "1" },
    body: Buffer.of(0, 0, 0, 0, 0),
  });
  expect(answer.status).toBe(505);
});
