import { expect, test } from "vitest";
import { Recent } from "../../worker/recent.ts";

test("the last so many are remembered, and never more than twice as many", () => {
  const recent = new Recent(3);
  const keys = Array.from({ length: 20 }, (_, n) => `key ${n}`);
  for (const [n, key] of keys.entries()) {
    recent.add(key);
    const known = keys.filter((each) => recent.has(each));
    expect(known).toEqual(keys.slice(n + 1 - known.length, n + 1));
    expect(known.length).toBeGreaterThanOrEqual(Math.min(3, n + 1));
    expect(known.length).toBeLessThanOrEqual(6);
  }
});
