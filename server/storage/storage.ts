/**
 * The storage contract: about a dozen atomic verbs that speak the domain. Two
 * backends, sqlite/ and redis/, keep the same order of methods. Reasons and
 * sources: docs/storage.md.
 *
 * Rules for every verb
 * - It is atomic: all of it happened, durably (in the backend's class), or none.
 * - Its answer is data. Only StorageUnavailable is thrown.
 * - It may run twice (a reply can be lost) and then answers the same.
 * - Time is the storage's; the caller sends durations, never times.
 * - Everything it does per call is bounded.
 * - Which state each event leads to is written once, in ../job/lifecycle.ts.
 */
import type { Clock } from "../../protocol/clock.ts";
import type {
  Disposition,
  FailureDetail,
  Job,
  JobKey,
  JobSpec,
  JobState,
  JobStatus,
  JobSummary,
  LimitName,
  Payload,
  Progress,
  QueueLimits,
  Result,
} from "../job/job.ts";
import type { JobRecord } from "../job/record.ts";

/** What survives what: guarantees.md, "Durability classes". */
export type Durability = "memory" | "file" | "file-relaxed" | "redis-volatile" | "redis-everysec" | "redis-always";

/** Weakest first, for --require-durability. */
export const durabilityOrder: readonly Durability[] = [
  "memory",
  "redis-volatile",
  "redis-everysec",
  "file-relaxed",
  "redis-always",
  "file",
];

/** How a storage is opened. */
export interface StorageOptions {
  /** Names this broker to the others that share the storage: [a-z0-9]{1,16}, new at each start. */
  brokerId: string;
  clock: Clock;
  /** Refuse to open below this class. */
  requireDurability?: Durability;
  /** Refuse to open where nothing is kept yet, instead of making it. */
  existing?: boolean;
  /** Told of conditions that an operator should know, once each. */
  warn(message: string): void;
  /** Told once if the storage can never be trusted again, e.g. after a failed fsync: the process must exit, not go on. */
  fatal?(error: Error): void;
}

export interface Storage {
  /** What it is, for the ready line, server info and metrics. Changes when the server behind it does. */
  readonly info: StorageInfo;

  /** Whether verbs can be expected to work now. */
  readonly ready: boolean;

  /** Called when `ready` changes, and with `true` again whenever hints may have been lost (a reconnect): re-read then. Returns the way to stop. */
  onReady(listener: (ready: boolean) => void): () => void;

  /**
   * Stores a job, joins it, or answers what is kept: lifecycle.decideEnqueue. Idempotent by `requestId`.
   * With `claim`, a job that is made and that nothing is ahead of is leased in the same step.
   */
  enqueue(request: Enqueue): Promise<EnqueueAnswer>;

  /**
   * Leases up to `max` QUEUED jobs, best first (priority, then place in line), and does due time-driven work first (as tick).
   * Idempotent: a repeat with the same (lane, claimId) answers those of its jobs that are still leased with its tokens, and claims nothing.
   * With less than `max` to give, it remembers the broker as hungry: the next job of the queue names it in `wake`.
   * Of a paused queue it leases nothing, and says so.
   */
  claim(request: Claim): Promise<ClaimAnswer>;

  /** Renews leases, adopts them for another stream, or shortens those of a stream that ended. */
  extend(request: Extend): Promise<ExtendAnswer[]>;

  /**
   * Ends an attempt. Only the current token can; repeating the accepted one is a duplicate.
   * With `claim`, what is in line then is leased in the same step, whatever became of the attempt: as claim does it, but
   * what time alone causes is left to claim and tick.
   */
  settle(request: Settle): Promise<SettleAnswer>;

  /** Stores a report of progress. Only the current token can. */
  progress(request: ReportProgress): Promise<ProgressAnswer>;

  /** lifecycle.cancel. `onlyIn`: unless the job has left this state. */
  cancel(key: JobKey, request?: { onlyIn?: JobState }): Promise<CancelAnswer>;

  /** FAILED or CANCELLED: lifecycle.retry. In flight: unchanged. `onlyIn`: unless the job has left this state. */
  retry(key: JobKey, request: { hungryHere: boolean; onlyIn?: JobState }): Promise<RetryAnswer>;

  /** lifecycle.setResultTtl. Answers undefined where there is no such job. */
  setResultTtl(key: JobKey, resultTtlMs: number): Promise<Changed | undefined>;

  /** The whole job, or undefined. `listen` remembers this broker with the job, in the same step. */
  read(key: JobKey, listen?: Listen): Promise<Job | undefined>;

  /** Short forms of many jobs, undefined where there is none: the sweep of waiters. At most 1,000 keys. */
  readMany(keys: readonly JobKey[]): Promise<(JobStatus | undefined)[]>;

