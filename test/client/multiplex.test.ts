/** What only a multiplexed client does: which stream a call takes, and which calls take none. */
import { ServerCredentials } from "@grpc/grpc-js";
import { afterEach, expect, it } from "vitest";
import { createQueueClient, type QueueClient, type QueueClientOptions } from "../../client/index.ts";
import { Disposition } from "../../gen/queuecall/v1/job_pb.js";
import { FakeBroker, hang, succeeded } from "./fake-broker.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function start({ multiplex = true, ...options }: Partial<QueueClientOptions> & { multiplex?: boolean } = {}) {
  const broker = await FakeBroker.start(0, ServerCredentials.createInsecure(), multiplex);
  broker.on("enqueueAndWait", (call) => ({ disposition: Disposition.CREATED, job: succeeded(call, "done") }));
  const client: QueueClient = createQueueClient({ url: broker.url, mode: "multiplex", ...options });
  closers.push(() => client.close().then(() => broker.close()));
  return { broker, queue: client.queue<unknown, unknown>("q") };
}

it("opens one stream for many calls", async () => {
  const { broker, queue } = await start();
  await Promise.all(Array.from({ length: 200 }, (_, n) => queue.enqueueAndWait(`${n}`, n)));
  expect(broker.requests("enqueueAndWait")).toHaveLength(200);
  expect(broker.exchanges).toBe(1);
});

it("calls one by one where the broker does not know of streams, and asks only once", async () => {
  const { broker, queue } = await start({ multiplex: false, retry: false });
  expect(await Promise.all([queue.enqueueAndWait("a", 1), queue.enqueueAndWait("b", 1)])).toEqual(["done", "done"]);
  expect(await queue.enqueueAndWait("c", 1)).toBe("done");
  expect(broker.requests("enqueueAndWait")).toHaveLength(3);
});

it("sends what is large as a call of its own", async () => {
  const { broker, queue } = await start();
  expect(await queue.enqueueAndWait("a", "x".repeat(1024 * 1024))).toBe("done");
  expect(broker.exchanges).toBe(0);
});

it("opens another stream where the token is another", async () => {
  const tokens = ["one", "one", "two"];
  const { broker, queue } = await start({ token: () => tokens.shift()! });
  for (const id of ["a", "b", "c"]) await queue.enqueueAndWait(id, 1);
  const sent = broker.requests("enqueueAndWait").map(({ headers }) => headers.get("authorization")[0]);
  expect(sent).toEqual(["Bearer one", "Bearer one", "Bearer two"]);
  expect(broker.exchanges).toBe(2);
});

it("leaves nothing of a call that was given up before it was sent", async () => {
  const { broker, queue } = await start();
  broker.on("enqueueAndWait", hang);
  const controller = new AbortController();
  const call = queue.enqueueAndWait("a", 1, { signal: controller.signal });
  controller.abort("no longer");
  await expect(call).rejects.toBe("no longer");
  await queue.enqueueAndWait("b", 1, { timeout: 50 }).catch(() => {});
  expect(broker.requests("enqueueAndWait").map(({ message }) => message.spec?.jobId)).not.toContain("a");
});
