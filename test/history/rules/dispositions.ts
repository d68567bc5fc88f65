/** Of any number of enqueues of one id, exactly one creates each run. */
import { type Call, type History, type JobHistory, mayHaveActed } from "../history.ts";
import { newRunReason } from "./runs.ts";
import { type Violation, violation } from "./violation.ts";

export function dispositions(history: History, job: JobHistory): Violation[] {
  return [...createdTwice(history, job), ...job.enqueues.flatMap((call) => answer(job, call))];
}

function createdTwice(history: History, job: JobHistory): Violation[] {
  const created = job.enqueues
    .filter(({ returned }) => returned?.disposition === "created")
    .sort((a, b) => a.called.at - b.called.at);
  return created.slice(1).flatMap((after) => {
    const before = created[created.indexOf(after) - 1] as Call;
    const to = Math.max(before.returned!.at, after.returned!.at);
    if (newRunReason(history, job, before.called.at, to)) return [];
    const message = `two enqueues of job ${job.name} created one run`;
    return [violation("disposition", message, before.called, before.returned, after.called, after.returned)];
  });
}

function answer(job: JobHistory, call: Call): Violation[] {
  const { called, returned } = call;
  const disposition = returned?.disposition;
  if (disposition === undefined || disposition === "created") return [];
  const wrong = (message: string) => [violation("disposition", `job ${job.name}: ${message}`, called, returned)];
  const other = job.enqueues.some((each) => each !== call && mayHaveActed(each) && each.called.at <= returned!.at);
  if (!other) return wrong(`an enqueue ${disposition} a job that nobody had enqueued`);
  if (called.onDuplicate === "reject") return wrong(`a duplicate was to be rejected and was ${disposition}`);
  if (disposition === "joined") return [];
  const outcome = returned?.job?.outcome;
  if (!outcome) return wrong("a cached answer without the outcome");
  if (outcome.state === "cancelled") return wrong("a cancelled id is free, and was answered as cached");
  if (called.onDuplicate === "rerun-if-finished") return wrong("a finished job was to run again and was cached");
  const failed = outcome.state === "failed" && called.onDuplicate === "rerun-if-failed";
  return failed ? wrong("a failed job was to run again and was cached") : [];
}
