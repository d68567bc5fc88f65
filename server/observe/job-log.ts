/**
 * Log lines of what happens to jobs and worker streams. What works leaves none.
 * Of headers only the trace id is ever shown; payloads, results and what a
 * handler said of a failure never are.
 */
import { MAX_SERVICE_METHODS, MAX_SERVICES } from "../../protocol/limits.ts";
import type { AttemptSeen, Observer, SessionSeen } from "../broker/observer.ts";

/** The part of the broker's logger that is used here. */
export interface JobLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export function jobLog(logger: JobLogger): Partial<Observer> {
  return {
    settled(attempt, end, { state }) {
      if (end === "completed" || end === "undelivered") return;
      if (state === "failed") return; // `ended` says it, once and for all.
      logger.debug({ ...fieldsOf(attempt), end, state }, "an attempt ended without a result");
    },
    ended({ queue, jobId, attempt, state, outcome }, seen) {
      if (state !== "failed") return;
      const kind = outcome?.kind === "failure" ? outcome.failure.kind : undefined;
      const traceparent = seen?.traceparent ?? "";
      logger.info({ ...fieldsOf({ queue, jobId, attempt, traceparent }), kind }, "a job failed");
    },
    leaseLost(attempt, why) {
      logger.warn({ ...fieldsOf(attempt), why }, "a lease was lost");
    },
    sessionOpened(session) {
      logger.info(sessionFields(session), "a worker's stream opened");
    },
    sessionClosed(session, error) {
      logger.info({ ...sessionFields(session), ...(error && { why: error.message }) }, "a worker's stream closed");
    },
    serviceRefused(service) {
      const why = `at most ${MAX_SERVICES} services, of ${MAX_SERVICE_METHODS} methods each, are kept`;
      logger.warn({ service, why }, "no room for an announced service: gRPC stubs cannot call it");
    },
  };
}

function fieldsOf({ queue, jobId, attempt, traceparent }: Omit<AttemptSeen, "since">) {
  const traceId = traceIdOf(traceparent);
  return { queue, jobId, ...(attempt > 0 && { attempt }), ...(traceId && { traceId }) };
}

function sessionFields({ workerId, sessionId, lane }: SessionSeen) {
  return { workerId, lane, ...(sessionId !== "" && { sessionId }) };
}

/** The trace id of a W3C traceparent; nothing else of a header may get into a log. */
export function traceIdOf(traceparent: string): string | undefined {
  return /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}(-|$)/.exec(traceparent)?.[1];
}
