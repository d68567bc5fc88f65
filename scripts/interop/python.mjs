/** Python: a virtual environment, made at the first time, and stubs, made each time. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { Stop } from "../process.mjs";
import { CACHE, copyOf, remove, setupOf, shell } from "./readme.mjs";

/** What only the tests need. */
const FOR_TESTS = "grpcio-health-checking grpcio-reflection";

/** @returns {Record<string, string>} what the tests look for */
export function python() {
  const host = hostPython();
  // Beside the .proto file of somebody's service, as in examples/.
  copyOf("transparent");
  const folder = join(CACHE, "examples", `python-${host.version}`);
  const [makeEnvironment, makeStubs] = steps();
  const options = { cwd: folder, env: { HOST_PYTHON: host.program, PIP_DISABLE_PIP_VERSION_CHECK: "1" } };
  // Health and reflection have packages of their own in Python.
  const script = `${makeEnvironment}pip install --quiet ${FOR_TESTS}\n`;
  const functions = 'python3() { command "$HOST_PYTHON" "$@"; }';
  const complete = join(folder, "complete");
  if (!existsSync(complete) || readFileSync(complete, "utf8") !== script) {
    console.error(`setting up: gRPC for Python ${host.version}`);
    remove(folder);
    mkdirSync(folder, { recursive: true });
    shell(script, { ...options, functions });
    writeFileSync(complete, script);
  }
  for (const made of ["proto", "queuecall", "google", "acme"]) remove(join(folder, made));
  shell(`. .venv/bin/activate\n${makeStubs}`, options);
  return {
    PYTHON: join(folder, ".venv/bin/python"),
    PYTHONPATH: [folder, resolve("examples/python")].join(delimiter),
    PYTHONDONTWRITEBYTECODE: "1",
  };
}

/**
 * What is done once, and what follows every change of the protocol.
 * @returns {[environment: string, stubs: string]}
 */
function steps() {
  const setup = setupOf("examples/python/README.md");
  const at = setup.indexOf("npx ");
  return [setup.slice(0, at), setup.slice(at)];
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
