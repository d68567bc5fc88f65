/** How the broker says no: while it drains, when it is crowded, and when the storage does not do what was asked. */
import { CallError } from "../../protocol/errors.ts";
import type { JobKey, LimitName, QueueLimits } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import { StorageUnavailable } from "../storage/storage.ts";
import type { Observer } from "./observer.ts";

export class Refusals {
  readonly #observer: Observer;
  /** The broker goes away: what is new is refused. */
  draining = false;

  constructor(observer: Observer) {
    this.#observer = observer;
  }

  /** Asks the storage; what it throws becomes an error that may cross the wire. */
  async ask<T>(verb: () => Promise<T>): Promise<T> {
    try {
      return await verb();
    } catch (error) {
      throw this.of(error);
    }
  }

  /** What the storage threw, as an error that may cross the wire. */
  of(error: unknown): unknown {
    if (!(error instanceof StorageUnavailable)) return error;
    const text =
      error.accepted === "no"
        ? "the storage is not available: nothing was stored"
        : "the storage did not confirm: repeat with the same request_id";
    const metadata = { accepted: error.accepted };
    return this.count(new CallError("STORE_UNAVAILABLE", text, { metadata, retryAfterMs: 500, cause: error }));
  }

  /** @throws CallError BROKER_DRAINING */
  whileDraining(): void {
    if (this.draining) {
      const text = "this broker is shutting down; use another one";
      throw this.count(new CallError("BROKER_DRAINING", text, { retryAfterMs: 100 }));
    }
  }

  /** Counts a refusal, and answers it. */
  count(error: CallError): CallError {
    this.#observer.refused(error.reason);
    return error;
  }
}

/** What there has to be. */
export function found<T>(key: JobKey, job: T | undefined): T {
  if (job === undefined) throw notFound(key);
  return job;
}

export function notFound({ queue, jobId }: JobKey): CallError {
  return new CallError("JOB_NOT_FOUND", `queue ${queue} has no job ${jobId}`, { jobId, metadata: { queue } });
}

export function tooManySessions({ maxSessions }: BrokerSettings): CallError {
  const text = `this broker serves ${maxSessions} worker streams at most; connect to another one`;
  const metadata = { limit: "max_sessions", max_sessions: String(maxSessions) };
  return new CallError("RATE_LIMITED", text, { metadata, retryAfterMs: 5_000 });
}

export function queueFull(queue: string, limit: LimitName, { maxLength, maxBytes }: QueueLimits): CallError {
  const most = limit === "max_length" ? `${maxLength} unfinished jobs` : `${maxBytes} bytes of unfinished jobs`;
  const text = `queue ${queue} takes ${most} at most (${limit}): nothing was stored; try again when some have ended`;
  const metadata = { queue, limit, [limit]: String(limit === "max_length" ? maxLength : maxBytes) };
  return new CallError("QUEUE_FULL", text, { metadata, retryAfterMs: 1_000 });
}

export function outcomeExpired({ queue, jobId }: JobKey): CallError {
  return new CallError("OUTCOME_EXPIRED", `job ${jobId} is gone: its result_ttl was over`, {
    jobId,
    metadata: { queue },
  });
}

export function interrupted({ jobId }: JobKey): CallError {
  return new CallError(
    "WAIT_INTERRUPTED",
    "this broker is shutting down; the job goes on: wait for it at another one",
    {
      jobId,
      retryAfterMs: 100,
    },
  );
}

export function tooManyWaiters(most: number): CallError {
  const text = `${most} calls are waiting at this broker, its limit; try again later or at another one`;
  return new CallError("TOO_MANY_WAITERS", text, { retryAfterMs: 1_000 });
}

export function jobExists(jobId: string, state: string): CallError {
  return new CallError("JOB_ALREADY_EXISTS", `job ${jobId} exists and is ${state}`, { jobId, metadata: { state } });
}

export function payloadMismatch(jobId: string, state: string): CallError {
  const text = `job ${jobId} exists with another method, content type or payload`;
  return new CallError("PAYLOAD_MISMATCH", text, { jobId, metadata: { state } });
}

export function storeFull(jobId: string): CallError {
  return new CallError("STORE_FULL", "the storage is full: nothing was stored", { jobId, retryAfterMs: 1_000 });
}

export function unconfirmed(jobId: string): CallError {
  const text = "the deadline was over before the storage confirmed; repeat with the same request_id";
  return new CallError("ENQUEUE_UNCONFIRMED", text, { jobId });
}
