/** What callers can ask of the broker, each as a short list of steps. */
import type { Clock } from "../../protocol/clock.ts";
import { type Dated, Deadlines } from "../../protocol/deadlines.ts";
import { CallError } from "../../protocol/errors.ts";
import { DEFAULT_WAIT_MS, deadlineMarginMs, WATCH_HEARTBEAT_MS } from "../../protocol/limits.ts";
import { type Disposition, isTerminal, type Job, type JobKey, type JobSpec, type JobStatus } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import type { CancelAnswer, Enqueue, EnqueueAnswer, Listen, Storage } from "../storage/storage.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Intake } from "./intake.ts";
import type { LimitsByQueue } from "./limits-by-queue.ts";
import type { News } from "./news.ts";
import type { Observer } from "./observer.ts";
import {
  found,
  interrupted,
  jobExists,
  notFound,
  outcomeExpired,
  payloadMismatch,
  queueFull,
  type Refusals,
  storeFull,
  tooManyWaiters,
  unconfirmed,
} from "./refusals.ts";
import type { WaitEnd, Waiter, Waiters, Waiting } from "./waiters.ts";

/** What a call brings beside its request. */
export interface Call {
  /** Time left until the caller's RPC deadline. Undefined: none. */
  deadlineMs?: number | undefined;
  /** Calls back once if the caller goes away before the answer. */
  onGone(fn: () => void): void;
}

export interface Accepted {
  status: JobStatus;
  disposition: Disposition;
  payloadMismatch: boolean;
}

export interface CallersOptions {
  clock: Clock;
  storage: Storage;
  settings: BrokerSettings;
  observer: Observer;
  refusals: Refusals;
  intake: Intake;
  limits: LimitsByQueue;
  waiters: Waiters;
  dispatcher: Dispatcher;
  news: News;
  expectTick(queue: string, inMs: number): void;
  /** Whoever holds the job is to be told that its end was asked for. */
  pushCancel(key: JobKey, owner: string, leaseToken: Uint8Array): void;
}

export class Callers {
  readonly #o: CallersOptions;
  /** Calls whose job is not stored yet. */
  readonly #storing: Deadlines<Dated & { reject(): void }>;

  constructor(options: CallersOptions) {
    this.#o = options;
    this.#storing = new Deadlines(options.clock, ({ reject }) => reject());
  }

  /** Stores the job and answers. */
  async enqueue(spec: JobSpec, requestId: Uint8Array, call: Call): Promise<Accepted> {
    this.#o.refusals.whileDraining();
    return await this.#store(spec, requestId, call);
  }

