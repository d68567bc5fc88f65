/** Nothing accepted is lost, nothing runs that nobody asked for, every call returns. */
import type { Outcome, Started } from "../events.ts";
import { actedBetween, type Call, type History, type JobHistory } from "../history.ts";
import { newRunReason, outlived } from "./runs.ts";
import { type Violation, violation } from "./violation.ts";

const ended = ["succeeded", "failed", "cancelled"];

/** What was accepted is kept with an outcome after the drain, or was kept as long as it had to. */
export function lost(history: History, job: JobHistory): Violation[] {
  const { drainedAt } = history;
  const accepted = job.enqueues.find(({ returned }) => returned?.end === "ok");
  if (drainedAt === undefined || !accepted) return [];
  const { called, returned } = accepted;
  const state = job.final?.sight?.state;
  if (state !== undefined && ended.includes(state)) return [];
  const forgiven = history.rolledBack(called.at, returned!.at) || outlived(history, job, called.at, drainedAt);
  if (state === undefined && forgiven) return [];
  const message = state === undefined ? "was accepted and is gone" : `was accepted and is ${state} after the drain`;
  return [violation("lost", `job ${job.name} ${message}`, called, returned, ...job.started.slice(-1), job.final)];
}

export function phantom(history: History, job: JobHistory): Violation[] {
  return [
    ...job.started.flatMap((started) => phantomRun(history, job, started)),
    ...job.shown.flatMap(({ event, outcome }) => {
      if (outcome.text === undefined || finishedWith(job, outcome)) return [];
      return [violation("phantom", `an outcome of job ${job.name} that no handler ended with: ${outcome.text}`, event)];
    }),
    ...job.shown.flatMap(({ event, outcome }) => {
      const cancels = actedBetween(job, "cancel", Number.NEGATIVE_INFINITY, event.at + history.limits.toleranceMs);
      if (outcome.state !== "cancelled" || cancels.length > 0) return [];
      return [violation("phantom", `job ${job.name} was cancelled by nobody`, event)];
    }),
    ...(job.final && job.enqueues.length === 0
      ? [violation("phantom", `job ${job.name} is kept, and nobody enqueued it`, job.final)]
      : []),
  ];
}

function phantomRun(history: History, job: JobHistory, started: Started): Violation[] {
  const call = job.enqueues.find(({ called }) => called.call === started.payload);
  if (!call) return [violation("phantom", `a run of job ${job.name} that nobody enqueued`, started)];
  const { called, returned } = call;
  if (returned?.end === "refused") {
    // An earlier send of the same call may have made a run that had ended before a later send was refused.
    if (newRunReason(history, job, called.at, returned.at)) return [];
    return [violation("phantom", `an enqueue of job ${job.name} was refused, and ran`, called, returned, started)];
  }
  const others = returned?.disposition === "joined" || returned?.disposition === "cached";
  if (!others || newRunReason(history, job, called.at, returned.at)) return [];
  return [
    violation("phantom", `an enqueue of job ${job.name} joined another, and ran itself`, called, returned, started),
  ];
}

/** The handler's end that an outcome shows. */
export function finishedWith(job: JobHistory, { text, state }: Outcome) {
  return job.finished.find((each) => each.text === text && (each.how === "completed") === (state === "succeeded"));
}

/** Every call returns, whatever broke, unless its caller is dead. */
export function hangs(history: History, job: JobHistory): Violation[] {
  if (history.drainedAt === undefined) return [];
  return job.calls
    .filter((call) => !call.returned && !isDead(history, call))
    .map(({ called }) => violation("hang", `a call on job ${job.name} has never returned`, called, job.final));
}

function isDead(history: History, { called }: Call): boolean {
  return history.faults.some(
    ({ end, fault }) =>
      fault.on === "caller" && fault.fault === "kill" && (fault.who ?? called.by) === called.by && end >= called.at,
  );
}
