/** A map that forgets: what it says is what a Map says. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Table } from "../../protocol/table.ts";

describe("a table", () => {
  test("does what a Map does, whatever comes and goes", () => {
    const key = fc.integer({ min: 0, max: 20 });
    const step = fc.oneof(
      fc.record({ verb: fc.constant("set" as const), key, value: fc.nat() }),
      fc.record({ verb: fc.constant("delete" as const), key }),
      { weight: 1, arbitrary: fc.constant({ verb: "clear" as const, key: 0 }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const [table, map] = [new Table<number, number>(), new Map<number, number>()];
        for (const each of steps) {
          if (each.verb === "set") map.set(each.key, each.value) && table.set(each.key, each.value);
          else if (each.verb === "delete") expect(table.delete(each.key)).toBe(map.delete(each.key));
          else map.clear() ?? table.clear();
          expect([table.size, table.get(each.key), table.has(each.key)]).toEqual([
            map.size,
            map.get(each.key),
            map.has(each.key),
          ]);
        }
        expect([...table]).toEqual([...map]);
        expect([...table.values()]).toEqual([...map.values()]);
      }),
    );
  });

  test("may be changed while it is gone through", () => {
    const table = new Table<string, number>();
    for (const [n, name] of ["a", "b", "c"].entries()) table.set(name, n);
    const seen: string[] = [];
    for (const [name] of table) {
      seen.push(name);
      table.delete(name);
      if (name === "a") table.set("d", 3);
    }
    expect([seen, table.size]).toEqual([["a", "b", "c", "d"], 0]);
  });

  test("keeps nothing that was taken out, although no full collection comes", () => {
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc") as (options?: { type: "minor" }) => void;
    const table = new Table<number, unknown>();
    table.set(-1, {});
    // Its first tables grow old.
    gc();
    const before = process.memoryUsage().heapUsed;
    for (let n = 0; n < 4_000; n++) {
      table.set(n, new Array(1_000).fill(n));
      table.delete(n - 20);
      if (n % 400 === 0) gc({ type: "minor" });
    }
    gc({ type: "minor" });
    // All of them together took 32 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4e6);
  });
});
