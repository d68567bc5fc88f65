/**
 * What a storage keeps of a job beside its blobs: the part that the state
 * machine reads and changes. Numbers only where a number is meant; 0 and ""
 * stand for "none", so that every backend stores the same thing.
 */
import type { Backoff } from "../../protocol/backoff.ts";
import type { FailedAttempt, FailureDetail, FailureKind, JobKey, JobState, JobSummary, RetryOn } from "./job.ts";

export interface JobRecord extends JobKey {
  state: JobState;
  /** Rises with every visible change, across runs. */
  version: number;
  /** Claims of this run, less those given back. */
  attempt: number;
  maxAttempts: number;
  /** Deliveries in a row that ended without settlement or release. */
  crashes: number;
  priority: number;
  /** Place in line within the queue: order of acceptance, kept over retries. */
  seq: number;

  createTime: number;
  /** Newest claim; 0 before the first. */
  startTime: number;
  endTime: number;
  /** When a terminal job is forgotten. */
  expireTime: number;
  /** SCHEDULED: when it becomes QUEUED. */
  dueTime: number;

  runTimeoutMs: number;
  startTimeoutMs: number;
  resultTtlMs: number;
  backoff: Backoff;
  retryOn: RetryOn;

  /** Highest fence handed out for this id; rises across runs. */
  fence: number;
  /** RUNNING: the token that may settle. Lower-case hex; "" otherwise. */
  leaseToken: string;
  /** RUNNING: when the lease is over. */
  leaseUntil: number;
  /** RUNNING with a run_timeout: when the attempt is over, whatever is renewed. 0: never. */
  runUntil: number;
  /** RUNNING: the stream that holds the lease, "broker.stream". */
  owner: string;
  /** RUNNING: the worker_id, for people. */
  workerId: string;
  /** The token of the newest accepted settlement of this run. Hex. */
  settledToken: string;

  cancelRequested: boolean;
  /** request_id that made this run. Hex; "" if none. */
  requestId: string;
  /** request_ids that joined this run under a rerun policy; newest last, at most 16. Hex. */
  joinedBy: string[];
  /** Digest of method, content type, data. Hex; "" where the data was empty. */
  digest: string;

  /** Tries that failed, oldest first, at most MAX_ATTEMPTS_KEPT. */
  history: FailedAttempt[];
  /** FAILED, CANCELLED: why. "" otherwise. */
  failureKind: FailureKind | "";
  /** What the worker said, where a worker ended it. */
  failureDetail?: FailureDetail;

  /** Brokers to tell when it ends; newest last, at most MAX_LISTENERS. */
  waiters: string[];
  /** Brokers to tell of every change; newest last, at most MAX_LISTENERS. */
  watchers: string[];
}

/** Brokers remembered per job. More lose their hint, not their answer: the sweep finds it. */
export const MAX_LISTENERS = 16;
/** request_ids of joiners remembered per run. */
export const MAX_JOINED_BY = 16;

/** What a list shows of a job. */
export function summaryOf(job: JobRecord): JobSummary {
  const { queue, jobId, state, version, attempt, maxAttempts, priority, createTime, cancelRequested } = job;
  return {
    ...{ queue, jobId, state, version, attempt, maxAttempts, priority, createTime, cancelRequested },
    workerId: state === "running" ? job.workerId : "",
    ...(job.startTime > 0 && { startTime: job.startTime }),
    ...(job.endTime > 0 && { endTime: job.endTime }),
    ...(job.dueTime > 0 && { dueTime: job.dueTime }),
    ...(job.failureKind !== "" && { failureKind: job.failureKind }),
  };
}
