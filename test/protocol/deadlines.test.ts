/** Many deadlines on one timer. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Dated, Deadlines } from "../../protocol/deadlines.ts";
import { ManualClock } from "../../protocol/manual-clock.ts";

interface Item extends Dated {
  name: string;
}

function rig() {
  const clock = new ManualClock();
  const expired: [name: string, at: number][] = [];
  const deadlines = new Deadlines<Item>(clock, ({ name }) => expired.push([name, clock.monotonic()]));
  const item = (name: string, until: number): Item => ({ name, until, place: -1 });
  return { clock, expired, deadlines, item };
}

describe("deadlines", () => {
  test("each is told at its time, however they come", async () => {
    const { clock, expired, deadlines, item } = rig();
    for (const until of [300, 100, 200, 100]) deadlines.add(item(`${until}`, until));
    await clock.advance(1_000);
    expect(expired).toEqual([
      ["100", 100],
      ["100", 100],
      ["200", 200],
      ["300", 300],
    ]);
    expect([deadlines.size, clock.timers]).toEqual([0, 0]);
  });

  test("the process is kept alive, where that is wanted, as long as anything is watched and no longer", async () => {
    const { clock, item } = rig();
    const deadlines = new Deadlines<Item>(clock, () => {}, { unref: false });
    const [a, b] = [item("a", 100), item("b", 200)];
    deadlines.add(a);
    deadlines.add(b);
    deadlines.delete(a);
    expect(clock.timers).toBe(1);
    deadlines.delete(b);
    expect(clock.timers).toBe(0);
    deadlines.add(a);
    expect(clock.timers).toBe(1);
    await clock.advance(100);
    expect(clock.timers).toBe(0);
  });

  test("there is one timer, and none for what has no end", async () => {
    const { clock, deadlines, item } = rig();
    for (let n = 0; n < 1_000; n++) deadlines.add(item("", 1_000 - n));
    expect(clock.timers).toBe(1);
    deadlines.close();
    deadlines.add(item("for ever", Number.POSITIVE_INFINITY));
    expect([clock.timers, deadlines.size]).toEqual([0, 1]);
  });

  test("one that is added by another that expires has its own time", async () => {
    const { clock, expired, item } = rig();
    const deadlines = new Deadlines<Item>(clock, ({ name }) => {
      expired.push([name, clock.monotonic()]);
      if (name === "first") deadlines.add(item("second", 150));
    });
    deadlines.add(item("third", 200));
    deadlines.add(item("first", 100));
    await clock.advance(500);
    expect(expired).toEqual([
      ["first", 100],
      ["second", 150],
      ["third", 200],
    ]);
  });

  test("any additions and deletions: what is left is told in order, and nothing else", async () => {
    const steps = fc.array(fc.record({ until: fc.nat(50), drop: fc.option(fc.nat(30), { nil: undefined }) }), {
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (made) => {
        const { clock, expired, deadlines, item } = rig();
        const items: Item[] = [];
        const left = new Set<Item>();
        for (const [n, { until, drop }] of made.entries()) {
          const added = item(`${n}`, until);
          items.push(added);
          left.add(added);
          deadlines.add(added);
          const dropped = drop === undefined ? undefined : items[drop];
          if (dropped) expect(deadlines.delete(dropped)).toBe(left.delete(dropped));
        }
        expect(new Set(deadlines)).toEqual(left);
        await clock.advance(100);
        expect(expired.map(([name, at]) => [name, at]).sort()).toEqual(
          [...left].map(({ name, until }) => [name, until]).sort(),
        );
        expect(expired.map(([, at]) => at)).toEqual(expired.map(([, at]) => at).sort((a, b) => a - b));
      }),
      { numRuns: 100 },
    );
  });
});
