/** docs/migrate.md names tests as its proof: they are there. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const text = readFileSync("docs/migrate.md", "utf8");
const titles = globSync("test/migration/*.test.ts").map((file) => readFileSync(file, "utf8"));
/** What stands before the colon of each test's title, e.g. "L19, L20" or "32, 33". */
const proven = new Set(
  titles
    .flatMap((code) => [...code.matchAll(/(?:test|describe)\("([^":]+):/g)])
    .flatMap(([, numbers = ""]) => numbers.split(", ")),
);
const rows = text.split("\n").filter((line) => /^\| (L|\d)/.test(line));

test("every file and folder that it names", () => {
  const paths = [...text.matchAll(/`(test\/[^`]+)`|\]\(\.\.\/([^)#]+)\)/g)].map(
    ([, quoted, linked]) => quoted ?? linked!,
  );
  expect(paths.length).toBeGreaterThan(20);
  expect(paths.filter((path) => !existsSync(path))).toEqual([]);
});

test("every fault has its test where the table says test/migration", () => {
  const faults = rows.filter((row) => row.startsWith("| L") && row.includes("test/migration"));
  const named = faults.flatMap((row) => row.split("|")[1]!.trim().split(" · "));
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((id) => !proven.has(id))).toEqual([]);
});

test("every behaviour names a test or has one of its number, unless it fell away", () => {
  const behaviours = rows.filter((row) => /^\| \d/.test(row));
  expect(behaviours).toHaveLength(42);
  const bare = behaviours.filter((row) => !/test\/|\(L|\bsee 11\b|fall|wrap the handler|\(29\)/.test(row));
  expect(bare.map((row) => row.split("|")[1]!.trim()).filter((number) => !proven.has(number))).toEqual([]);
});
