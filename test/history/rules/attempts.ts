/** Leases: fences rise, one is valid at a time, and every second delivery has a reason. */
import type { Event, Finished, Settled, Started } from "../events.ts";
import type { History, JobHistory } from "../history.ts";
import { callOf, newRunReason } from "./runs.ts";
import { type Violation, violation } from "./violation.ts";

/** Two attempts of a job that follow each other by their fences. */
type Pair = [before: Started, after: Started];

const pairs = (started: readonly Started[]): Pair[] =>
  started.slice(1).map((after, i) => [started[i] as Started, after]);

export function fences(history: History, job: JobHistory): Violation[] {
  return [
    ...pairs(job.started).flatMap((pair) => fencesOf(history, job, pair)),
    ...job.started.flatMap((started) => {
      const call = job.enqueues.find(({ called }) => called.call === started.payload)?.called;
      if (call?.maxAttempts === undefined || started.attempt <= call.maxAttempts) return [];
      return [violation("fence", `job ${job.name} was tried more often than allowed`, call, started)];
    }),
  ];
}

function fencesOf(history: History, job: JobHistory, [before, after]: Pair): Violation[] {
  if (before.fence === after.fence) {
    return [violation("fence", `job ${job.name} was started twice with one fence`, before, after)];
  }
  const known = job.started.filter(({ payload }) => payload === after.payload);
  const again = before.payload !== after.payload && known.some(({ fence }) => fence < after.fence);
  const goesBack = before.payload === after.payload && after.attempt < before.attempt;
  if (!again && !goesBack) return [];
  const first = again ? (known[0] as Started) : before;
  if (newRunReason(history, job, Math.min(first.at, after.at), Math.max(first.at, after.at))) return [];
  const message = again ? "went back to an older run" : "has a higher fence for an older attempt";
  return [violation("fence", `job ${job.name} ${message}`, first, ...(again ? [before] : []), after)];
}

/** Once a newer attempt has started, an older one can no longer settle. */
export function staleLeases(history: History, job: JobHistory): Violation[] {
  const { toleranceMs } = history.limits;
  return pairs(job.started).flatMap(([before, after]) => {
    const late = job.finished.find(({ fence, at }) => fence === before.fence && at > after.at + toleranceMs);
    if (!late) return [];
    const accepted = acceptanceOf(job, late);
    if (!accepted) return [];
    return [
      violation("stale lease", `job ${job.name}: a lease that was lost has settled it`, before, after, late, accepted),
    ];
  });
}

/** The first sign that an attempt's end was accepted. */
function acceptanceOf(job: JobHistory, { fence, how, text }: Finished): Event | undefined {
  const same = (settled: Settled) => settled.fence === fence && how.startsWith(settled.how);
  const settled = job.settled.find((each) => each.result === "ok" && same(each));
  return settled ?? (text === undefined ? undefined : job.shown.find(({ outcome }) => outcome.text === text)?.event);
}

/** A job runs a second time only for a reason that the history shows. */
export function duplicates(history: History, job: JobHistory): Violation[] {
  return pairs(job.started).flatMap(([before, after]) => {
    if (before.fence === after.fence || before.payload !== after.payload) return [];
    const missing = lettingGoMissing(history, job, before, after);
    if (missing) return [violation("unexplained duplicate", `job ${job.name} ${missing}`, before, after)];
    if (duplicateReason(history, job, [before, after])) return [];
    const ended = job.finished.find(({ fence }) => fence === before.fence);
    const message = `job ${job.name} ran a second time without a reason`;
    return [violation("unexplained duplicate", message, callOf(job, after.payload), before, ended, after)];
  });
}

/** Where brokers tell how leases end, each has to, before the next begins. */
function lettingGoMissing({ leasesTold }: History, job: JobHistory, before: Started, after: Started) {
  if (!leasesTold || job.over.some(({ fence }) => fence === before.fence)) return undefined;
  return `was leased with fence ${after.fence} although the lease of fence ${before.fence} was never let go`;
}

/** Why the second of two attempts of one payload came to be. Undefined: unexplained. */
export function duplicateReason(history: History, job: JobHistory, [before, after]: Pair): string | undefined {
  const { toleranceMs } = history.limits;
  const [from, to] = [Math.min(before.at, after.at), Math.max(before.at, after.at)];
  const end = job.finished.find(({ fence, at }) => fence === before.fence && at <= to + toleranceMs);
  if (end?.how === "failed") return "retryable failure";
  if (end?.how === "released") return "release";
  const stop = job.stopped.find(({ fence }) => fence === before.fence);
  if (stop?.why === "worker-stopping") return "release";
  if (stop?.why === "run-timeout") return "run timeout";
  const call = job.enqueues.find(({ called }) => called.call === after.payload)?.called;
  // Counted from the claim, which may have been long before the start: where brokers tell, they know.
  const ranOut = job.over.some(({ fence, why }) => fence === before.fence && why === "expired");
  if (call?.runTimeoutMs !== undefined && (ranOut || to - from + toleranceMs >= call.runTimeoutMs))
    return "run timeout";
  const gone = history.streamsEnded.find(
    ({ by, at }) => by === before.by && at >= from - toleranceMs && at <= to + toleranceMs,
  );
  if (gone) return "stream end";
  const fault = history.troubled(from, to, { worker: before.by });
  return fault ? `fault: ${fault.fault}` : newRunReason(history, job, from, to);
}

/** Where brokers tell how leases end: none runs out while nothing is broken, whether or not its job ran. */
export function expiries(history: History, job: JobHistory): Violation[] {
  const timed = job.enqueues.some(({ called }) => called.runTimeoutMs !== undefined);
  return job.over.flatMap((over) => {
    if (over.why !== "expired" || timed || history.troubled(over.at, over.at)) return [];
    const started = job.started.find(({ fence }) => fence === over.fence);
    return [violation("expiry", `a lease of job ${job.name} ran out without a fault`, started, over)];
  });
}
