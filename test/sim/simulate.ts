/** Many seeds, one after the other: for the test and the command. */
import { summarize } from "../history/check.ts";
import { describe } from "../history/events.ts";
import { planOf } from "./plan.ts";
import { limitsOf, type Result, run } from "./run.ts";
import { shrink } from "./shrink.ts";

/** What many histories came to. */
export class Totals {
  seeds = 0;
  calls = 0;
  deliveries = 0;
  readonly failed: number[] = [];
  /** Second deliveries by their reason. */
  readonly duplicates = new Map<string, number>();
  /** How often each thing happened. */
  readonly counts = new Map<string, number>();

  add({ plan, events, counts, failures }: Result): void {
    this.seeds++;
    const summary = summarize(events, limitsOf(plan));
    this.calls += summary.calls;
    this.deliveries += summary.deliveries;
    for (const [reason, times] of Object.entries(summary.duplicates)) grow(this.duplicates, reason, times);
    for (const [what, times] of counts) grow(this.counts, what, times);
    if (failures.length > 0) this.failed.push(plan.seed);
  }
}

function grow(counts: Map<string, number>, what: string, by: number): void {
  counts.set(what, (counts.get(what) ?? 0) + by);
}

/** Runs one seed. Answers, where it failed, the seed with its shortest history in words. */
export async function simulate(seed: number, totals: Totals): Promise<string | undefined> {
  const result = await run(planOf(seed));
  totals.add(result);
  return result.failures.length === 0 ? undefined : report(await shrink(result));
}

/** The seed, what was broken, the steps that are left, and all that happened. */
function report({ plan, events, failures }: Result): string {
  const { seed, settings, steps } = plan;
  return [
    `seed ${seed} fails (npm run sim -- --seed ${seed}):`,
    ...failures,
    `settings ${JSON.stringify(settings)}; the steps that it takes:`,
    ...steps.map(({ at, ...step }) => `  ${(at / 1000).toFixed(3).padStart(9)}  ${JSON.stringify(step)}`),
    "and what happened:",
    ...events.map((event) => `  ${describe(event)}`),
  ].join("\n");
}
