/** The tests with workers and callers in Python: an environment of their own, the stubs as the example's README has them made, then vitest. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { run, Stop } from "./process.mjs";

const CACHE = resolve("node_modules/.cache/interop");
const PACKAGES = ["grpcio", "grpcio-tools"];
/** Together below three minutes. */
const SETUP_MS = 95_000;
const TESTS_MS = 80_000;
const started = Date.now();

/** @param {string[]} args for vitest */
export async function interop(args) {
  const python = environment();
  const protos = join(CACHE, "proto");
  const stubs = join(CACHE, "stubs");
  for (const folder of [protos, stubs]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }
  const { files } = JSON.parse(must("node", ["cli/main.ts", "proto", "--out", protos]));
  must(python, [
    ...["-m", "grpc_tools.protoc", `-I${protos}`, `--python_out=${stubs}`, `--grpc_python_out=${stubs}`],
    ...files,
  ]);
  const env = {
    ...process.env,
    PYTHON: python,
    PYTHONPATH: [stubs, resolve("examples/python")].join(delimiter),
    PYTHONDONTWRITEBYTECODE: "1",
  };
  return await run("vitest", ["run", "--config", "test/interop/vitest.config.ts", ...args], { env, timeout: TESTS_MS });
}

/** The Python of a virtual environment with gRPC; made at the first time. */
function environment() {
  const host = hostPython();
  const folder = join(CACHE, `python-${host.version}`);
  const python = join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  const complete = join(folder, "complete");
  if (existsSync(complete)) return python;
  console.error(`setting up: ${PACKAGES.join(" and ")} for Python ${host.version}`);
  rmSync(folder, { recursive: true, force: true });
  must(host.program, ["-m", "venv", folder]);
  must(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...PACKAGES]);
  writeFileSync(complete, "");
  return python;
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
 * Runs a step and answers what it printed.
 * @param {string} program
 * @param {string[]} args
 */
function must(program, args) {
  const options = { encoding: /** @type {const} */ ("utf8"), timeout: Math.max(1, started + SETUP_MS - Date.now()) };
  const { status, error, stdout, stderr } = spawnSync(program, args, options);
  if (status === 0) return stdout;
  throw new Stop(
    `setting up failed: ${[program, ...args].join(" ")}: ${error?.message ?? `${stdout}${stderr}`.trim()}`,
  );
}
