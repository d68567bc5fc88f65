/** Waits end in time and tell the truth; watches miss no end. */
import type { Returned, State } from "../events.ts";
import { actedBetween, type Call, type History, type JobHistory, type Shown } from "../history.ts";
import { mayBeForgotten } from "./runs.ts";
import { type Violation, violation } from "./violation.ts";

/** A call that takes no longer may end before another broker was found. */
const PATIENT_MS = 2_000;

export function waits(history: History, job: JobHistory): Violation[] {
  return job.calls.flatMap((call) => {
    const { returned } = call;
    if (!returned) return [];
    return [late(history, job, call, returned), untruthful(history, job, call, returned)].filter(
      (each) => each !== undefined,
    );
  });
}

function late(history: History, job: JobHistory, { called }: Call, returned: Returned): Violation | undefined {
  const { lateMs, toleranceMs } = history.limits;
  if (called.waitMs === undefined) return undefined;
  const overMs = returned.at - called.at - called.waitMs;
  const early = returned.end === "timeout" && !called.poll && overMs < -(lateMs + toleranceMs);
  if (early) {
    const message = `a wait for job ${job.name} ended as timed out ${-overMs} ms before its time`;
    return violation("wait", message, called, returned);
  }
  if (overMs <= lateMs + toleranceMs || excused(history, called, returned.at)) return undefined;
  return violation("wait", `a wait for job ${job.name} ended ${overMs} ms late`, called, returned);
}

/** Only a library's own timer is in time whatever breaks, and no timer of a process that stands still. */
function excused(history: History, { by, at, raw }: Call["called"], to: number): boolean {
  const stood = history.faults.some(
    ({ begin, end, fault: { fault, on, who = by } }) =>
      on === "caller" && fault !== "kill" && who === by && begin <= to && end >= at,
  );
  return stood || (raw === true && history.troubled(at, to, { caller: by }) !== undefined);
}

function untruthful(history: History, job: JobHistory, call: Call, returned: Returned): Violation | undefined {
  if (returned.end === "timeout") return deaf(history, job, call, returned);
  if (returned.end !== "not-found") return undefined;
  const { called } = call;
  // What was cached had ended before, nobody knows when: it may be over at any time.
  const accepted = job.enqueues.find(
    ({ returned: answer }) => answer?.end === "ok" && answer.disposition !== "cached" && answer.at <= called.at,
  );
  if (!accepted || mayBeForgotten(history, job, keptSince(job, accepted), returned.at)) return undefined;
  const message = `job ${job.name} was accepted, and a later call did not find it`;
  return violation("wait", message, accepted.called, accepted.returned, called, returned);
}

/** An outcome that was there when it was asked for has been kept since its end: waiting enqueues do not tell. */
function keptSince(job: JobHistory, { called, returned }: Call): number {
  const outcome = returned?.job?.outcome;
  if (!outcome) return called.at;
  const end = job.finished.find(({ text }) => text !== undefined && text === outcome.text);
  return Math.min(called.at, end?.at ?? Number.NEGATIVE_INFINITY);
}

/** It timed out although the job had ended long enough before for every sweep to find that out. */
function deaf(history: History, job: JobHistory, { called }: Call, returned: Returned): Violation | undefined {
  const { sweepMs, toleranceMs } = history.limits;
  const known = job.shown.findLast(({ event }) => Math.max(event.at, called.at) + sweepMs + toleranceMs < returned.at);
  if (!known) return undefined;
  const since = Math.max(known.event.at, called.at);
  if (history.troubled(since, returned.at, { caller: called.by }) || startedAfresh(history, job, known, returned.at))
    return undefined;
  const message = `a wait for job ${job.name} timed out although its outcome was there`;
  return violation("wait", message, known.event, called, returned);
}

/** The wait may be for a newer run than the one whose outcome was shown: its own enqueue may have made it. */
function startedAfresh(history: History, job: JobHistory, { event, outcome }: Shown, to: number): boolean {
  if (actedBetween(job, "retry", event.at, to).length > 0 || mayBeForgotten(history, job, event.at, to)) return true;
  const enqueues = [
    ...actedBetween(job, "enqueue", event.at, to),
    ...actedBetween(job, "enqueue-and-wait", event.at, to),
  ];
  return enqueues.some(({ called }) => outcome.state === "cancelled" || called.onDuplicate?.startsWith("rerun"));
}

/** A call of the library finds another broker: without a fault there is no error, also not while one drains. */
export function errors(history: History, job: JobHistory): Violation[] {
  return job.calls.flatMap(({ called, returned }) => {
    if (returned?.end !== "unknown" || called.raw || (called.waitMs ?? 0) < PATIENT_MS) return [];
    const excused =
      history.troubled(called.at, returned.at, { caller: called.by }) ??
      history.drained(called.at, returned.at) >= history.limits.brokers;
    if (excused) return [];
    return [violation("error", `a call on job ${job.name} ended in an error without a fault`, called, returned)];
  });
}

const ends: readonly State[] = ["succeeded", "failed", "cancelled"];

export function watches(_history: History, job: JobHistory): Violation[] {
  return job.calls.filter(({ called }) => called.operation === "watch").flatMap((call) => watch(job, call));
}

function watch({ name }: JobHistory, { called, saw, returned }: Call): Violation[] {
  for (const [i, event] of saw.entries()) {
    const before = saw[i - 1];
    if (!before) continue;
    if ((event.job.version ?? 0) <= (before.job.version ?? 0)) {
      return [violation("watch", `a watch of job ${name} was shown an older version`, called, before, event)];
    }
    if (ends.includes(before.job.state)) {
      return [violation("watch", `a watch of job ${name} went on after the end`, called, before, event)];
    }
  }
  const last = saw.at(-1);
  if (returned?.end !== "ok" || (last && ends.includes(last.job.state))) return [];
  return [violation("watch", `a watch of job ${name} ended without the job's end`, called, last, returned)];
}