  /**
   * All time-driven work of one queue, at most 100 jobs of each kind: SCHEDULED jobs that are due, start timeouts,
   * leases and runs that are over, finished jobs to forget. Says when it wants to be called next.
   */
  tick(request: Tick): Promise<TickAnswer>;

  /** Queues that have jobs, had some of late, or are paused: every broker ticks every queue. A page of at most 1,000, in no order; `next` is undefined at the end. */
  queues(cursor?: string): Promise<{ queues: string[]; next?: string }>;

  /** How many jobs a queue has in each state, as they are stored: nothing that is due is done first. */
  count(queue: string): Promise<QueueCounts>;

  /**
   * Jobs of one state, the last of its index first: those that ended by their end, QUEUED from the end of the line,
   * SCHEDULED by due time, RUNNING by lease. A page may hold fewer than `limit`; `next` is undefined at the end.
   */
  list(request: List): Promise<{ jobs: JobSummary[]; next?: string }>;

  /**
   * A paused queue does everything but hand out jobs, whoever asks; it is remembered like a job. Answers whom to tell that
   * a resumed queue may have jobs: brokers that found none, never this one.
   */
  pause(queue: string, paused: boolean): Promise<{ wake: string[] }>;

  /**
   * Tells all brokers which workers are attached to this one, in place of what it told before. Not kept: forgotten by
   * itself after `validMs`, so a broker that died is not counted for longer.
   */
  announce(attached: Attached, validMs: number): Promise<void>;

  /** What brokers announced last, this one included, as far as it is still valid; by broker id. */
  announced(): Promise<Map<string, Attached>>;

  /**
   * Remembers a service that workers serve: its methods are added to those known, its descriptor set takes the place of the one
   * before. Until it is forgotten: a service is there also while no worker is. "full": it would be one service more than MAX_SERVICES, have
   * more than MAX_SERVICE_METHODS, or the storage is full; nothing was changed.
   */
  addService(service: Service): Promise<"added" | "full">;

  /** One that was announced, or undefined. */
  service(name: string): Promise<Service | undefined>;

  /** The names of all that were, sorted. */
  services(): Promise<string[]>;

  /** Forgets one. Until it is announced again; its jobs stay. */
  forgetService(name: string): Promise<void>;

  /** Tells other brokers that something may have changed. Best effort: may be lost, doubled, late. Never throws. */
  hint(broker: string, hint: Hint): void;

  /** Hints for this broker. Returns the way to stop. */
  onHint(listener: (hint: Hint) => void): () => void;

  /** What there is, by what is stored and not by the list of queues or an index: for fsck. Costs the whole storage. */
  survey(): Promise<Survey>;

  /** Everything a queue has, for tests and fsck: records sorted by id, and the index each job is in. Costs the whole queue. */
  inspect(queue: string): Promise<Inspection>;

  /** Finishes what is under way, then lets go of files and connections. */
  close(): Promise<void>;
}

/** A gRPC service that workers serve. Its full name is also its queue's. */
export interface Service {
  /** "acme.v1.Thumbnailer" */
  name: string;
  /** Paths: "/acme.v1.Thumbnailer/Render". Sorted. */
  methods: string[];
  /** A google.protobuf.FileDescriptorSet, for those who can read it. */
  descriptorSet?: Uint8Array;
}

export interface StorageInfo {
  kind: "sqlite" | "redis";
  /** For people, without credentials: "sqlite:/path", "memory:", "redis://host:port/0". */
  url: string;
  durability: Durability;
  /** e.g. "SQLite 3.50.4", "Redis 7.0.15 (cluster)". */
  version: string;
}

/** `waiters`: tell this broker when the job ends. `watchers`: of every change. */
export type Listen = "waiters" | "watchers";

export interface Enqueue {
  spec: JobSpec;
  /** 16 bytes. */
  requestId: Uint8Array;
  /** Remember this broker with the job. */
  listen?: Listen;
  /** This broker has room for a job of the queue: wake nobody else. */
  hungryHere: boolean;
  /** Of the queue: a job beyond them is refused. Joins and kept outcomes never are. Default: none. */
  limits?: QueueLimits;
  /** Lease it at once, if it is made now and could start, the queue is not paused and nothing of it is QUEUED. */
  claim?: ClaimAtOnce;
}

