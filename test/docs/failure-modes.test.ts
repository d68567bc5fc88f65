/** Each row of the page of failure modes names what shows it, and that exists. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/processes.ts";

const text = readFileSync(join(root, "docs/failure-modes.md"), "utf8");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };
const rows = text.split("\n").filter((line) => /^\| \d+ [✓◐○] \|/.test(line));

test("the faults are numbered from 1 to 64", () => {
  expect(rows.map((row) => Number.parseInt(row.slice(2), 10))).toEqual(Array.from({ length: 64 }, (_, i) => i + 1));
});

test.each(rows)("%s", (row) => {
  const shown = /`[^`]+` \|$/.test(row);
  expect(shown).toBe(!row.includes("○"));
});

test.each([...new Set([...text.matchAll(/`(test\/[^`]+)`/g)].map(([, file = ""]) => file))])("%s exists", (file) => {
  expect(existsSync(join(root, file))).toBe(true);
});

test.each([...new Set([...text.matchAll(/npm run ([a-z:]+)/g)].map(([, name = ""]) => name))])(
  "npm run %s exists",
  (name) => {
    expect(scripts).toHaveProperty([name]);
  },
);
