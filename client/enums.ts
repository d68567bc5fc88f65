/** The protocol's enums as lower-case unions. */
import {
  JobFailure_Kind,
  Disposition as WireDisposition,
  OnDuplicate as WireOnDuplicate,
  RetryOn as WireRetryOn,
  JobState as WireState,
} from "../gen/queuecall/v1/job_pb.js";

/** Where a job is in its life. */
export type JobState = "scheduled" | "queued" | "running" | "succeeded" | "failed" | "cancelled";

/** What to do when the id exists already. */
export type OnDuplicate = "join" | "reject" | "rerun-if-failed" | "rerun-if-finished";

/** Which failures are worth another try, where the worker does not say: any that another try can help, or UNAVAILABLE alone. */
export type RetryOn = "failure" | "unavailable";

/** What an enqueue did: stored the job, found it in flight, or found it finished. */
export type Disposition = "created" | "joined" | "cached";

/** What ended a job that has no result. */
export type FailureKind = "handler" | "run-timeout" | "start-timeout" | "crash-loop" | "result-too-large" | "cancelled";

const states: Record<WireState, JobState | undefined> = {
  [WireState.UNSPECIFIED]: undefined,
  [WireState.SCHEDULED]: "scheduled",
  [WireState.QUEUED]: "queued",
  [WireState.RUNNING]: "running",
  [WireState.SUCCEEDED]: "succeeded",
  [WireState.FAILED]: "failed",
  [WireState.CANCELLED]: "cancelled",
};

const dispositions: Record<WireDisposition, Disposition | undefined> = {
  [WireDisposition.UNSPECIFIED]: undefined,
  [WireDisposition.CREATED]: "created",
  [WireDisposition.JOINED]: "joined",
  [WireDisposition.CACHED]: "cached",
};

const kinds: Record<JobFailure_Kind, FailureKind | undefined> = {
  [JobFailure_Kind.UNSPECIFIED]: undefined,
  [JobFailure_Kind.HANDLER]: "handler",
  [JobFailure_Kind.RUN_TIMEOUT]: "run-timeout",
  [JobFailure_Kind.START_TIMEOUT]: "start-timeout",
  [JobFailure_Kind.CRASH_LOOP]: "crash-loop",
  [JobFailure_Kind.RESULT_TOO_LARGE]: "result-too-large",
  [JobFailure_Kind.CANCELLED]: "cancelled",
};

export const onDuplicates: Record<OnDuplicate, WireOnDuplicate> = {
  join: WireOnDuplicate.JOIN,
  reject: WireOnDuplicate.REJECT,
  "rerun-if-failed": WireOnDuplicate.RERUN_IF_FAILED,
  "rerun-if-finished": WireOnDuplicate.RERUN_IF_FINISHED,
};

export const retryOns: Record<RetryOn, WireRetryOn> = {
  failure: WireRetryOn.FAILURE,
  unavailable: WireRetryOn.UNAVAILABLE,
};

// A newer broker may send what this library does not know; the nearest meaning is better than a crash.
export const stateOf = (wire: WireState): JobState => states[wire] ?? "running";
export const dispositionOf = (wire: WireDisposition): Disposition => dispositions[wire] ?? "joined";
export const kindOf = (wire: JobFailure_Kind): FailureKind => kinds[wire] ?? "handler";

/** Whether a job in this state will not change any more, unless its id is run again. */
export function isTerminal(state: JobState): boolean {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}
