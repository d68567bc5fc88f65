/**
 * Judges a history: what callers, workers and brokers saw of one storage, by
 * the promises of docs/guarantees.md. Knows nothing of where it comes from: the
 * simulator's virtual time and the log files of real processes are the same to it.
 */
import { describe, type Event } from "./events.ts";
import { History, type Limits } from "./history.ts";
import { duplicateReason, duplicates, expiries, fences, staleLeases } from "./rules/attempts.ts";
import { dispositions } from "./rules/dispositions.ts";
import { hangs, lost, phantom } from "./rules/loss.ts";
import { twoOutcomes } from "./rules/outcomes.ts";
import type { Rule, Violation } from "./rules/violation.ts";
import { errors, waits, watches } from "./rules/waits.ts";

export type { Limits } from "./history.ts";
export type { RuleName, Violation } from "./rules/violation.ts";

const rules: readonly Rule[] = [
  lost,
  phantom,
  hangs,
  fences,
  staleLeases,
  duplicates,
  expiries,
  twoOutcomes,
  waits,
  errors,
  watches,
  dispositions,
];

/** Every broken promise, the one with the fewest events first. Without the last `final` event nothing counts as lost yet. */
export function check(events: readonly Event[], limits: Limits): Violation[] {
  const history = new History(events, limits);
  const violations = [...history.jobs.values()].flatMap((job) => rules.flatMap((rule) => rule(history, job)));
  return violations.sort((a, b) => a.events.length - b.events.length);
}

/** What went on, in numbers: for reports, and to see that a run was worth its time. */
export interface Summary {
  calls: number;
  jobs: number;
  deliveries: number;
  /** Second deliveries by their reason. */
  duplicates: Record<string, number>;
  faults: Record<string, number>;
  violations: number;
}

export function summarize(events: readonly Event[], limits: Limits): Summary {
  const history = new History(events, limits);
  const summary: Summary = {
    calls: history.calls.size,
    jobs: 0,
    deliveries: 0,
    duplicates: {},
    faults: {},
    violations: 0,
  };
  for (const job of history.jobs.values()) {
    summary.jobs++;
    summary.deliveries += job.started.length;
    for (const [i, after] of job.started.entries()) {
      const before = job.started[i - 1];
      if (before?.payload === after.payload) count(summary.duplicates, duplicateReason(history, job, [before, after]));
    }
  }
  for (const { fault } of history.faults) count(summary.faults, `${fault.on}: ${fault.fault}`);
  summary.violations = check(events, limits).length;
  return summary;
}

function count(counts: Record<string, number>, what = "unexplained"): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

/** One violation for people: what was promised and the events that break it. */
export function explain({ rule, message, events }: Violation, start = 0): string {
  const lines = [...new Set(events)].sort((a, b) => a.at - b.at).map((event) => `  ${describe(event, start)}`);
  return [`${rule}: ${message}`, ...lines].join("\n");
}
