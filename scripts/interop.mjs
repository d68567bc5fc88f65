/** The tests with workers and callers in Python: an environment and stubs made by the commands of the example's README, then vitest. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { run, Stop } from "./process.mjs";

const CACHE = resolve("node_modules/.cache/interop");
const README = resolve("examples/python/README.md");
/** For what hangs. */
const SETUP_MS = 180_000;
const TESTS_MS = 180_000;
const started = Date.now();

/** @param {string[]} args for vitest */
export async function interop(args) {
  const host = hostPython();
  const folder = join(CACHE, `python-${host.version}`);
  const [makeEnvironment, makeStubs] = commands();
  const complete = join(folder, "complete");
  if (!existsSync(complete) || readFileSync(complete, "utf8") !== makeEnvironment) {
    console.error(`setting up: gRPC for Python ${host.version}`);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    shell(makeEnvironment, folder, host.program);
    writeFileSync(complete, makeEnvironment);
  }
  for (const made of ["proto", "queuecall", "google"]) rmSync(join(folder, made), { recursive: true, force: true });
  shell(`. .venv/bin/activate\n${makeStubs}`, folder, host.program);
  const env = {
    ...process.env,
    PYTHON: join(folder, ".venv/bin/python"),
    PYTHONPATH: [folder, resolve("examples/python")].join(delimiter),
    PYTHONDONTWRITEBYTECODE: "1",
  };
  return await run("vitest", ["run", "--config", "test/interop/vitest.config.ts", ...args], { env, timeout: TESTS_MS });
}

/**
 * The first block of the README: what is done once, and what follows every change of the protocol.
 * @returns {[environment: string, stubs: string]}
 */
function commands() {
  const [, block = ""] = /^```\n(.*?)^```$/ms.exec(readFileSync(README, "utf8")) ?? [];
  const at = block.indexOf("npx ");
  if (at < 0) throw new Stop("examples/python/README.md does not begin with its setup any more");
  return [block.slice(0, at), block.slice(at)];
}

/** PYTHON, or the first that is new enough. */
function hostPython() {
  const names = process.env.PYTHON ? [process.env.PYTHON] : ["python3", "python"];
  const wanted =
    "import ensurepip, sys, venv; assert sys.version_info >= (3, 9); print('%d.%d.%d' % sys.version_info[:3])";
  for (const program of names) {
    const { status, stdout } = spawnSync(program, ["-c", wanted], { encoding: "utf8" });
    if (status === 0) return { program, version: stdout.trim() };
  }
  throw new Stop(
    `the interop tests need Python 3.9 or newer with venv, and ${names.join(" and ")} ${names.length > 1 ? "are" : "is"} none: ` +
      "install it (on Debian python3-venv), or name one with PYTHON=/path/to/python",
  );
}

/**
 * Runs commands as the README has them, with this clone in place of the published package.
 * @param {string} script
 * @param {string} cwd
 * @param {string} python
 */
function shell(script, cwd, python) {
  const env = { ...process.env, HOST_PYTHON: python, CLI: resolve("cli/main.ts"), PIP_DISABLE_PIP_VERSION_CHECK: "1" };
  const given = 'set -e; python3() { command "$HOST_PYTHON" "$@"; }; npx() { shift; node "$CLI" "$@"; }\n';
  const timeout = Math.max(1, started + SETUP_MS - Date.now());
  const { status, error, stdout, stderr } = spawnSync("bash", ["-c", given + script], {
    cwd,
    env,
    timeout,
    encoding: "utf8",
  });
  if (status !== 0) throw new Stop(`setting up failed: ${error?.message ?? `${stdout}${stderr}`.trim()}\n${script}`);
}
