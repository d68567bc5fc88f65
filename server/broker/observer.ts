/**
 * What a broker lets itself be watched by: metrics and log lines are made of
 * this, and the core knows neither. Observers are told after the fact, once the
 * storage has confirmed; they must be quick and must not throw.
 */
import type { Reason } from "../../protocol/errors.ts";
import type { Disposition, JobKey, JobStatus } from "../job/job.ts";
import type { Claimed } from "../storage/storage.ts";

/** One attempt, as far as the stream that holds its lease knows it. */
export interface AttemptSeen extends JobKey {
  /** From 1; 0: the lease came from an earlier stream of the session, which did not say. */
  readonly attempt: number;
  /** When its delivery was claimed here. Monotonic milliseconds; undefined: elsewhere. */
  readonly since: number | undefined;
  /** The job's W3C `traceparent`; "" where there is none, or it is not known. */
  readonly traceparent: string;
}

/** How an attempt's holder let go of it, in the storage's words. */
export type AttemptEnd = "completed" | "failed" | "released" | "cancelled" | "undelivered";

/**
 * Why a lease was lost: it ran out before its renewal or settlement came, or its
 * stream ended (then it may still be adopted by the next one).
 */
export type LeaseLoss = "expired" | "late_settlement" | "stream_ended";

/** A worker stream. */
export interface SessionSeen {
  readonly workerId: string;
  readonly sessionId: string;
  readonly lane: string;
  readonly queues: readonly string[];
}

/** Implementations are plain objects: what they leave out, nobody is told. */
export interface Observer {
  /** An enqueue was answered. */
  accepted(job: JobKey, disposition: Disposition): void;
  /** A caller or a worker stream was refused by the broker itself: a limit, a drain, a storage that is full or away. */
  refused(reason: Reason): void;
  /** A worker's stream got the job. `waitedMs`: from acceptance, by the broker's wall clock; first attempts only. */
  started(job: Claimed, waitedMs: number | undefined): void;
  /** The storage accepted the end of an attempt. `status` is the job after it. */
  settled(attempt: AttemptSeen, end: AttemptEnd, status: JobStatus): void;
  /** A job reached a terminal state. `attempt`: the one that led to it, where it did so here. */
  ended(status: JobStatus, attempt?: AttemptSeen): void;
  leaseLost(attempt: AttemptSeen, why: LeaseLoss): void;
  sessionOpened(session: SessionSeen): void;
  /** `error`: why, where it did not end well. */
  sessionClosed(session: SessionSeen, error: Error | undefined): void;
  /** A worker announced a gRPC service that the storage has no room for: it cannot be called by its stubs. */
  serviceRefused(service: string): void;
}

const nothing = () => {};

/** Sees nothing. */
export const blind: Observer = {
  accepted: nothing,
  refused: nothing,
  started: nothing,
  settled: nothing,
  ended: nothing,
  leaseLost: nothing,
  sessionOpened: nothing,
  sessionClosed: nothing,
  serviceRefused: nothing,
};

/** One observer that tells two. */
export function both(one: Partial<Observer>, other: Partial<Observer>): Observer {
  const first = { ...blind, ...one };
  const second = { ...blind, ...other };
  return {
    accepted(job, disposition) {
      first.accepted(job, disposition);
      second.accepted(job, disposition);
    },
    refused(reason) {
      first.refused(reason);
      second.refused(reason);
    },
    started(job, waitedMs) {
      first.started(job, waitedMs);
      second.started(job, waitedMs);
    },
    settled(attempt, end, status) {
      first.settled(attempt, end, status);
      second.settled(attempt, end, status);
    },
    ended(status, attempt) {
      first.ended(status, attempt);
      second.ended(status, attempt);
    },
    leaseLost(attempt, why) {
      first.leaseLost(attempt, why);
      second.leaseLost(attempt, why);
    },
    sessionOpened(session) {
      first.sessionOpened(session);
      second.sessionOpened(session);
    },
    sessionClosed(session, error) {
      first.sessionClosed(session, error);
      second.sessionClosed(session, error);
    },
    serviceRefused(service) {
      first.serviceRefused(service);
      second.serviceRefused(service);
    },
  };
}