  /** Stores the job and waits for its outcome. While it waits, nothing of the spec is held. */
  enqueueAndWait(
    spec: JobSpec,
    requestId: Uint8Array,
    waitTimeoutMs: number | undefined,
    call: Call,
  ): Promise<Accepted> {
    try {
      this.#o.refusals.whileDraining();
      const wait = new OutcomeWait(this, this.#open(spec, call), waitTimeoutMs, call.deadlineMs);
      try {
        this.#store(spec, requestId, call, "waiters").then(
          (accepted) => wait.stored(accepted),
          (error) => wait.failed(error),
        );
      } catch (error) {
        wait.failed(error);
      }
      return wait.outcome;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Waits for the outcome of a job that exists. */
  async waitJob(key: JobKey, waitTimeoutMs: number | undefined, call: Call): Promise<JobStatus> {
    this.#o.refusals.whileDraining();
    const began = this.now;
    const waiter = this.#open(key, call);
    try {
      const job = found(key, await this.#o.refusals.ask(() => this.#o.storage.read(key, "waiters")));
      const waitMs = this.waitMs(waitTimeoutMs, call.deadlineMs) - (this.now - began);
      const end = await new Promise<WaitEnd>((ended) => waiter.begin(job, waitMs, { ended }));
      return statusOf(job, end, this.now - began);
    } finally {
      waiter.close();
    }
  }

  async getJob(key: JobKey): Promise<Job> {
    this.#o.refusals.whileDraining();
    return found(key, await this.#o.refusals.ask(() => this.#o.storage.read(key)));
  }

  /** The job now, then at each newer version, until it ends; undefined is a heartbeat. */
  async *watchJob(key: JobKey, call: Call): AsyncGenerator<Job | undefined, void> {
    this.#o.refusals.whileDraining();
    this.#whenCrowded();
    const watcher = this.#o.waiters.watch(key);
    call.onGone(() => watcher.close());
    try {
      let job = found(key, await this.#o.refusals.ask(() => this.#o.storage.read(key, "watchers")));
      for (;;) {
        watcher.saw(job.version);
        yield job;
        if (isTerminal(job.state)) return;
        for (let event = await watcher.next(WATCH_HEARTBEAT_MS); event !== "changed"; ) {
          if (event === "closed") return;
          if (event === "interrupted") throw interrupted(key);
          yield undefined;
          event = await watcher.next(WATCH_HEARTBEAT_MS);
        }
        const now = await this.#o.refusals.ask(() => this.#o.storage.read(key, "watchers"));
        if (!now) throw outcomeExpired(key);
        job = now;
      }
    } finally {
      watcher.close();
    }
  }

  async cancelJob(key: JobKey): Promise<JobStatus> {
    this.#o.refusals.whileDraining();
    const answer = await this.#o.refusals.ask(() => this.#o.storage.cancel(key));
    if (answer.kind !== "ok") throw notFound(key);
    this.cancelled(key, answer);
    return answer.status;
  }

  /** Its end was asked for. */
  cancelled(key: JobKey, answer: Extract<CancelAnswer, { kind: "ok" }>): void {
    this.#o.news.changed(answer);
    if (answer.status.state === "cancelled") this.#o.observer.ended(answer.status);
    if (answer.owner !== "") this.#o.pushCancel(key, answer.owner, answer.leaseToken);
  }

  async retryJob(key: JobKey): Promise<JobStatus> {
    this.#o.refusals.whileDraining();
    const hungryHere = this.#o.dispatcher.hungryHere(key.queue);
    const answer = await this.#o.refusals.ask(() => this.#o.storage.retry(key, { hungryHere }));
    if (answer.kind === "succeeded") {
      const text = `job ${key.jobId} succeeded: only FAILED and CANCELLED jobs can be retried; enqueue it with RERUN_IF_FINISHED`;
      throw new CallError("WRONG_STATE", text, { jobId: key.jobId, metadata: { state: "succeeded" } });
    }
    if (answer.kind !== "ok") throw notFound(key);
    this.#o.news.changed(answer);
    return answer.status;
  }

  async updateResultTtl(key: JobKey, resultTtlMs: number): Promise<JobStatus> {
    this.#o.refusals.whileDraining();
    const answer = await this.#o.refusals.ask(() => this.#o.storage.setResultTtl(key, resultTtlMs));
    if (!answer) throw notFound(key);
    this.#o.news.changed(answer);
    return answer.status;
  }

  #whenCrowded(): void {
    const { maxWaiters } = this.#o.settings;
    if (this.#o.waiters.size >= maxWaiters) throw this.#o.refusals.count(tooManyWaiters(maxWaiters));
  }

  #open(key: JobKey, call: Call): Waiter {
    this.#whenCrowded();
    const waiter = this.#o.waiters.wait(key);
    call.onGone(() => waiter.close());
    return waiter;
  }

  /**
   * Stores it, and hands it to a worker in the same step where one has room and nothing is ahead.
   * @throws CallError where there is no room for it
   */
  #store(spec: JobSpec, requestId: Uint8Array, call: Call, listen?: Listen): Promise<Accepted> {
    const leave = this.#o.intake.enter(spec.payload.data.length);
    const offer = this.#o.dispatcher.offer(spec.queue);
    const request: Enqueue = {
      spec,
      requestId,
      hungryHere: offer !== undefined || this.#o.dispatcher.hungryHere(spec.queue),
      limits: this.#o.limits.of(spec.queue),
      ...(listen && { listen }),
      ...(offer && { claim: offer.claim }),
    };
    const stored = this.#o.storage.enqueue(request).then(
      (answer) => {
        leave();
        try {
          return this.#accepted(spec, answer);
        } finally {
          offer?.answered(answer.kind === "accepted" ? answer.claimed : undefined);
        }
      },
      (error) => {
        leave();
        offer?.failed(spec);
        throw this.#o.refusals.of(error);
      },
    );
    return this.#unlessTooLate(spec, call, stored);
  }

  /** The deadline is over before the storage confirmed: the job may exist, and the same request_id finds out. */
  #unlessTooLate<T>({ jobId }: JobKey, { deadlineMs }: Call, stored: Promise<T>): Promise<T> {
    if (deadlineMs === undefined) return stored;
    const patienceMs = Math.max(deadlineMs / 2, deadlineMs - deadlineMarginMs(deadlineMs));
    return new Promise<T>((resolve, reject) => {
      const tooLate = { until: this.now + patienceMs, place: -1, reject: () => reject(unconfirmed(jobId)) };
      this.#storing.add(tooLate);
      stored.then(
        (value) => {
          this.#storing.delete(tooLate);
          resolve(value);
        },
        (error) => {
          this.#storing.delete(tooLate);
          reject(error);
        },
      );
    });
  }

  #accepted(spec: JobSpec, answer: EnqueueAnswer): Accepted {
    const { jobId } = spec;
    switch (answer.kind) {
      case "accepted": {
        const { status, disposition, payloadMismatch, wake, tell, claimed } = answer;
        const due = status.state === "scheduled" ? { tickInMs: spec.delayMs } : {};
        if (claimed) this.#o.news.leased(answer);
        else if (disposition === "created") this.#o.news.changed({ status, tell, wake, ...due });
        if (disposition === "created" && !claimed && spec.startTimeoutMs > 0)
          this.#o.expectTick(spec.queue, spec.startTimeoutMs);
        this.#o.observer.accepted(spec, disposition);
        return { status, disposition, payloadMismatch };
      }
      case "exists":
        throw jobExists(jobId, answer.status.state);
      case "mismatch":
        throw payloadMismatch(jobId, answer.status.state);
      case "queue_full":
        throw this.#o.refusals.count(queueFull(spec.queue, answer.limit, this.#o.limits.of(spec.queue)));
      case "full":
        throw this.#o.refusals.count(storeFull(jobId));
    }
  }