export type EnqueueAnswer =
  | {
      kind: "accepted";
      disposition: Disposition;
      payloadMismatch: boolean;
      status: JobStatus;
      /** Brokers to tell that the queue has a job: at most one, never this one. */
      wake: string[];
      /** A new run of an id that others still listen to: brokers to hint, never this one. */
      tell: string[];
      /** It was leased at once, or, of a repeat, still is by that token; `status` is from before. */
      claimed?: Claimed;
    }
  /** ON_DUPLICATE_REJECT. */
  | { kind: "exists"; status: JobStatus }
  /** reject_payload_mismatch. */
  | { kind: "mismatch"; status: JobStatus }
  /** The queue is full, by this of its limits: nothing was stored. */
  | { kind: "queue_full"; limit: LimitName }
  /** The storage is full: nothing was stored. */
  | { kind: "full" };

/** For whom a job may be leased as it is made. */
export interface ClaimAtOnce {
  /** See Claim. */
  lane: string;
  workerId: string;
  /** 16 unpredictable bytes, fixed before the first send: by them a repeat finds its lease. */
  leaseToken: Uint8Array;
  leaseMs: number;
}

export interface Claim {
  queue: string;
  /** The stream the jobs are for, within this broker: [a-z0-9]{1,16}. Becomes owner "<brokerId>.<lane>". */
  lane: string;
  /** Counts up within the lane; fixed before the first send. */
  claimId: number;
  workerId: string;
  /** 1–16. */
  max: number;
  /** Stop before the payloads of the batch exceed this; the first is always taken. Bytes. */
  maxBytes: number;
  /** `max` unpredictable tokens of 16 bytes, fixed before the first send. */
  tokens: Uint8Array[];
  leaseMs: number;
  /** From 0 to 1, for back-offs of attempts that it finds overdue. */
  jitter: number;
  /** See Tick. */
  graceMs?: number;
}

export interface Claimed {
  queue: string;
  jobId: string;
  method: string;
  payload: Payload;
  headers: Record<string, string>;
  attempt: number;
  maxAttempts: number;
  fence: number;
  leaseToken: Uint8Array;
  /** What is left of run_timeout; 0 where there is none. */
  runTimeoutLeftMs: number;
  createTime: number;
  status: JobStatus;
  /** Brokers that watch it: hint them. Never this one. */
  tell: string[];
}

export interface ClaimAnswer {
  jobs: Claimed[];
  /** What the time-driven part changed. */
  changed: Changed[];
  /** The queue hands out nothing for now: asking again has no point until it is resumed. */
  paused?: true;
}

export interface Extend {
  queue: string;
  items: { jobId: string; leaseToken: Uint8Array }[];
  /** "renew": a full lease from now. "adopt": the same, for `lane`, whoever held it. "shorten": at most leaseMs more, if `lane` still holds it. */
  mode: "renew" | "adopt" | "shorten";
  lane: string;
  leaseMs: number;
}

/** One per item, in order. */
export type ExtendAnswer =
  | { kind: "ok"; cancelRequested: boolean /** "adopt": who held it before, "broker.lane". */; previousOwner: string }
  | { kind: "lost" };

export type SettleOutcome =
  | { kind: "completed"; payload: Result }
  | {
      kind: "failed";
      failureKind: "handler" | "result_too_large";
      detail: FailureDetail;
      retryable: boolean;
      /** The same for a job that is retried on UNAVAILABLE only. Default: as `retryable`. */
      retryableAsUnavailable?: boolean;
      retryAfterMs?: number;
    }
  | { kind: "released" }
  | { kind: "cancelled" }
  /** The broker's own: the delivery to `lane` was never received. `sent`: it left this process. What another stream has adopted was received: lost. */
  | { kind: "undelivered"; sent: boolean; lane: string };

export interface Settle extends JobKey {
  leaseToken: Uint8Array;
  outcome: SettleOutcome;
  /** From 0 to 1. */
  jitter: number;
  hungryHere: boolean;
  /** Of the same queue; `jitter` and `graceMs` mean nothing here. */
  claim?: Claim;
}

export type SettleAnswer = (({ kind: "settled" } & Changed) | ({ kind: "duplicate" } & Changed) | { kind: "lost" }) & {
  /** What `claim` got. */
  claimed?: ClaimAnswer;
};

/** A job after a change, and whom to tell. */
export interface Changed {
  /** With the outcome, where it has one. */
  status: JobStatus;
  /** Brokers that wait for or watch the job: hint them. Never this one. */
  tell: string[];
  /** Brokers to tell that the queue has a job: at most one, never this one. */
  wake: string[];
  /** The change needs a tick after this long (a due time). Milliseconds. */
  tickInMs?: number;
}

export interface ReportProgress extends JobKey {
  leaseToken: Uint8Array;
  progress: Progress;
}

export type ProgressAnswer =
  | { kind: "ok"; status: JobStatus; cancelRequested: boolean; tell: string[] }
  | { kind: "lost" };

