/** The table of mutants goes with the code that it changes. That the tests find them is for `npm run mutants`. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { complete, root } from "../support/processes.ts";
import { mutated } from "./mutant.ts";
import { mutants } from "./mutants.ts";

test.each(mutants)("$name can be applied", (mutant) => {
  const text = readFileSync(join(root, mutant.file), "utf8");
  expect(mutated(mutant, text)).not.toBe(text);
  expect(mutant.tests.filter((file) => !existsSync(join(root, file)))).toEqual([]);
});

test("each has a name of its own", () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
});

test("text that is not there, or there twice, says which mutant and where", () => {
  const mutant = { name: "m", why: "", file: "f.ts", find: "a", replace: "$&", tests: [] };
  expect(mutated(mutant, "b a b")).toBe("b $& b");
  expect(() => mutated(mutant, "b")).toThrow("mutant m: its text is 0 times in f.ts, not once");
  expect(() => mutated(mutant, "a a")).toThrow("mutant m: its text is 2 times in f.ts, not once");
});

test("a name that is none is refused", async () => {
  const { code, stderr } = await complete(["test/mutants/run.ts", "--only", "nonsense"]);
  expect([code, stderr]).toEqual([64, "no mutant is called nonsense\n"]);
});
