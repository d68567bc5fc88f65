/** Bounds on streams, and on what a call holds while it waits. */
import { afterEach, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { refusalOf } from "../support/grpc.ts";
import { MeasuredBroker } from "../support/measured.ts";
import { WireExchange } from "../support/wire-exchange.ts";
import { WireWorker } from "../support/wire-worker.ts";

const toClose: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of toClose.splice(0).reverse()) await each.close();
});

async function brokerOf(settings: object): Promise<BrokerServer> {
  const broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", settings });
  toClose.push(broker);
  return broker;
}

function opened<T extends { close(): unknown }>(stream: T): T {
  toClose.push(stream);
  return stream;
}

test("--max-exchanges: one stream too many is refused, and taken once another has ended", async () => {
  const { grpcAddress } = await brokerOf({ maxExchanges: 2 });
  const stream = () => opened(new WireExchange(grpcAddress)).hello();
  const welcomed = (exchange: WireExchange) => exchange.until(() => exchange.received.find(({ welcome }) => welcome));
  const first = stream();
  await Promise.all([first, stream()].map(welcomed));
  const refused = await stream().ended;
  expect(refusalOf(refused!)).toMatchObject({
    reason: "RATE_LIMITED",
    message: expect.stringContaining("2 multiplexed streams at most"),
    info: { metadata: { limit: "max_exchanges", max_exchanges: "2" } },
  });
  first.stream.end();
  expect(await first.ended).toBeUndefined();
  await welcomed(stream());
});

test("--max-sessions: that many workers, and as many streams again that have not said hello", async () => {
  const broker = await brokerOf({ maxSessions: 2 });
  const worker = () => opened(new WireWorker(broker.grpcAddress));
  const silent = [worker(), worker(), worker()];
  // grpc-js sends a stream's headers with its first message or at the next turn: the broker has it when it counts it.
  await expect.poll(() => broker.stats.sessions).toBe(3);
  const limit = { reason: "RATE_LIMITED", info: { metadata: { limit: "max_sessions", max_sessions: "2" } } };
  // A fourth may be a worker that comes back, but there is no room for it to say hello.
  const fourth = worker();
  await expect.poll(() => broker.stats.sessions).toBe(4);
  expect(refusalOf((await worker().ended) as never)).toMatchObject(limit);
  fourth.hello({ workerId: "w" });
  expect(refusalOf((await fourth.ended) as never)).toMatchObject(limit);
  for (const each of silent.slice(1)) each.close();
  await expect.poll(() => broker.stats.sessions).toBe(1);
  silent[0]!.hello({ workerId: "w" });
  await expect.poll(() => silent[0]!.welcome).toBeDefined();
});

test.each(["multiplex", "unary"] as const)("%s: a call that waits holds nothing of what it sent", async (mode) => {
  const [calls, bytes] = [40, 256 * 1024];
  // What is stored is in SQLite's own memory.
  await using broker = await MeasuredBroker.start("memory:");
  await using client = createQueueClient({ url: `http://${broker.address}`, mode });
  const queue = client.queue("q");
  // What a first call brings with it stays.
  await queue.enqueueAndWait("first", "", { timeout: 0 }).catch(() => {});
  const before = await broker.held();
  const waits = Array.from({ length: calls }, (_, n) =>
    queue.enqueueAndWait(`w${n}`, Buffer.alloc(bytes, n), { timeout: 60_000 }),
  );
  const ended = Promise.allSettled(waits);
  const held = await broker.until(({ waiting }) => waiting === calls);
  expect(held.heap - before.heap).toBeLessThan((calls * bytes) / 3);
  await client.close();
  await ended;
});
