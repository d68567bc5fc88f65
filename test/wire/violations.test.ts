import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { job, start } from "./rig.ts";

const VIOLATION = { code: 3, reason: "PROTOCOL_VIOLATION" };

test("a frame before hello ends the stream", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.say({ ping: { nonce: "1" } });
  expect(await stream.ended).toMatchObject(VIOLATION);
});

test("two hellos end the stream", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello({});
  await stream.welcome;
  stream.hello({});
  expect(await stream.ended).toMatchObject(VIOLATION);
});

test("an empty message, and an end without hello, end the stream", async () => {
  await using rig = await start();
  const empty = rig.stream();
  empty.send({});
  expect(await empty.ended).toMatchObject(VIOLATION);
  const silent = rig.stream();
  silent.end();
  expect(await silent.ended).toMatchObject(VIOLATION);
});

test.each([
  ["no worker_id", { worker_id: "" }],
  ["a bad queue", { subscriptions: [{ queue: "a b" }] }],
  ["a short token in held", { held: [{ queue: "q", job_id: "a", lease_token: Buffer.alloc(3) }] }],
  ["a long session_id", { session_id: "s".repeat(65) }],
])("hello with %s ends the stream", async (_name, fields) => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello(fields);
  expect(await stream.ended).toMatchObject(VIOLATION);
});

test("an unknown protocol version is FAILED_PRECONDITION / PROTOCOL_VERSION", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello({ protocol_version: 0 });
  expect(await stream.ended).toMatchObject({ code: 9, reason: "PROTOCOL_VERSION" });
});

test("a receipt ahead of what was sent ends the stream", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello({});
  await stream.welcome;
  stream.say({ received_seq: "7" });
  expect(await stream.ended).toMatchObject(VIOLATION);
});

test("a foreign token is LEASE_LOST, and the job goes on", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello({});
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const delivery = await stream.delivery();
  expect(await stream.settle({ ...delivery, lease_token: randomBytes(16) }, undefined, "1")).toBe("RESULT_LEASE_LOST");
  expect(await stream.settle({ ...delivery, job_id: "other" }, undefined, "2")).toBe("RESULT_LEASE_LOST");
  expect(await stream.settle(delivery, undefined, "3")).toBe("RESULT_OK");
  expect(await stream.settle(delivery, { failed: {} }, "4")).toBe("RESULT_DUPLICATE");
  expect(await answer).toMatchObject({ state: "JOB_STATE_SUCCEEDED" });
});

test("a token of an earlier attempt is LEASE_LOST", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello({});
  const answer = rig.caller.call("EnqueueAndWait", job("a", { backoff: { initial: { nanos: 1_000_000 } } }));
  const first = await stream.delivery();
  expect(await stream.settle(first, { failed: { status: { code: 2 } } }, "1")).toBe("RESULT_OK");
  const second = await stream.delivery();
  expect(second.attempt).toBe(2);
  expect(await stream.settle(first, { completed: { payload: { data: Buffer.from("old") } } }, "2")).not.toBe(
    "RESULT_OK",
  );
  expect(await stream.settle(second, { completed: { payload: { data: Buffer.from("new") } } }, "3")).toBe("RESULT_OK");
  expect(String((await answer).result?.data)).toBe("new");
});

test("released is offered again at once and costs no attempt", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello({});
  await rig.caller.call("Enqueue", job("a"));
  expect(await stream.settle(await stream.delivery(), { released: {} }, "1")).toBe("RESULT_OK");
  expect((await stream.delivery()).attempt).toBe(1);
});

test("a delivery whose receipt never came is given to the next worker, without counting", async () => {
  await using rig = await start();
  const deaf = rig.stream();
  deaf.auto = false;
  deaf.hello({});
  await rig.caller.call("Enqueue", job("a"));
  const first = await deaf.delivery();
  const next = rig.stream();
  next.hello({});
  await next.welcome;
  deaf.stop();
  const second = await next.delivery();
  expect(second).toMatchObject({ job_id: "a", attempt: first.attempt });
});

test("a huge window is clamped, a lowered one holds; outstanding never passes it", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello({ window: 4_000_000_000 });
  await stream.welcome;
  stream.say({ window: 2 });
  stream.say({ ping: { nonce: "1" } });
  await stream.take(({ pong }) => pong);
  await Promise.all(["a", "b", "c", "d"].map((id) => rig.caller.call("Enqueue", job(id))));
  const held = [];
  while (held.length < 2)
    held.push(...(await stream.take(({ deliveries }) => (deliveries.length > 0 ? deliveries : null))));
  stream.say({ ping: { nonce: "2" } });
  await stream.take(({ pong }) => pong);
  expect(stream.frames.flatMap(({ deliveries }) => deliveries)).toHaveLength(2);
});

test("held leases that are not the worker's are lost", async () => {
  await using rig = await start();
  const stream = rig.stream();
  const lease_token = randomBytes(16);
  stream.hello({ session_id: "s", held: [{ queue: "q", job_id: "a", lease_token }] });
  expect(await stream.take(({ lost }) => lost[0])).toMatchObject({ queue: "q", job_id: "a", lease_token });
});

test("the newer stream of a session wins; the older ends ABORTED", async () => {
  await using rig = await start();
  const older = rig.stream();
  older.hello({ session_id: "s" });
  await rig.caller.call("Enqueue", job("a"));
  const delivery = await older.delivery();
  const newer = rig.stream();
  newer.hello({ session_id: "s", held: [delivery] });
  expect(await older.ended).toMatchObject({ code: 10, reason: "SESSION_SUPERSEDED" });
  expect(await newer.take(({ adopted }) => adopted[0])).toMatchObject({ job_id: "a" });
  expect(await newer.settle(delivery)).toBe("RESULT_OK");
});

test("a result over the limit is REJECTED, and the job fails for good", async () => {
  await using rig = await start({ maxResultBytes: 100 });
  const stream = rig.stream();
  stream.hello({});
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const delivery = await stream.delivery();
  expect(await stream.settle(delivery, { completed: { payload: { data: Buffer.alloc(101) } } })).toBe(
    "RESULT_REJECTED",
  );
  expect(await answer).toMatchObject({ state: "JOB_STATE_FAILED", failure: { kind: "KIND_RESULT_TOO_LARGE" } });
});

test("the broker drains: drain is said, settlements are still taken, the stream ends OK", async () => {
  await using rig = await start();
  const stream = rig.stream();
  stream.hello({});
  await rig.caller.call("Enqueue", job("a"));
  const delivery = await stream.delivery();
  const drained = rig.broker.drain();
  await stream.take(({ drain }) => drain);
  expect(await stream.settle(delivery)).toBe("RESULT_OK");
  stream.end();
  expect(await stream.ended).toMatchObject({ code: 0 });
  expect(await drained).toEqual({ cut: false });
});
