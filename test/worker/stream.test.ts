import { expect, test } from "vitest";
import { delivery, manual, online, PING_MS, ref, rig } from "./rig.ts";

test("hello says who it is, what it serves, how much it takes", async () => {
  const it = await online(() => 1, { concurrency: 3, window: 5, labels: { zone: "a" } });
  expect(it.stream.hello).toMatchObject({
    protocolVersion: 1,
    workerId: "w",
    subscriptions: [{ queue: "q", methods: [] }],
    window: 5,
    held: [],
    renewOnPong: false,
    labels: { zone: "a" },
  });
  expect(it.stream.hello?.sessionId).toMatch(/^[0-9a-f-]{36}$/);
  expect(it.stream.hello?.clientInfo).toMatch(/^queuecall-ts\/\d/);
});

test("pings are answered at once, receipts are cumulative", async () => {
  const it = await online(manual().handler, { concurrency: 9 });
  it.stream.say({ ping: { nonce: 9n } });
  it.stream.deliver(delivery("a"));
  it.stream.deliver(delivery("b"));
  await it.turn();
  expect(it.stream.frames).toMatchObject([{ pong: { nonce: 9n }, receivedSeq: 2n }]);
});

test("it pings when it was quiet, and leaves a broker that says nothing for 2.5 intervals", async () => {
  const it = await online(() => 1);
  await it.clock.advance(PING_MS);
  expect(it.stream.pings).toEqual([1n]);
  it.stream.say({ pong: { nonce: 1n } });
  const [first] = it.streams;
  await it.clock.advance(PING_MS * 2.5 - 1);
  expect(first?.destroyed).toBe(false);
  await it.clock.advance(1);
  expect(first?.destroyed).toBe(true);
  await it.clock.advance(1_000);
  expect(it.streams).toHaveLength(2);
});

test("a broker that does not welcome is left after 10 s", async () => {
  const it = rig({}, (worker) => worker.handle("q", () => 1));
  it.start();
  await it.clock.advance(10_000);
  expect(it.streams[0]?.destroyed).toBe(true);
  await it.clock.advance(1_000);
  expect(it.streams.length).toBeGreaterThan(1);
});

test("it reconnects with the same session, what it holds, another url, and a growing wait, whatever the status", async () => {
  const { runs, handler } = manual();
  const it = await online(handler, { url: ["http://a:1", "http://b:1"] });
  const [first] = it.streams;
  const job = delivery("a");
  it.stream.deliver(job);
  await it.turn();
  first?.finish(1, "cancelled by somebody");
  await it.clock.advance(100);
  expect(it.streams).toHaveLength(2);
  expect(it.stream.url).not.toBe(first?.url);
  expect(it.stream.hello?.sessionId).toBe(first?.hello?.sessionId);
  expect(it.stream.hello?.held).toMatchObject([ref(job)]);
  for (let i = 0; i < 10; i++) {
    it.stream.finish(13, "");
    await it.clock.advance(5_000);
  }
  expect(it.streams).toHaveLength(12);
  it.stream.finish(16, "");
  await it.clock.advance(2_499);
  expect(it.streams).toHaveLength(12);
  // The handler went on unless its lease ran out meanwhile, which it did.
  expect(runs[0]?.signal.aborted).toBe(true);
});

test("adopted leases go on, lost ones stop; nothing runs twice", async () => {
  const { runs, handler } = manual();
  const it = await online(handler, { concurrency: 2 });
  const jobs = [delivery("a"), delivery("b")] as const;
  it.stream.deliver(...jobs);
  await it.turn();
  it.stream.finish(14);
  await it.clock.advance(100);
  it.stream.welcome();
  it.stream.say({ adopted: [ref(jobs[0])], lost: [ref(jobs[1])] });
  await it.turn();
  expect(runs.map(({ signal }) => signal.aborted)).toEqual([false, true]);
  runs[0]?.resolve("ok");
  await it.turn();
  expect(it.stream.settlements.map(({ jobId }) => jobId)).toEqual(["a"]);
  expect(runs).toHaveLength(2);
});

test("a draining broker: the new stream first, settlements on the old one until then, then it is left", async () => {
  const { runs, handler } = manual();
  const it = await online(handler, { concurrency: 2 });
  const old = it.stream;
  it.stream.deliver(delivery("a"), delivery("b"));
  await it.turn();
  old.say({ drain: { reason: "max-stream-age" } });
  expect(it.streams).toHaveLength(2);
  expect(it.stream.hello?.held).toHaveLength(2);
  runs[0]?.resolve();
  await it.turn();
  expect(old.settled("a")?.outcome.case).toBe("completed");
  expect(old.halfClosed).toBe(false);
  it.stream.welcome();
  expect(old.halfClosed).toBe(true);
  runs[1]?.resolve();
  await it.turn();
  expect(it.stream.settlements.map(({ jobId }) => jobId)).toEqual(["b"]);
  // The old stream ends without an answer to "a": it is due again.
  old.finish(10, "superseded");
  await it.turn();
  expect(it.stream.settlements.map(({ jobId }) => jobId)).toEqual(["b", "a"]);
  expect(it.streams).toHaveLength(2);
});

test("an old broker that never ends its side is cut off", async () => {
  const it = await online(() => 1);
  const old = it.stream;
  old.say({ drain: {} });
  it.stream.welcome();
  await it.clock.advance(5_000);
  expect(old.destroyed).toBe(true);
});

test("a drained broker with no other to be found: back-off, and the old stream serves on", async () => {
  const { runs, handler } = manual();
  const it = await online(handler);
  const old = it.stream;
  old.deliver(delivery("a"));
  await it.turn();
  old.say({ drain: {} });
  it.stream.finish(14);
  await it.clock.advance(50);
  runs[0]?.resolve();
  await it.turn();
  old.answer(old.settled("a"));
  await it.clock.advance(1_000);
  expect(it.streams.length).toBeGreaterThan(2);
  expect(it.stream.hello?.held).toEqual([]);
});

test("pause tells window 0, resume the window again; a new stream is told the state of the day", async () => {
  const it = await online(() => 1, { concurrency: 4 });
  it.worker.pause();
  await it.turn();
  it.stream.finish(14);
  await it.clock.advance(100);
  expect(it.stream.hello?.window).toBe(0);
  it.stream.welcome();
  it.worker.resume();
  await it.turn();
  expect(it.streams[0]?.windows).toEqual([0]);
  expect(it.stream.windows).toEqual([4]);
});