export type CancelAnswer =
  | ({
      kind: "ok";
      /** RUNNING: "broker.lane" of the stream to push the request to; may be this broker's. "" otherwise. */
      owner: string;
      leaseToken: Uint8Array;
    } & Changed)
  /** It is not in the state that was asked for. */
  | { kind: "other_state" }
  | { kind: "not_found" };

export type RetryAnswer =
  | ({ kind: "ok" } & Changed)
  | { kind: "succeeded" }
  | { kind: "other_state" }
  | { kind: "not_found" };

export interface QueueCounts {
  jobs: Record<JobState, number>;
  /** Unfinished.bytes. */
  bytes: number;
  paused: boolean;
  /** Age of the job that is first in line; undefined where none is QUEUED. Milliseconds. */
  oldestWaitMs?: number;
}

/** A worker stream, as its broker sees it. */
export interface AttachedWorker {
  workerId: string;
  /** "" for a minimal worker. */
  sessionId: string;
  queues: readonly string[];
  /** Jobs it will hold. */
  window: number;
  /** Jobs it holds. */
  outstanding: number;
  /** When it said hello, on its broker's clock. Milliseconds since 1970. */
  connectTime: number;
  clientInfo: string;
  draining: boolean;
}

/** The workers of one broker. */
export interface Attached {
  /** Streams, all of them. */
  workers: number;
  /** Streams that take jobs of a queue. */
  byQueue: ReadonlyMap<string, number>;
  /** Those that came first, as far as there is room to list them. */
  listed: AttachedWorker[];
}

export interface List {
  queue: string;
  state: JobState;
  /** 1–100. */
  limit: number;
  /** `next` of the page before, of the same queue and state. What it cannot read is the start. */
  cursor?: string;
}

export interface Tick {
  queue: string;
  /** From 0 to 1, for back-offs. */
  jitter: number;
  /** This broker has room for a job of the queue: wake nobody else. */
  hungryHere: boolean;
  /**
   * How long workers get to renew before leases that are over are reaped, where nobody has looked for half as long again:
   * then the storage or the brokers stood still, and nobody could renew. The storage decides, and for all brokers, since
   * what was sent before it stood still arrives after. Given once; the next look after it reaps. Absent: no grace.
   */
  graceMs?: number;
}

export interface TickAnswer {
  changed: Changed[];
  /** Jobs of the queue that are QUEUED now. */
  queued: number;
  /** When there will be work again; undefined where nothing is pending. At least 1. Milliseconds. */
  nextInMs?: number;
  /** The queue has no jobs, is not paused, and is not named any more: nobody needs to tick it until it has jobs again. */
  gone?: true;
}

export type Hint =
  /** The queue has a job: claim. */
  | { kind: "ready"; queue: string }
  /** The job changed; the short form where it is small enough to travel, so that no read is needed. */
  | { kind: "changed"; queue: string; jobId: string; version: number; status?: JobStatus }
  /** Cancellation was asked for: push it to the stream. */
  | { kind: "cancel"; queue: string; jobId: string; lane: string; leaseToken: Uint8Array }
  /** The session of this stream opened a newer one elsewhere. */
  | { kind: "superseded"; lane: string };

export interface Survey {
  /** Queues that have jobs, or parts of some. */
  queues: string[];
  /** Places that hold something else than belongs there; `detail` names both. */
  wrongTypes: { queue?: string; detail: string }[];
}

export interface Inspection {
  /** Normalised records (without what differs between runs of a test, nothing is left out). */
  jobs: InspectedJob[];
  /** Every index entry, to find orphans: index name → job ids in its order. */
  indexes: Record<JobState | "finished" | "start_by", string[]>;
  /** What the queue is believed to hold: Unfinished.bytes. */
  bytes: number;
  /** Parts of jobs that are not there, by what the backend calls them. */
  orphans: string[];
}

export interface InspectedJob {
  record: JobRecord;
  /** Present while it is kept: dropped on SUCCEEDED. */
  payload?: Payload;
  result?: Result;
  progress?: Progress;
  method: string;
  headers: Record<string, string>;
  labels: Record<string, string>;
}

/** The storage did not confirm the verb. */
export class StorageUnavailable extends Error {
  override readonly name = "StorageUnavailable";
  /** "no": nothing was stored. "unknown": it may have been. */
  readonly accepted: "no" | "unknown";
  constructor(message: string, accepted: "no" | "unknown", cause?: unknown) {
    super(message, { cause });
    this.accepted = accepted;
  }
}

/** The storage cannot be used as it is: one line that says what was found, what is required, and what fixes it. Exit code 78. */
export class StorageRefused extends Error {
  override readonly name = "StorageRefused";
}
