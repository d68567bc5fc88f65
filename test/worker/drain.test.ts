import { expect, test } from "vitest";
import type { AttemptStoppedError } from "../../worker/index.ts";
import { delivery, manual, online, rig } from "./rig.ts";

test("drain: releases what waits, finishes what runs, waits for every answer and the broker's drain, half-closes, resolves", async () => {
  const { runs, handler } = manual();
  const it = await online(handler, { concurrency: 1, window: 2 });
  const { stream } = it;
  stream.deliver(delivery("a"), delivery("b"));
  await it.turn();
  it.abort();
  await it.turn();
  expect(stream.frames.some((frame) => frame.drain)).toBe(true);
  expect(stream.settled("b")?.outcome.case).toBe("released");
  // A delivery that crossed the drain on its way.
  stream.deliver(delivery("c"));
  await it.turn();
  expect(stream.settled("c")?.outcome.case).toBe("released");
  stream.say({ drain: { reason: "confirmed" } });
  runs[0]?.resolve("done");
  await it.turn();
  expect(stream.settled("a")?.outcome.case).toBe("completed");
  for (const id of ["a", "b", "c"]) {
    expect(stream.halfClosed).toBe(false);
    stream.answer(stream.settled(id));
    await it.turn();
  }
  expect(stream.halfClosed).toBe(true);
  expect(it.ended).toBe(false);
  stream.finish();
  await it.turn();
  expect(it.ended).toBe(true);
  expect(stream.destroyed).toBe(true);
  expect(it.streams).toHaveLength(1);
  expect(it.clock.timers).toBe(0);
});

test("an idle worker still waits for the broker's drain: a delivery may be under way", async () => {
  const it = await online(() => 1);
  it.abort();
  await it.turn();
  expect(it.stream.halfClosed).toBe(false);
  it.stream.say({ drain: {} });
  await it.turn();
  expect(it.stream.halfClosed).toBe(true);
});

test("after drainTimeout handlers are aborted; those that reject hand their job back, the rest is taken from them", async () => {
  const { runs, handler } = manual();
  const it = await online(handler, { concurrency: 2, drainTimeout: 2_000 });
  it.stream.deliver(delivery("polite"), delivery("deaf"));
  await it.turn();
  it.abort();
  it.stream.say({ drain: {} });
  await it.clock.advance(2_000);
  expect(runs.map(({ signal }) => (signal.reason as AttemptStoppedError).why)).toEqual([
    "worker-stopping",
    "worker-stopping",
  ]);
  runs[0]?.reject(runs[0].signal.reason);
  await it.turn();
  expect(it.stream.settled("polite")?.outcome.case).toBe("released");
  expect(it.stream.settled("deaf")).toBeUndefined();
  await it.clock.advance(1_000);
  expect(it.stream.settled("deaf")?.outcome.case).toBe("released");
  for (const settlement of it.stream.settlements) it.stream.answer(settlement);
  await it.turn();
  expect(it.stream.halfClosed).toBe(true);
  it.stream.finish();
  await it.turn();
  expect(it.ended).toBe(true);
});

test("a broker that never confirms does not hold the process", async () => {
  const it = await online(manual().handler, { drainTimeout: 1_000 });
  it.stream.deliver(delivery("a"));
  await it.turn();
  it.abort();
  await it.clock.advance(1_000 + 1_000 + 5_000);
  expect(it.ended).toBe(true);
  expect(it.clock.timers).toBe(0);
});

test("the stream breaks while it drains: it comes back with window 0 and what it holds, and drains there", async () => {
  const { runs, handler } = manual();
  const it = await online(handler);
  it.stream.deliver(delivery("a"));
  await it.turn();
  it.abort();
  it.stream.finish(14);
  await it.clock.advance(100);
  expect(it.stream.hello).toMatchObject({ window: 0, held: [{ jobId: "a" }] });
  it.stream.welcome();
  it.stream.say({ drain: {} });
  runs[0]?.resolve();
  await it.turn();
  expect(it.stream.frames.some((frame) => frame.drain)).toBe(true);
  it.stream.answer(it.stream.settled("a"));
  it.stream.finish();
  await it.turn();
  expect(it.ended).toBe(true);
});

test("nothing held and no stream: it ends at once", async () => {
  const it = await online(() => 1);
  it.stream.finish(14);
  it.abort();
  await it.turn();
  expect(it.ended).toBe(true);
  const fresh = rig({}, (worker) => worker.handle("q", () => 1));
  fresh.start();
  fresh.abort();
  await fresh.turn();
  expect(fresh.ended).toBe(true);
  expect(fresh.stream.destroyed).toBe(true);
});

test("close drains too, before and during run, once or twice", async () => {
  const it = await online(() => 1);
  const closing = Promise.all([it.worker.close(), it.worker.close()]);
  it.stream.say({ drain: {} });
  await it.turn();
  it.stream.finish();
  await closing;
  await it.turn();
  expect(it.ended).toBe(true);
  const fresh = rig({}, (worker) => worker.handle("q", () => 1));
  await fresh.worker.close();
  await fresh.worker.run();
  expect(fresh.streams).toEqual([]);
});
