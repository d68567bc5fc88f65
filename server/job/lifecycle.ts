/**
 * The job state machine: one table, and one pure function per event.
 *
 *   SCHEDULED ──due──► QUEUED ──claim──► RUNNING ──complete──► SUCCEEDED
 *        ▲               ▲  ▲               │ │
 *        └──fail, tries──┼──┴──release──────┘ └──fail──► FAILED
 *                        └──lease expired───┘           CANCELLED ◄── cancel
 *
 * SQLite runs these functions; the Lua scripts of storage/redis say the same in
 * Lua. The contract tests walk every (state, event) of the table on every
 * backend and compare whole states, so that the two cannot drift apart.
 *
 * Rules: contract.md sections 2 to 4. `nowUs` is the storage's clock in whole
 * microseconds; every function returns a new record and leaves its input alone.
 */
import { backoffMs } from "../../protocol/backoff.ts";
import { MAX_ATTEMPT_MESSAGE_BYTES, MAX_ATTEMPTS_KEPT, MAX_DELIVERIES } from "../../protocol/limits.ts";
import type {
  Disposition,
  Failure,
  FailureDetail,
  FailureKind,
  JobSpec,
  JobState,
  JobStatus,
  LimitName,
  OnDuplicate,
  QueueLimits,
  Status,
  TerminalState,
  Unfinished,
} from "./job.ts";
import { isTerminal } from "./job.ts";
import { type JobRecord, MAX_JOINED_BY, MAX_LISTENERS } from "./record.ts";

export type Place = JobState | "absent";

export type JobEvent =
  | "create"
  | "rerun"
  | "due"
  | "start_timeout"
  | "claim"
  | "complete"
  | "fail"
  | "release"
  | "undelivered"
  | "stop"
  | "lease_expired"
  | "run_timeout"
  | "extend"
  | "progress"
  | "cancel"
  | "retry"
  | "set_ttl"
  | "expire";

/** Where each event can lead. An event that a state does not list changes nothing. */
export const transitions: Record<Place, Partial<Record<JobEvent, readonly Place[]>>> = {
  absent: { create: ["scheduled", "queued"] },
  scheduled: {
    due: ["queued"],
    start_timeout: ["failed"],
    cancel: ["cancelled"],
    set_ttl: ["scheduled"],
  },
  queued: {
    claim: ["running"],
    start_timeout: ["failed"],
    cancel: ["cancelled"],
    set_ttl: ["queued"],
  },
  running: {
    complete: ["succeeded"],
    fail: ["scheduled", "queued", "failed", "cancelled"],
    release: ["queued", "cancelled"],
    undelivered: ["queued", "failed", "cancelled"],
    stop: ["cancelled", "failed"],
    lease_expired: ["queued", "failed", "cancelled"],
    run_timeout: ["scheduled", "queued", "failed", "cancelled"],
    extend: ["running"],
    progress: ["running"],
    cancel: ["running"],
    set_ttl: ["running"],
  },
  succeeded: { rerun: ["scheduled", "queued"], set_ttl: ["succeeded"], expire: ["absent"] },
  failed: { rerun: ["scheduled", "queued"], retry: ["queued"], set_ttl: ["failed"], expire: ["absent"] },
  cancelled: { rerun: ["scheduled", "queued"], retry: ["queued"], set_ttl: ["cancelled"], expire: ["absent"] },
};

/** What an enqueue of an id does, given the job that is there. */
export type EnqueueDecision =
  | { kind: "create" }
  | { kind: "answer"; disposition: Disposition; payloadMismatch: boolean; rememberRequest: boolean }
  | { kind: "exists" }
  | { kind: "mismatch" };

/** Milliseconds of a storage time. */
export const msOf = (nowUs: number): number => Math.floor(nowUs / 1000);

/** Whether the record is past its time: as good as absent, whether or not it is collected yet. */
export function isForgotten(job: JobRecord, nowUs: number): boolean {
  return isTerminal(job.state) && job.expireTime <= msOf(nowUs);
}

