/** What the client library answers, as a history says it: one way for simulated callers and for those in processes of their own. */
import {
  BrokerUnavailableError,
  type Job,
  JobCancelledError,
  JobExistsError,
  JobFailedError,
  JobNotFoundError,
  type JobStatus,
  OverloadedError,
  TimeoutError,
} from "../../client/index.ts";
import type { Outcome, Returned, Sight } from "./events.ts";

/** @param textOf what the handler of a job that succeeded ended it with */
export function sightOf<T>({ state, version, outcome }: JobStatus<T> | Job<T>, textOf: (result: T) => string): Sight {
  if (!outcome) return { state, version };
  const told: Outcome =
    outcome.state === "succeeded" ? { state: "succeeded", text: textOf(outcome.result) } : failed(outcome.error);
  return { state, version, outcome: told };
}

/** A job that succeeded, where only its result is known. */
export function succeeded(text: string): Sight {
  return { state: "succeeded", outcome: { state: "succeeded", text } };
}

/** How a call that threw has ended; a job's failure is an answer. Undefined: in what no caller should ever see. */
export function endOf(error: unknown): Pick<Returned, "end" | "job"> | undefined {
  if (error instanceof JobFailedError || error instanceof JobCancelledError) {
    const outcome = failed(error);
    return { end: "ok", job: { state: outcome.state, outcome } };
  }
  if (error instanceof TimeoutError) return { end: "timeout" };
  if (error instanceof JobNotFoundError) return { end: "not-found" };
  if (error instanceof BrokerUnavailableError) return { end: error.accepted === "no" ? "refused" : "unknown" };
  if (error instanceof OverloadedError || error instanceof JobExistsError) return { end: "refused" };
  return undefined;
}

function failed(error: JobFailedError | JobCancelledError): Outcome {
  const { kind, message } = error.failure;
  const state = error instanceof JobCancelledError ? "cancelled" : "failed";
  return { state, failure: kind, ...wordsOf(kind, message) };
}

/** The handler's own words have a "#": a worker may also say in its stead that it ran too long. */
export function wordsOf(kind: string, message: string): { text?: string } {
  return kind === "handler" && message.includes("#") ? { text: message } : {};
}
