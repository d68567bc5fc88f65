/** One outcome per run, the same for everybody. */
import type { Event, Sight, Started } from "../events.ts";
import type { History, JobHistory, Shown } from "../history.ts";
import { finishedWith } from "./loss.ts";
import { newRunReason } from "./runs.ts";
import { type Violation, violation } from "./violation.ts";

export function twoOutcomes(history: History, job: JobHistory): Violation[] {
  return [...differingVersions(history, job), ...differingOutcomes(history, job)];
}

/** What a version of a job is does not depend on who asks; unless the storage lost it after it was shown, and gives it out again. */
function differingVersions(history: History, job: JobHistory): Violation[] {
  const { toleranceMs } = history.limits;
  const kept = ({ at }: Event) => !history.rolledBack(at - toleranceMs, at + toleranceMs);
  const seen = new Map<number, { event: Event; sight: Sight }>();
  const violations: Violation[] = [];
  for (const { event, sight } of sights(job)) {
    if (sight.version === undefined) continue;
    const known = seen.get(sight.version);
    if (!known) seen.set(sight.version, { event, sight });
    else if (!agree(known.sight, sight) && kept(known.event) && kept(event)) {
      const message = `job ${job.name} was shown as two things in version ${sight.version}`;
      violations.push(violation("two outcomes", message, known.event, event));
    }
  }
  return violations;
}

function* sights({ calls, final }: JobHistory): Generator<{ event: Event; sight: Sight }> {
  for (const { saw, returned } of calls) {
    for (const event of saw) yield { event, sight: event.job };
    if (returned?.job) yield { event: returned, sight: returned.job };
  }
  if (final?.sight) yield { event: final, sight: final.sight };
}

function agree(a: Sight, b: Sight): boolean {
  if (a.state !== b.state) return false;
  const [one, other] = [a.outcome, b.outcome];
  return !one || !other || (one.text === other.text && one.failure === other.failure);
}

/** The texts of outcomes say which attempts they come from; those of one run are the same attempt. */
function differingOutcomes(history: History, job: JobHistory): Violation[] {
  const first = new Map<string, { shown: Shown; started: Started }>();
  const violations: Violation[] = [];
  for (const shown of job.shown) {
    const started = attemptOf(job, shown);
    if (!started) continue;
    const known = first.get(started.payload);
    if (!known) first.set(started.payload, { shown, started });
    else if (known.started.fence !== started.fence) {
      const [from, to] = [known.started.at, started.at].sort((a, b) => a - b) as [number, number];
      const retries = known.shown.outcome.state !== "succeeded";
      if (newRunReason(history, job, from, to, { retries })) continue;
      const message = `one run of job ${job.name} has two outcomes`;
      violations.push(violation("two outcomes", message, known.started, known.shown.event, started, shown.event));
    }
  }
  return violations;
}

function attemptOf(job: JobHistory, { outcome }: Shown): Started | undefined {
  if (outcome.text === undefined) return undefined;
  const finished = finishedWith(job, outcome);
  return finished && job.started.find(({ fence }) => fence === finished.fence);
}
