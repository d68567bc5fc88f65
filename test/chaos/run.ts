/**
 * Real processes under faults: `npm run chaos -- --seed N [--minutes M | --seconds S]`. Prints what was done and how it
 * ended; exit code 1 if a promise was broken, with the history of the job, 64 for wrong usage. docs/testing.md
 */
import { parseArgs } from "node:util";
import { check, explain, type Limits, summarize } from "../history/check.ts";
import { LEASE_MS } from "./arena.ts";
import { type Aftermath, fight } from "./battle.ts";

/** Real clocks and a busy machine: what is late by less proves nothing. */
const limits: Limits = { leaseMs: LEASE_MS, toleranceMs: 5, lateMs: 2_000, sweepMs: 2_000 };
const MAX_SHOWN = 5;

process.exitCode = await main();

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { seed: { type: "string" }, minutes: { type: "string" }, seconds: { type: "string" } },
  });
  const seed = Number(values.seed ?? 1);
  const seconds = Number(values.seconds ?? Number(values.minutes ?? 1) * 60);
  if (!Number.isSafeInteger(seed) || !(seconds > 0)) {
    console.error("usage: npm run chaos -- --seed N [--minutes M | --seconds S]");
    return 64;
  }
  console.log(`seed ${seed}`);
  const aftermath = await fight({ seed, ms: seconds * 1_000, say: (line) => console.log(line) });
  return report(seed, aftermath);
}

function report(seed: number, { events, alarms }: Aftermath): number {
  const violations = check(events, limits);
  const { calls, jobs, deliveries, duplicates, faults } = summarize(events, limits);
  const of = (rule: string) => violations.filter((each) => each.rule === rule).length;
  const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0);
  console.log(`calls ${calls}, jobs ${jobs}, deliveries ${deliveries}`);
  console.log(`explained second deliveries ${total(duplicates) - (duplicates.unexplained ?? 0)}`, duplicates);
  console.log(`faults ${total(faults)}`, faults);
  console.log(`lost ${of("lost")}, waits late ${of("wait")}, unhandled errors ${alarms.length}`);
  for (const alarm of alarms.slice(0, MAX_SHOWN)) console.log(alarm);
  for (const each of violations.slice(0, MAX_SHOWN)) console.log(explain(each, events[0]?.at));
  const failed = violations.length + alarms.length;
  console.log(failed === 0 ? `seed ${seed}: every promise kept` : `seed ${seed}: ${failed} broken`);
  return failed === 0 ? 0 : 1;
}
