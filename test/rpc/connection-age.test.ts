/** --max-connection-age, as the gRPC specification has it (proposal A9): a GOAWAY, and nothing that anybody calls fails of it. */
import { once } from "node:events";
import { connect } from "node:http2";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker, type Worker } from "../../worker/index.ts";
import { GrpcCaller, methods } from "../support/grpc.ts";

let broker: BrokerServer;
let worker: Worker;
let running: Promise<void>;
let finish: () => void;
beforeAll(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", settings: { maxConnectionAgeMs: 1_000 } });
  const { promise, resolve } = Promise.withResolvers<void>();
  finish = resolve;
  worker = createWorker({ url: `http://${broker.grpcAddress}`, concurrency: 50 })
    .handle("echo", (value: unknown) => value)
    .handle("held", () => promise.then(() => "done"));
  running = worker.run();
});
afterAll(async () => {
  await worker.close();
  await running;
  await broker.close();
});

/** Resolves once a connection that is opened now has had its time, with the code it was told. */
async function age(): Promise<number> {
  const session = connect(`http://${broker.grpcAddress}`);
  const [code] = await once(session, "goaway");
  session.close();
  return code;
}

test("connections are told to go, without an error", async () => {
  expect(await age()).toBe(0);
});

test("calls that wait on an old connection are answered; new ones go on, by stub and by client", async () => {
  const stub = new GrpcCaller(broker.grpcAddress);
  await using client = createQueueClient({ url: `http://${broker.grpcAddress}` });
  const spec = { queue: "held", jobId: "by stub" };
  const held = [
    stub.call(methods.enqueueAndWait, { spec }, { deadlineMs: 40_000 }),
    client.queue("held").enqueueAndWait("by client", undefined, { timeout: 40_000 }),
  ];
  let calls = 0;
  let over = false;
  const callOn = async (call: () => Promise<unknown>) => {
    for (; !over; calls++) await call();
  };
  const calling = [
    callOn(() => stub.call(methods.enqueueAndWait, { spec: { queue: "echo" } }, { deadlineMs: 20_000 })),
    callOn(() => client.queue("echo").enqueueAndWait("", 1, { timeout: 20_000 })),
  ];
  // Twice: every connection of before has had its time then.
  for (let i = 0; i < 2; i++) await age();
  finish();
  const [byStub, byClient] = await Promise.all(held);
  expect([byStub, byClient]).toMatchObject([{ job: { state: 4 } }, "done"]);
  over = true;
  await Promise.all(calling);
  expect(calls).toBeGreaterThan(0);
  stub.close();
});
