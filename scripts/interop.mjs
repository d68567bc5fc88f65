/** The tests with workers and callers in other languages: programs made as the READMEs of the examples have them made, then vitest. */
import { go } from "./interop/go.mjs";
import { java } from "./interop/java.mjs";
import { python } from "./interop/python.mjs";
import { run } from "./process.mjs";

/** All of the tests. Each step of the setup has a bound of its own. */
const TESTS_MS = 300_000;

/** @param {string[]} args for vitest */
export async function interop(args) {
  const env = { ...process.env, ...python(), ...go() };
  return await run("vitest", ["run", "--config", "test/interop/vitest.config.ts", ...args], { env, timeout: TESTS_MS });
}

/** Java apart: a JDK and Maven are more than many a machine has. @param {string[]} args for vitest */
export async function interopJava(args) {
  const env = { ...process.env, ...java() };
  const config = "test/interop/java/vitest.config.ts";
  return await run("vitest", ["run", "--config", config, ...args], { env, timeout: TESTS_MS });
}
