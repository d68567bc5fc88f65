/**
 * npm run bench: queuecall and its peers on this machine, in one run.
 *
 *   npm run bench                      all scenarios but growth, within 20 minutes
 *   npm run bench -- --quick           a smoke of a minute or two; its figures mean little
 *   npm run bench -- --only c64,c1     some of them
 *   npm run bench -- --json FILE       also every sample
 *   npm run bench:full                 with growth tables, NATS and RabbitMQ
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { how, judge, machine, table, verdict } from "./report.ts";
import { interleave, type Size } from "./rounds.ts";
import { goals, installed } from "./rows/goals.ts";
import { growth } from "./rows/growth.ts";
import type { Scenario } from "./rows/scenario.ts";
import { shapes } from "./rows/shapes.ts";
import { Stage } from "./stage.ts";

const sizes: Record<"whole" | "quick" | "tiny", Size> = {
  whole: { warmUps: 3, rounds: 5, seconds: 1.5, of: (count) => count, contenders: Number.POSITIVE_INFINITY },
  quick: {
    warmUps: 1,
    rounds: 1,
    seconds: 0.3,
    of: (count) => Math.max(1, Math.ceil(count / 100)),
    contenders: Number.POSITIVE_INFINITY,
  },
  // For the test that keeps this alive.
  tiny: { warmUps: 1, rounds: 1, seconds: 0.05, of: (count) => Math.max(1, Math.ceil(count / 1_000)), contenders: 1 },
};

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    tiny: { type: "boolean", default: false },
    full: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string" },
    json: { type: "string" },
  },
});

const all =
  flags.full || flags.tiny || flags.only ? [...goals, ...installed, ...shapes, ...growth] : [...goals, ...shapes];
const size = { ...sizes[flags.tiny ? "tiny" : flags.quick ? "quick" : "whole"] };
if (flags.rounds) size.rounds = Number(flags.rounds);
const chosen = choose(all, flags.only);

// A benchmark that is ended leaves nothing behind.
let running: Stage | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void running?.[Symbol.asyncDispose]().finally(() => process.exit(130)));
}

const about = { machine: machine(versions()), how: how(size) };
console.log(`${about.machine}\n\n${about.how}\n`);
const results = [];
for (const scenario of chosen) results.push(await measure(scenario));
const judged = results.flatMap(({ ratios }) => ratios).filter(({ reached }) => reached !== undefined);
console.log(`── to reach\n${judged.map(verdict).join("\n")}`);
if (flags.json) writeFileSync(flags.json, `${JSON.stringify({ ...about, results }, null, 1)}\n`);

async function measure(scenario: Scenario) {
  await using stage = new Stage();
  running = stage;
  const measured = await interleave(scenario.contenders, stage, size);
  const ratios = (scenario.ratios ?? []).map((ratio) => judge(ratio, measured)).filter((each) => each !== undefined);
  console.log([table(scenario, measured), ...ratios.map(verdict), ""].join("\n"));
  const { name, title, how } = scenario;
  return { name, title, how, ...measured, ratios };
}

function choose(scenarios: Scenario[], only: string | undefined): Scenario[] {
  if (only === undefined) return scenarios;
  const names = only.split(",");
  const unknown = names.filter((name) => !scenarios.some((each) => each.name === name));
  if (unknown.length > 0) {
    console.error(`no scenario ${unknown.join(", ")}; there are ${scenarios.map(({ name }) => name).join(", ")}`);
    process.exit(64);
  }
  return scenarios.filter(({ name }) => names.includes(name));
}

function versions(): Record<string, string> {
  const redis = execFileSync(process.env.REDIS_SERVER ?? "redis-server", ["--version"], { encoding: "utf8" });
  return { Node: process.versions.node, Redis: /v=(\S+)/.exec(redis)?.[1] ?? "unknown" };
}
