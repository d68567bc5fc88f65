/** What the READMEs of the examples tell their readers to do, done. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { Stop } from "../process.mjs";

export const CACHE = resolve("node_modules/.cache/interop");
/** A first time downloads and compiles what an example needs. */
const STEP_MS = 240_000;

/**
 * The first block of an example's README: how it is set up.
 * @param {string} page
 * @param {string} has what it does, by which it is known
 */
export function setupOf(page, has = "npx queuecall proto") {
  const [, block] = /^```\n(.*?)^```$/ms.exec(readFileSync(page, "utf8")) ?? [];
  if (!block?.includes(has)) throw new Stop(`${page} does not begin with its setup any more`);
  return block;
}

/**
 * A copy of the examples, where a setup leaves what it makes.
 * @param {string[]} examples
 */
export function copyOf(...examples) {
  for (const example of examples) {
    const to = join(CACHE, "examples", example);
    mkdirSync(to, { recursive: true });
    cpSync(`examples/${example}`, to, { recursive: true });
  }
  return join(CACHE, "examples", examples[0] ?? "");
}

/** @param {string} folder */
export const remove = (folder) => rmSync(folder, { recursive: true, force: true });

/** What stands in the place of published packages. */
const given = `set -e
npx() {
  case "$1" in
    queuecall) shift; node "$CLI" "$@" ;;
    @bufbuild/buf) shift; buf "$@" ;;
    *) echo "npx $1 is not known here" >&2; return 1 ;;
  esac
}
`;

/**
 * Runs commands of a README, with this clone in place of what is published.
 * @param {string} script
 * @param {{ cwd: string, env?: Record<string, string>, functions?: string }} options
 */
export function shell(script, { cwd, env, functions = "" }) {
  const { status, error, stdout, stderr } = spawnSync("bash", ["-c", `${given}${functions}\n${script}`], {
    cwd,
    env: { ...process.env, CLI: resolve("cli/main.ts"), ...env },
    timeout: STEP_MS,
    encoding: "utf8",
  });
  if (status !== 0) throw new Stop(`setting up failed: ${error?.message ?? `${stdout}${stderr}`.trim()}\n${script}`);
}