/** When a job that was never started fails; 0 where it cannot. */
export function startBy(job: JobRecord): number {
  const waiting = job.state === "queued" || job.state === "scheduled";
  return waiting && job.startTime === 0 && job.startTimeoutMs > 0 ? job.createTime + job.startTimeoutMs : 0;
}

/** The duplicate policies, request ids and payload mismatch: contract.md section 2, "Duplicates". */
export function decideEnqueue(existing: JobRecord | undefined, spec: EnqueueQuestion, nowUs: number): EnqueueDecision {
  if (existing === undefined || isForgotten(existing, nowUs)) return { kind: "create" };
  const repeat = spec.requestId !== "" && existing.requestId === spec.requestId;
  if (repeat) return { kind: "answer", disposition: "created", payloadMismatch: false, rememberRequest: false };
  const mismatch = spec.digest !== "" && spec.digest !== existing.digest;
  const disposition = isTerminal(existing.state) ? "cached" : "joined";
  const joinedBefore = spec.requestId !== "" && existing.joinedBy.includes(spec.requestId);
  if (joinedBefore) return { kind: "answer", disposition: "joined", payloadMismatch: mismatch, rememberRequest: false };
  if (existing.state === "cancelled") return { kind: "create" };
  if (spec.onDuplicate === "reject") return { kind: "exists" };
  if (isTerminal(existing.state) && reruns(spec.onDuplicate, existing.state)) return { kind: "create" };
  if (mismatch && spec.rejectPayloadMismatch) return { kind: "mismatch" };
  const rerunPolicy = spec.onDuplicate === "rerun_if_failed" || spec.onDuplicate === "rerun_if_finished";
  const rememberRequest = rerunPolicy && disposition === "joined" && spec.requestId !== "";
  return { kind: "answer", disposition, payloadMismatch: mismatch, rememberRequest };
}

export interface EnqueueQuestion {
  /** Hex; "" if none. */
  requestId: string;
  /** Hex; "" where the data is empty: such a request names a job without describing it. */
  digest: string;
  onDuplicate: OnDuplicate;
  rejectPayloadMismatch: boolean;
}

/**
 * Which limit of its queue a new job of this many bytes would pass. Asked of a run that an enqueue makes, and of nothing
 * else: RUNNING jobs count, so whatever goes back in line was never out of it, and need not be refused.
 */
export function overLimit(held: Unfinished, bytes: number, limits: QueueLimits): LimitName | undefined {
  if (held.length >= limits.maxLength) return "max_length";
  if (held.bytes + bytes > limits.maxBytes) return "max_bytes";
  return undefined;
}

function reruns(policy: OnDuplicate, state: TerminalState): boolean {
  if (policy === "rerun_if_finished") return state !== "cancelled";
  return policy === "rerun_if_failed" && state === "failed";
}

/** A first run, or a new run of an id that has ended (`previous`): version and fence go on rising. */
export function create(
  spec: JobSpec,
  requestId: string,
  digest: string,
  seq: number,
  nowUs: number,
  previous?: JobRecord,
): JobRecord {
  const now = msOf(nowUs);
  return {
    queue: spec.queue,
    jobId: spec.jobId,
    state: spec.delayMs > 0 ? "scheduled" : "queued",
    version: Math.max((previous?.version ?? 0) + 1, nowUs),
    attempt: 0,
    maxAttempts: spec.maxAttempts,
    crashes: 0,
    priority: spec.priority,
    seq,
    createTime: now,
    startTime: 0,
    endTime: 0,
    expireTime: 0,
    dueTime: spec.delayMs > 0 ? now + spec.delayMs : 0,
    runTimeoutMs: spec.runTimeoutMs,
    startTimeoutMs: spec.startTimeoutMs,
    resultTtlMs: spec.resultTtlMs,
    backoff: spec.backoff,
    retryOn: spec.retryOn,
    fence: previous?.fence ?? 0,
    leaseToken: "",
    leaseUntil: 0,
    runUntil: 0,
    owner: "",
    workerId: "",
    settledToken: "",
    cancelRequested: false,
    requestId,
    joinedBy: [],
    digest,
    history: [],
    failureKind: "",
    waiters: previous?.waiters ?? [],
    watchers: previous?.watchers ?? [],
  };
}

