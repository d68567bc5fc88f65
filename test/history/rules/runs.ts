/** Why an id may have started afresh: the reasons that several rules accept. */
import type { Event } from "../events.ts";
import { actedBetween, type History, type JobHistory, mayBeSentAgain, mayHaveActed } from "../history.ts";

const DEFAULT_RESULT_TTL_MS = 3_600_000;

/** The shortest time that an outcome of this id may be kept. */
export function shortestTtlMs(job: JobHistory): number {
  const ttls = job.calls.map(({ called }) => called.resultTtlMs ?? DEFAULT_RESULT_TTL_MS);
  return Math.min(DEFAULT_RESULT_TTL_MS, ...ttls);
}

/** Whether an outcome that there was at `from` need not be kept until `to`. */
export function outlived({ limits }: History, job: JobHistory, from: number, to: number): boolean {
  return to - from + limits.toleranceMs >= shortestTtlMs(job);
}

/** The same, or that it was lost with what the storage rolled back. */
export function mayBeForgotten(history: History, job: JobHistory, from: number, to: number): boolean {
  return history.rolledBack(from, to) || outlived(history, job, from, to);
}

/** Something that allows a new run of the id between two moments. Undefined: nothing does. */
export function newRunReason(
  history: History,
  job: JobHistory,
  from: number,
  to: number,
  { retries = true } = {},
): string | undefined {
  const [begin, end] = [from - history.limits.toleranceMs, to + history.limits.toleranceMs];
  if (actedBetween(job, "cancel", begin, end).length > 0) return "cancelled";
  // Its last send found no job; one before it, of which nobody heard, may arrive when there is one.
  const late = job.calls.filter(({ called }) => called.operation === "cancel" && called.at <= end);
  if (late.some((call) => call.returned?.end === "not-found" && mayBeSentAgain(call))) return "cancelled late";
  if (retries && actedBetween(job, "retry", begin, end).length > 0) return "retried";
  const reruns = job.enqueues.filter(({ called }) => called.onDuplicate?.startsWith("rerun"));
  if (reruns.some((call) => mayHaveActed(call) && call.called.at <= end)) return "rerun by an enqueue";
  return mayBeForgotten(history, job, from, to) ? "forgotten" : undefined;
}

/** The enqueue that brought a payload. */
export function callOf(job: JobHistory, payload: string): Event | undefined {
  return job.enqueues.find(({ called }) => called.call === payload)?.called;
}