  /** min(wait_timeout, deadline − margin, longest wait); 30 s where the caller set neither. */
  waitMs(waitTimeoutMs: number | undefined, deadlineMs: number | undefined): number {
    const asked = waitTimeoutMs ?? (deadlineMs === undefined ? DEFAULT_WAIT_MS : Number.POSITIVE_INFINITY);
    const untilDeadline =
      deadlineMs === undefined ? Number.POSITIVE_INFINITY : deadlineMs - deadlineMarginMs(deadlineMs);
    return Math.min(asked, untilDeadline, this.#o.settings.maxWaitMs);
  }

  /** Of the clock that waits are measured with. Milliseconds. */
  get now(): number {
    return this.#o.clock.monotonic();
  }
}

/** A call that waits for the outcome of what it enqueued. There may be a hundred thousand: this is all that is held for one. */
class OutcomeWait implements Waiting {
  readonly outcome: Promise<Accepted>;
  readonly #callers: Callers;
  readonly #waiter: Waiter;
  readonly #waitTimeoutMs: number | undefined;
  readonly #deadlineMs: number | undefined;
  readonly #began: number;
  #accepted: Accepted | undefined;
  #resolve!: (accepted: Accepted) => void;
  #reject!: (error: unknown) => void;

  constructor(callers: Callers, waiter: Waiter, waitTimeoutMs: number | undefined, deadlineMs: number | undefined) {
    this.#callers = callers;
    this.#waiter = waiter;
    this.#waitTimeoutMs = waitTimeoutMs;
    this.#deadlineMs = deadlineMs;
    this.#began = callers.now;
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  stored(accepted: Accepted): void {
    this.#accepted = accepted;
    const waitMs = this.#callers.waitMs(this.#waitTimeoutMs, this.#deadlineMs) - (this.#callers.now - this.#began);
    this.#waiter.begin(accepted.status, waitMs, this);
  }

  ended(end: WaitEnd): void {
    const { disposition, payloadMismatch, status } = this.#accepted as Accepted;
    try {
      const outcome = statusOf(status, end, this.#callers.now - this.#began);
      this.#resolve({ status: outcome, disposition, payloadMismatch });
    } catch (error) {
      this.#reject(error instanceof CallError ? error.with({ disposition }) : error);
    }
  }

  /** It was not stored. */
  failed(error: unknown): void {
    this.#waiter.close();
    this.#reject(error);
  }
}

/** @throws CallError where it did not end, as far as this wait goes */
function statusOf(key: JobKey, end: WaitEnd, waitedMs: number): JobStatus {
  switch (end.kind) {
    case "ended":
      return end.status;
    case "timeout": {
      const { queue, jobId, state, attempt } = end.status;
      const text = `job ${jobId} is ${state} after ${Math.round(waitedMs)} ms of waiting; it goes on`;
      throw new CallError("WAIT_TIMEOUT", text, {
        jobId,
        metadata: { state, attempt: String(attempt) },
        waitTimeout: { queue, jobId, state, attempt, waitedMs },
      });
    }
    case "gone":
      throw outcomeExpired(key);
    case "interrupted":
      throw interrupted(key);
    case "abandoned":
      throw new CallError("WAIT_INTERRUPTED", "the caller went away", { jobId: key.jobId });
  }
}
