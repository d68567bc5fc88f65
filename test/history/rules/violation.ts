import type { Event } from "../events.ts";
import type { History, JobHistory } from "../history.ts";

export type RuleName =
  | "lost"
  | "phantom"
  | "hang"
  | "fence"
  | "stale lease"
  | "unexplained duplicate"
  | "expiry"
  | "two outcomes"
  | "wait"
  | "error"
  | "watch"
  | "disposition";

/** A broken promise, and the few events that show it. */
export interface Violation {
  rule: RuleName;
  message: string;
  events: Event[];
}

/** What a rule looks at: one job at a time. */
export type Rule = (history: History, job: JobHistory) => Violation[];

export function violation(rule: RuleName, message: string, ...events: (Event | undefined)[]): Violation {
  return { rule, message, events: events.filter((event) => event !== undefined) };
}
