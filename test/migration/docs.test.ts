/** docs/migrate.md names tests as its proof: they are there. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const text = readFileSync("docs/migrate.md", "utf8");
/** What stands before the colon of a test's title, e.g. "L19, L20" or "32, 33", and in which file. */
const proofs = globSync("test/**/*.test.ts").flatMap((file) =>
  [...readFileSync(file, "utf8").matchAll(/\b(?:test|it|describe)(?:\.skipIf\([^)]*\))?\(\s*["`]([^":`]+):/g)].flatMap(
    ([, numbers = ""]) => numbers.split(", ").map((number) => ({ number, file })),
  ),
);
const proven = new Set(proofs.map(({ number }) => number));
const rows = text.split("\n").filter((line) => /^\| (L|\d)/.test(line));

test("every file and folder that it names", () => {
  const paths = [...text.matchAll(/`(test\/[^`]+)`|\]\(\.\.\/([^)#]+)\)/g)].map(
    ([, quoted, linked]) => quoted ?? linked!,
  );
  expect(paths.length).toBeGreaterThan(20);
  expect(paths.filter((path) => !existsSync(path))).toEqual([]);
});

test("every fault has a test of its number, in each place that its row names", () => {
  const faults = rows.filter((row) => row.startsWith("| L"));
  const named = faults.flatMap((row) => row.split("|")[1]!.trim().split(" · "));
  expect(named).toHaveLength(39);
  // Redis Cluster is a backend of every contract test.
  expect(named.filter((id) => !proven.has(id))).toEqual(["L-R8"]);
  for (const row of faults) {
    const ids = row.split("|")[1]!.trim().split(" · ");
    const files = [...row.matchAll(/`(test\/[^`]+\.ts)`/g)].map(([, file]) => file!);
    for (const file of files) {
      expect(
        proofs.some((proof) => proof.file === file && ids.includes(proof.number)),
        `${file} has ${ids}`,
      ).toBe(true);
    }
  }
});

test("every behaviour names a test or has one of its number", () => {
  const behaviours = rows.filter((row) => /^\| \d/.test(row));
  expect(behaviours).toHaveLength(42);
  const bare = behaviours.filter((row) => !/test\/|\(L|\bsee 11\b/.test(row));
  expect(bare.map((row) => row.split("|")[1]!.trim()).filter((number) => !proven.has(number))).toEqual([]);
});