/** RetryJob: a new run with the stored payload and fresh attempts. `seq` is a new place in line. */
export function retry(job: JobRecord, seq: number, nowUs: number): JobRecord {
  const { failureDetail: _, ...rest } = job;
  return {
    ...rest,
    state: "queued",
    version: job.version + 1,
    attempt: 0,
    crashes: 0,
    seq,
    createTime: msOf(nowUs),
    startTime: 0,
    endTime: 0,
    expireTime: 0,
    dueTime: 0,
    settledToken: "",
    cancelRequested: false,
    joinedBy: [],
    history: [],
    failureKind: "",
  };
}

/** SCHEDULED → QUEUED, at its old place in line. */
export function becomeDue(job: JobRecord): JobRecord {
  return { ...job, state: "queued", version: job.version + 1, dueTime: 0 };
}

export interface ClaimTerms {
  /** Hex, 16 bytes. */
  leaseToken: string;
  leaseMs: number;
  owner: string;
  workerId: string;
}

/** QUEUED → RUNNING. */
export function claim(job: JobRecord, terms: ClaimTerms, nowUs: number): JobRecord {
  const now = msOf(nowUs);
  const runUntil = job.runTimeoutMs > 0 ? now + job.runTimeoutMs : 0;
  return {
    ...job,
    state: "running",
    version: job.version + 1,
    attempt: job.attempt + 1,
    startTime: now,
    fence: Math.max(job.fence + 1, nowUs),
    leaseToken: terms.leaseToken,
    leaseUntil: capped(now + terms.leaseMs, runUntil),
    runUntil,
    owner: terms.owner,
    workerId: terms.workerId,
  };
}

function capped(until: number, runUntil: number): number {
  return runUntil > 0 ? Math.min(until, runUntil) : until;
}

/** Renewal, and adoption by another stream where `owner` differs. Invisible: no new version. */
export function extend(job: JobRecord, owner: string, leaseMs: number, nowUs: number): JobRecord {
  return { ...job, owner, leaseUntil: capped(msOf(nowUs) + leaseMs, job.runUntil) };
}

/** The stream ended: its lease lasts `graceMs` more at most, for a worker that comes back. */
export function shorten(job: JobRecord, graceMs: number, nowUs: number): JobRecord {
  return { ...job, leaseUntil: Math.min(job.leaseUntil, msOf(nowUs) + graceMs) };
}

/** A report of progress. The blob is the backend's. */
export function reportProgress(job: JobRecord): JobRecord {
  return { ...job, version: job.version + 1 };
}

/** RUNNING → SUCCEEDED, also when cancellation was asked for: the result is there. */
export function complete(job: JobRecord, nowUs: number): JobRecord {
  return { ...end(settled(job), "succeeded", "", nowUs), crashes: 0 };
}

export interface FailTerms {
  kind: "handler" | "result_too_large";
  detail: FailureDetail;
  retryable: boolean;
  /** The same for a job that is retried on UNAVAILABLE only. Default: as `retryable`. */
  retryableAsUnavailable?: boolean;
  /** Undefined: the job's back-off. */
  retryAfterMs?: number;
  /** From 0 to 1, for the back-off. */
  jitter: number;
}

/** The attempt failed. */
export function fail(job: JobRecord, terms: FailTerms, nowUs: number): JobRecord {
  const failed = settled(remember(job, terms.detail.status.message, nowUs));
  if (job.cancelRequested) return end(failed, "cancelled", "cancelled", nowUs);
  const { retryable, retryableAsUnavailable = retryable } = terms;
  const again = job.retryOn === "unavailable" ? retryableAsUnavailable : retryable;
  if (!again || job.attempt >= job.maxAttempts) {
    return { ...end(failed, "failed", terms.kind, nowUs), failureDetail: terms.detail };
  }
  return retryLater(
    { ...failed, crashes: 0 },
    terms.retryAfterMs ?? backoffMs(job.backoff, job.attempt, terms.jitter),
    nowUs,
  );
}

