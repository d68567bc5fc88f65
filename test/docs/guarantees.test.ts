/** Each promise names tests that show it, and they exist. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/processes.ts";

const text = readFileSync(join(root, "docs/guarantees.md"), "utf8");
const shown = [...text.matchAll(/^\* `(test\/.+\.test\.ts)`: (.+)$/gm)].map(([, file = "", name = ""]) => ({
  file,
  name,
}));

test.each(shown)("$file: $name", ({ file, name }) => {
  expect(existsSync(join(root, file)), file).toBe(true);
  expect(readFileSync(join(root, file), "utf8")).toContain(`("${name}"`);
});

test("no promise goes without", () => {
  const promises = text.split(/\n(?=\*\*)/).slice(1);
  expect(promises.length).toBeGreaterThan(8);
  expect(promises.filter((promise) => !/^\* `test\//m.test(promise))).toEqual([]);
});
