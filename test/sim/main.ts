/**
 * Simulated histories, each made of its seed; stops at the first that breaks a promise, and prints it at its shortest.
 *
 *   npm run sim -- --seeds 10000            seeds 1 to 10,000
 *   npm run sim -- --seed 4711              one
 *   npm run sim -- --seeds 100 --seed 500   100 from seed 500 on
 */
import { parseArgs } from "node:util";
import { simulate, Totals } from "./simulate.ts";

process.exitCode = await main();

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seeds: { type: "string" }, seed: { type: "string" } } });
  const [count, first] = [Number(values.seeds ?? 1), Number(values.seed ?? 1)];
  if (![count, first].every((each) => Number.isSafeInteger(each) && each > 0)) {
    console.error("usage: --seeds N, --seed S: whole numbers from 1");
    return 64;
  }
  const began = performance.now();
  const totals = new Totals();
  for (let seed = first; seed < first + count; seed++) {
    const failure = await simulate(seed, totals);
    if (failure !== undefined) console.log(failure);
    if (failure !== undefined) break;
  }
  print(totals, performance.now() - began);
  return totals.failed.length === 0 ? 0 : 1;
}

function print({ seeds, calls, deliveries, failed, duplicates, counts }: Totals, ms: number): void {
  const table = (name: string, of: ReadonlyMap<string, number>) => {
    console.log(`${name}:`);
    for (const [what, times] of [...of].sort()) console.log(`${String(times).padStart(10)}  ${what}`);
  };
  table("what happened", counts);
  table("second deliveries, by their reason", duplicates);
  console.log(
    `${seeds} seeds, ${calls} calls, ${deliveries} deliveries, ${failed.length} seeds failed, ` +
      `${(ms / 1000).toFixed(1)} s, ${(ms / seeds).toFixed(0)} ms each`,
  );
}