/** Handed back by the worker: the attempt is not counted. */
export function release(job: JobRecord, nowUs: number): JobRecord {
  const freed = settled({ ...job, crashes: 0, attempt: job.attempt - 1 });
  return job.cancelRequested ? end(freed, "cancelled", "cancelled", nowUs) : requeue(freed);
}

/**
 * The stream ended before the delivery was received: the attempt is not counted,
 * but a delivery that was `sent` counts towards the crash loop, since a worker
 * that dies of a job dies before it can say so.
 */
export function undelivered(job: JobRecord, sent: boolean, nowUs: number): JobRecord {
  const freed = settled({ ...job, attempt: job.attempt - 1, crashes: job.crashes + (sent ? 1 : 0) });
  if (job.cancelRequested) return end(freed, "cancelled", "cancelled", nowUs);
  if (freed.crashes >= MAX_DELIVERIES) return end(freed, "failed", "crash_loop", nowUs);
  return requeue(freed);
}

/** The worker says that it stopped. Unasked, that is a failure that is not retried. */
export function stop(job: JobRecord, nowUs: number): JobRecord {
  if (job.cancelRequested) return end(settled(job), "cancelled", "cancelled", nowUs);
  const message = "the worker cancelled the job unasked";
  const failed = end(settled(remember(job, message, nowUs)), "failed", "handler", nowUs);
  return { ...failed, failureDetail: { status: { code: 1, message, details: [] }, type: "", stack: "" } };
}

/** The lease is over without a word: back in line at once, within the bounds. */
export function expireLease(job: JobRecord, nowUs: number): JobRecord {
  const crashed = unleased({ ...remember(job, "lease expired", nowUs), crashes: job.crashes + 1 });
  if (job.cancelRequested) return end(crashed, "cancelled", "cancelled", nowUs);
  if (crashed.crashes >= MAX_DELIVERIES || job.attempt >= job.maxAttempts) {
    return end(crashed, "failed", "crash_loop", nowUs);
  }
  return requeue(crashed);
}

/** The attempt ran longer than it may. */
export function expireRun(job: JobRecord, jitter: number, nowUs: number): JobRecord {
  const over = unleased(remember(job, "run_timeout", nowUs));
  if (job.cancelRequested) return end(over, "cancelled", "cancelled", nowUs);
  // Where it stopped is not known: a handler that may not be idempotent is not run again.
  if (job.attempt >= job.maxAttempts || job.retryOn === "unavailable") return end(over, "failed", "run_timeout", nowUs);
  return retryLater(over, backoffMs(job.backoff, job.attempt, jitter), nowUs);
}

/** RUNNING whose time is over: which of the two it was. */
export function overdue(job: JobRecord, nowUs: number): "lease_expired" | "run_timeout" | undefined {
  if (job.state !== "running" || job.leaseUntil > msOf(nowUs)) return undefined;
  return job.runUntil > 0 && job.runUntil <= msOf(nowUs) ? "run_timeout" : "lease_expired";
}

/** Never started in time. */
export function expireStart(job: JobRecord, nowUs: number): JobRecord {
  return end(job, "failed", "start_timeout", nowUs);
}

/** Waiting: CANCELLED at once. Running: asked for, once. */
export function cancel(job: JobRecord, nowUs: number): JobRecord {
  if (job.state === "running") {
    return job.cancelRequested ? job : { ...job, cancelRequested: true, version: job.version + 1 };
  }
  return isTerminal(job.state) ? job : end(job, "cancelled", "cancelled", nowUs);
}

/** Ended: kept for `ttl` from now. Not ended: for `ttl` from its end. */
export function setResultTtl(job: JobRecord, resultTtlMs: number, nowUs: number): JobRecord {
  const expireTime = isTerminal(job.state) ? msOf(nowUs) + resultTtlMs : 0;
  return { ...job, resultTtlMs, expireTime, version: job.version + 1 };
}

