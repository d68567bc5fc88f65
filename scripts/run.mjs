#!/usr/bin/env node
/**
 * What the npm scripts call: sets up what is missing, then runs one task with
 * the repository's own Node. Plain JavaScript, because the Node that starts it
 * may be as old as 20. stdout belongs to the task; what setting up has to say
 * goes to stderr.
 *
 *   node scripts/run.mjs TASK [arguments for the task]
 */
import { chmodSync, cpSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { generate, generatedCodeIsCurrent } from "./generated.mjs";
import { interop, interopJava } from "./interop.mjs";
import { run, Stop } from "./process.mjs";
import { installIfPossible, installPackages, installPeers, useChromium, useNode, useRedis } from "./setup.mjs";

const tasks = {
  /** All of it; or `-- worker`, `-- caller` with the URL of a broker. */
  demo: ([part = "demo", ...args]) => run("node", [`examples/demo/${part}.ts`, ...args]),
  cli: (args) => run("node", ["cli/main.ts", ...args]),
  start: (args) => run("node", ["cli/main.ts", "serve", ...args]),
  async test(args) {
    useRedis();
    return await run("vitest", ["run", ...args]);
  },
  /** Tests of the tests. */
  async mutants(args) {
    useRedis();
    return await run("node", ["test/mutants/run.ts", ...args]);
  },
  /** Simulated histories: --seeds N, --seed S. */
  sim: (args) => run("node", ["test/sim/main.ts", ...args]),
  /** Real processes under faults. */
  async chaos(args) {
    useRedis();
    return await run("node", ["test/chaos/run.ts", ...args]);
  },
  async bench(args) {
    useRedis();
    installPeers();
    if (args.includes("--full"))
      installIfPossible({ "apt-get": "nats-server rabbitmq-server strace", brew: "nats-server" });
    return await run("node", ["bench/run.ts", ...args]);
  },
  /** Power losses, random bytes, floods and histories in lockstep, many more of them than `npm test` has; random where they can be. */
  torture(args) {
    useRedis();
    const more = {
      CRASH_RUNS: "20",
      CRASH_IMAGES: "100",
      FUZZ_RUNS: "2000",
      FUZZ_SEED: `${Date.now() % 1e9}`,
      FLOOD_STREAMS: "40000",
      LOCKSTEP_RUNS: "200",
      KILL_ROUNDS: "40",
    };
    Object.assign(process.env, { ...more, ...process.env });
    return run("vitest", [
      "run",
      "test/storage/sqlite/crash-points",
      "test/storage/lockstep",
      "test/faults/kill-loop",
      "test/transport",
      ...args,
    ]);
  },
  /** What a broker holds of each kind, and whether it answers. */
  async scale(args) {
    useRedis();
    return await run("node", ["test/scale/run.ts", ...args]);
  },
  interop,
  java: interopJava,
  /** The HTTP port as pages see it. */
  browser(args) {
    useChromium();
    return run("vitest", ["run", "--config", "test/browser/vitest.config.ts", ...args]);
  },
  package: (args) => run("vitest", ["run", "--config", "test/package/vitest.config.ts", ...args]),
  /** Everything but the tests. Goes on after a failure, so that one run shows all that is wrong. */
  async ci() {
    const checks = {
      "format and lint": () => run("biome", ["check", "--error-on-warnings", "."]),
      types: () => run("tsc", ["--noEmit", "-p", "tsconfig.json"]),
      "protocol lint": () => run("buf", ["lint"]),
      "generated code": generatedCodeIsCurrent,
    };
    const failed = [];
    for (const [name, check] of Object.entries(checks)) {
      console.log(`── ${name}`);
      if ((await check()) !== 0) failed.push(name);
    }
    console.log(failed.length === 0 ? "── all checks passed" : `── failed: ${failed.join(", ")}`);
    return failed.length === 0 ? 0 : 1;
  },
  async build() {
    rmSync("dist", { recursive: true, force: true });
    const code = await run("tsc", ["-p", "tsconfig.build.json"]);
    if (code !== 0) return code;
    // What the compiler does not carry over: generated code, and the scripts that Redis runs.
    cpSync("gen", "dist/gen", { recursive: true });
    const files = readdirSync("server", { recursive: true, encoding: "utf8" });
    for (const file of files.filter((each) => each.endsWith(".lua"))) cpSync(`server/${file}`, `dist/server/${file}`);
    chmodSync("dist/cli/main.js", 0o755);
    return 0;
  },
  generate,
};

const [name, ...args] = process.argv.slice(2);
try {
  const task = Object.hasOwn(tasks, name ?? "") ? tasks[name] : undefined;
  if (!task) throw new Stop(`usage: node scripts/run.mjs ${Object.keys(tasks).join("|")} [arguments]`, 64);
  process.chdir(fileURLToPath(new URL("..", import.meta.url)));
  installPackages();
  useNode();
  process.exitCode = await task(args);
} catch (error) {
  if (!(error instanceof Stop)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
}
