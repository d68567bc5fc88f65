/** Chance of the real clock: from a stock, of which nothing is given out twice. And its timers, of any length. */
import { expect, test } from "vitest";
import { systemClock } from "../../protocol/clock.ts";

test("random bytes are as many as asked for, and never the same", () => {
  const seen = new Set<string>();
  // Lengths that do not divide the stock, so that its end is met at every offset.
  for (let n = 0; n < 2_000; n++) {
    const bytes = systemClock.randomBytes(16 + (n % 3));
    expect(bytes.length).toBe(16 + (n % 3));
    expect(bytes.some((byte) => byte !== 0)).toBe(true);
    seen.add(Buffer.from(bytes).toString("hex", 0, 16));
  }
  expect(seen.size).toBe(2_000);
  expect(systemClock.randomBytes(5_000)).toHaveLength(5_000);
  expect(systemClock.randomBytes(0)).toHaveLength(0);
});

test("a timer that is longer than the system can take does not fire at once", async () => {
  let fired = 0;
  const timers = [2 ** 31, 400 * 24 * 3_600_000, Number.MAX_VALUE].map((ms) =>
    systemClock.setTimer(() => fired++, ms, { unref: true }),
  );
  // What is wrapped is due after a millisecond: before this one.
  await new Promise<void>((resolve) => systemClock.setTimer(resolve, 20));
  expect(fired).toBe(0);
  for (const timer of timers) timer.cancel();
});
