/** Makes a failing history short: leaves out steps as long as the same promise stays broken. */
import type { Plan, Step } from "./plan.ts";
import { type Result, run } from "./run.ts";

/** Histories that are tried at most. */
const TRIES = 200;

/** The shortest history found that fails as this one does. */
export async function shrink(failed: Result): Promise<Result> {
  const rule = ruleOf(failed);
  let best = failed;
  let tries = 0;
  const fails = async (steps: Step[]): Promise<boolean> => {
    if (++tries > TRIES) return false;
    const result = await attempt({ ...best.plan, steps });
    if (!result || ruleOf(result) !== rule) return false;
    best = result;
    return true;
  };
  for (let size = Math.ceil(failed.plan.steps.length / 2); size >= 1; ) {
    const shorter = await without(best.plan.steps, size, fails);
    // As long as single steps can go, others may have become needless.
    if (!shorter || size > 1) size = size === 1 ? 0 : Math.ceil(size / 2);
  }
  return best;
}

/** Leaves out one part of that size after the other. Answers whether any could go. */
async function without(steps: Step[], size: number, fails: (steps: Step[]) => Promise<boolean>): Promise<boolean> {
  let kept = steps;
  for (let at = 0; at < kept.length; ) {
    const rest = kept.toSpliced(at, size);
    if (await fails(rest)) kept = rest;
    else at += size;
  }
  return kept.length < steps.length;
}

async function attempt(plan: Plan): Promise<Result | undefined> {
  try {
    return await run(plan);
  } catch {
    return undefined;
  }
}

/** The first words of its first failure. */
function ruleOf({ failures }: Result): string {
  return failures[0]?.split(/[:\d]/)[0] ?? "";
}