/** Adds a name to a bounded list, newest last. */
export function listen(list: readonly string[], broker: string): string[] {
  return list.includes(broker) ? [...list] : [...list, broker].slice(-MAX_LISTENERS);
}

/** Remembers who joined, so that a repeat of the request finds this run. */
export function rememberJoin(job: JobRecord, requestId: string): JobRecord {
  return { ...job, joinedBy: [...job.joinedBy, requestId].slice(-MAX_JOINED_BY) };
}

function settled(job: JobRecord): JobRecord {
  return unleased({ ...job, settledToken: job.leaseToken });
}

function unleased(job: JobRecord): JobRecord {
  return { ...job, leaseToken: "", leaseUntil: 0, runUntil: 0, owner: "" };
}

function requeue(job: JobRecord): JobRecord {
  return { ...job, state: "queued", version: job.version + 1, workerId: "" };
}

function retryLater(job: JobRecord, delayMs: number, nowUs: number): JobRecord {
  if (delayMs === 0) return requeue(job);
  return { ...requeue(job), state: "scheduled", dueTime: msOf(nowUs) + delayMs };
}

function end(job: JobRecord, state: TerminalState, failureKind: FailureKind | "", nowUs: number): JobRecord {
  const now = msOf(nowUs);
  return {
    ...job,
    state,
    version: job.version + 1,
    endTime: now,
    expireTime: now + job.resultTtlMs,
    dueTime: 0,
    cancelRequested: false,
    failureKind,
  };
}

function remember(job: JobRecord, message: string, nowUs: number): JobRecord {
  const attempt = {
    number: job.attempt,
    endTime: msOf(nowUs),
    workerId: job.workerId,
    message: attemptMessage(message),
  };
  return { ...job, history: [...job.history, attempt].slice(-MAX_ATTEMPTS_KEPT) };
}

/** A failed attempt's message as it is kept: one line, bounded, without the bytes that backends separate fields by. */
export function attemptMessage(message: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  const line = message.replace(/[\u0000-\u001f\u007f]+/g, " ");
  return cutUtf8(line, MAX_ATTEMPT_MESSAGE_BYTES);
}

/** At most `bytes` bytes of UTF-8, cut between characters. */
export function cutUtf8(text: string, bytes: number): string {
  const buffer = Buffer.from(text, "utf8");
  if (buffer.length <= bytes) return text;
  return buffer
    .subarray(0, bytes)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
}

const syntheticStatus: Record<Exclude<FailureKind, "handler" | "result_too_large">, (job: JobRecord) => Status> = {
  run_timeout: (job) =>
    status(4, `attempt ${job.attempt} of ${job.maxAttempts} ran longer than its run_timeout of ${job.runTimeoutMs} ms`),
  start_timeout: (job) => status(4, `not started within its start_timeout of ${job.startTimeoutMs} ms`),
  crash_loop: (job) =>
    status(
      10,
      `its workers went away without an answer ${job.crashes} times in a row (attempt ${job.attempt} of ${job.maxAttempts})`,
    ),
  cancelled: () => status(1, "the job was cancelled"),
};

function status(code: number, message: string): Status {
  return { code, message, details: [] };
}

/** The failure that callers see: derived, so that scripts need not compose text. */
export function failureOf(job: JobRecord): Failure {
  const kind = job.failureKind || "handler";
  const detail: FailureDetail =
    job.failureDetail ??
    (kind === "handler" || kind === "result_too_large"
      ? { status: status(2, "failed"), type: "", stack: "" }
      : { status: syntheticStatus[kind](job), type: "", stack: "" });
  return { kind, ...detail, attempts: job.history };
}

/** The short form, without a result (which is a blob of the backend's). */
export function statusOf(job: JobRecord): JobStatus {
  const short: JobStatus = {
    queue: job.queue,
    jobId: job.jobId,
    state: job.state,
    version: job.version,
    attempt: job.attempt,
    cancelRequested: job.cancelRequested,
  };
  if (job.state === "failed" || job.state === "cancelled") short.outcome = { kind: "failure", failure: failureOf(job) };
  return short;
}
