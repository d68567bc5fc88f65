/**
 * The broker: what callers and worker streams can ask of it, each as a short
 * list of steps. It knows jobs, not transports: server/rpc translates.
 */
import type { Clock } from "../../protocol/clock.ts";
import { CallError } from "../../protocol/errors.ts";
import { DEFAULT_WAIT_MS, deadlineMarginMs, maxMessageBytes, WATCH_HEARTBEAT_MS } from "../../protocol/limits.ts";
import {
  type Disposition,
  isTerminal,
  type Job,
  type JobKey,
  type JobSpec,
  type JobStatus,
  type LimitName,
  type QueueLimits,
} from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import {
  type CancelAnswer,
  type Changed,
  type Claimed,
  type EnqueueAnswer,
  type Hint,
  type Listen,
  type Storage,
  StorageUnavailable,
} from "../storage/storage.ts";
import { Admin, type AdminHost } from "./admin.ts";
import { Announcer } from "./attached.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { Link } from "./frames.ts";
import { Intake } from "./intake.ts";
import { LimitsByQueue } from "./limits-by-queue.ts";
import { blind, type Observer } from "./observer.ts";
import { Services } from "./services.ts";
import { deliveryLeaseMs, Session, type SessionHost } from "./session.ts";
import { Ticker } from "./ticker.ts";
import { type WaitEnd, type Waiter, Waiters } from "./waiters.ts";

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

export interface BrokerOptions {
  brokerId: string;
  clock: Clock;
  storage: Storage;
  settings: BrokerSettings;
  /** What is to be told of what happens here. */
  observer?: Partial<Observer> | undefined;
}

export class Broker {
  readonly brokerId: string;
  readonly clock: Clock;
  readonly settings: BrokerSettings;
  /** What operators can ask. */
  readonly admin: Admin;
  /** gRPC services that workers announced. */
  readonly services: Services;
  /** Enqueues under way. */
  readonly intake: Intake;
  readonly #storage: Storage;
  readonly #observer: Observer;
  readonly #limits: LimitsByQueue;
  readonly #waiters: Waiters;
  readonly #dispatcher: Dispatcher;
  readonly #ticker: Ticker;
  readonly #announcer: Announcer;
  readonly #lanes = new Map<string, Session>();
  readonly #sessions = new Map<string, Session>();
  readonly #stops: (() => void)[] = [];
  #nextLane = 0;
  #draining = false;
  #allClosed: (() => void) | undefined;

  constructor({ brokerId, clock, storage, settings, observer }: BrokerOptions) {
    this.brokerId = brokerId;
    this.clock = clock;
    this.settings = settings;
    this.#storage = storage;
    this.#observer = { ...blind, ...observer };
    this.#limits = new LimitsByQueue(settings);
    this.intake = new Intake(settings, (error) => this.refused(error));
    this.#waiters = new Waiters(clock, storage, settings.sweepIntervalMs);
    this.#ticker = new Ticker({
      clock,
      storage,
      leaseMs: settings.leaseMs,
      hungryHere: (queue) => this.#dispatcher.hungryHere(queue),
      changed: (changed) => this.#timeChanged(changed),
      queued: (queue) => this.#dispatcher.look(queue),
    });
    this.#dispatcher = new Dispatcher({
      clock,
      storage,
      leaseMs: settings.leaseMs,
      maxPayloadBytes: settings.maxPayloadBytes,
      probeIntervalMs: settings.probeIntervalMs,
      changed: (changed) => this.#timeChanged(changed),
      claimed: ({ jobs }) => {
        for (const job of jobs) this.#started(job);
      },
    });
    this.#announcer = new Announcer({ clock, storage, sessions: () => this.#attached() });
    this.admin = new Admin(this.#adminHost());
    this.services = new Services({
      clock,
      add: (service) => storage.addService(service),
      read: (name) => this.#ask(() => storage.service(name)),
      names: () => this.#ask(() => storage.services()),
      forget: (name) => this.#ask(() => storage.forgetService(name)),
      noRoom: (service) => this.#observer.serviceRefused(service),
    });
  }

  start(): void {
    this.#stops.push(this.#storage.onHint((hint) => this.#hinted(hint)));
    this.#stops.push(this.#storage.onReady((ready) => ready && this.#storageIsBack()));
    this.#ticker.start();
    this.#announcer.start();
  }

  get waiting(): number {
    return this.#waiters.size;
  }
  get sessions(): number {
    return this.#lanes.size;
  }
  /** Jobs that the workers of all streams would hold at most, and those they hold. */
  get load(): { window: number; outstanding: number } {
    const load = { window: 0, outstanding: 0 };
    for (const session of this.#lanes.values()) {
      load.window += session.window;
      load.outstanding += session.outstanding;
    }
    return load;
  }
  /** Jobs in line by queue, as this broker's ticks saw them last. */
  depths(): Iterable<[queue: string, queued: number]> {
    return this.#ticker.depths();
  }
  /** What the queue takes here. */
  limitsOf(queue: string): QueueLimits {
    return this.#limits.of(queue);
  }
  get draining(): boolean {
    return this.#draining;
  }

  // ── callers ────────────────────────────────────────────────────────────────

  /** Stores the job and answers. */
  async enqueue(spec: JobSpec, requestId: Uint8Array, call: Call): Promise<Accepted> {
    this.#refuseWhileDraining();
    return await this.#store(spec, requestId, call);
  }

  /** Stores the job and waits for its outcome. While it waits, nothing of the spec is held. */
  async enqueueAndWait(
    spec: JobSpec,
    requestId: Uint8Array,
    waitTimeoutMs: number | undefined,
    call: Call,
  ): Promise<Accepted> {
    this.#refuseWhileDraining();
    const waiter = this.#open(spec, call);
    const began = this.clock.monotonic();
    // Not awaited here: what this function was given would live as long as the wait.
    return this.#outcome(waiter, this.#store(spec, requestId, call, "waiters"), began, waitTimeoutMs, call);
  }

  async #outcome(
    waiter: Waiter,
    stored: Promise<Accepted>,
    began: number,
    waitTimeoutMs: number | undefined,
    call: Call,
  ): Promise<Accepted> {
    try {
      const accepted = await stored;
      const status = await this.#wait(waiter, accepted.status, began, waitTimeoutMs, call).catch((error) => {
        throw error instanceof CallError ? error.with({ disposition: accepted.disposition }) : error;
      });
      return { ...accepted, status };
    } finally {
      waiter.close();
    }
  }

  /** Waits for the outcome of a job that exists. */
  async waitJob(key: JobKey, waitTimeoutMs: number | undefined, call: Call): Promise<JobStatus> {
    this.#refuseWhileDraining();
    const began = this.clock.monotonic();
    const waiter = this.#open(key, call);
    try {
      const job = found(key, await this.#ask(() => this.#storage.read(key, "waiters")));
      return await this.#wait(waiter, job, began, waitTimeoutMs, call);
    } finally {
      waiter.close();
    }
  }

  async getJob(key: JobKey): Promise<Job> {
    this.#refuseWhileDraining();
    return found(key, await this.#ask(() => this.#storage.read(key)));
  }

  /** The job now, then at each newer version, until it ends; undefined is a heartbeat. */
  async *watchJob(key: JobKey, call: Call): AsyncGenerator<Job | undefined, void> {
    this.#refuseWhileDraining();
    this.#refuseWhenCrowded();
    const watcher = this.#waiters.watch(key);
    call.onGone(() => watcher.close());
    try {
      let job = found(key, await this.#ask(() => this.#storage.read(key, "watchers")));
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
        const now = await this.#ask(() => this.#storage.read(key, "watchers"));
        if (!now) throw outcomeExpired(key);
        job = now;
      }
    } finally {
      watcher.close();
    }
  }

  async cancelJob(key: JobKey): Promise<JobStatus> {
    this.#refuseWhileDraining();
    const answer = await this.#ask(() => this.#storage.cancel(key));
    if (answer.kind !== "ok") throw notFound(key);
    this.#cancelled(key, answer);
    return answer.status;
  }

  async retryJob(key: JobKey): Promise<JobStatus> {
    this.#refuseWhileDraining();
    const hungryHere = this.#dispatcher.hungryHere(key.queue);
    const answer = await this.#ask(() => this.#storage.retry(key, { hungryHere }));
    if (answer.kind === "succeeded") {
      const text = `job ${key.jobId} succeeded: only FAILED and CANCELLED jobs can be retried; enqueue it with RERUN_IF_FINISHED`;
      throw new CallError("WRONG_STATE", text, { jobId: key.jobId, metadata: { state: "succeeded" } });
    }
    if (answer.kind !== "ok") throw notFound(key);
    this.#changed(answer);
    return answer.status;
  }

  async updateResultTtl(key: JobKey, resultTtlMs: number): Promise<JobStatus> {
    this.#refuseWhileDraining();
    const answer = await this.#ask(() => this.#storage.setResultTtl(key, resultTtlMs));
    if (!answer) throw notFound(key);
    this.#changed(answer);
    return answer.status;
  }

  // ── operators ──────────────────────────────────────────────────────────────

  #adminHost(): AdminHost {
    const broker = this;
    return {
      brokerId: broker.brokerId,
      settings: broker.settings,
      storage: broker.#storage,
      get draining() {
        return broker.#draining;
      },
      get waiting() {
        return broker.waiting;
      },
      sessions: () => broker.#attached(),
      ask(verb) {
        broker.#refuseWhileDraining();
        return broker.#ask(verb);
      },
      hungryHere: (queue) => broker.#dispatcher.hungryHere(queue),
      limitsOf: (queue) => broker.limitsOf(queue),
      changed: (changed) => broker.#changed(changed),
      cancelled: (key, answer) => broker.#cancelled(key, answer),
      look: (queue) => broker.#dispatcher.look(queue),
    };
  }

  // ── workers ────────────────────────────────────────────────────────────────

  /** Worker streams that have said hello, in the order in which they came. */
  #attached(): Session[] {
    return [...this.#lanes.values()].filter(({ state }) => state === "open" || state === "draining");
  }

  /** A worker opened a stream. */
  openSession(link: Link): Session {
    // Twice as many: a worker that comes back opens its next stream before the last one is seen to be gone.
    if (this.#lanes.size >= 2 * this.settings.maxSessions) throw this.refused(tooManySessions(this.settings));
    const session = new Session((this.#nextLane++).toString(36), this.#host, link);
    this.#lanes.set(session.lane, session);
    return session;
  }

  readonly #host: SessionHost = this.#makeHost();

  #makeHost(): SessionHost {
    const broker = this;
    return {
      get brokerId() {
        return broker.brokerId;
      },
      get clock() {
        return broker.clock;
      },
      get storage() {
        return broker.#storage;
      },
      get settings() {
        return broker.settings;
      },
      get observer() {
        return broker.#observer;
      },
      get maxMessageBytes() {
        return maxMessageBytes(Math.max(broker.settings.maxPayloadBytes, broker.settings.maxResultBytes));
      },
      opened: (session, held) => this.#opened(session, held),
      announced: (services) => this.services.announce(services),
      roomChanged: (session) => this.#dispatcher.serve(session),
      changed: (changed) => this.#changed(changed),
      watched: (changed) => this.#watched(changed),
      supersede: (owner) => this.#superseded(owner),
      hungryHere: (queue) => this.#dispatcher.hungryHere(queue),
      claimAlong: (session, queue) => this.#dispatcher.along(session, queue),
      expectTick: (queue, inMs) => this.#ticker.expect(queue, inMs),
      closed: (session) => this.#closed(session),
    };
  }

  #opened(session: Session, held: Parameters<Session["supersede"]>[0]): void {
    this.#refuseWhileDraining();
    if (this.#lanes.size > this.settings.maxSessions) {
      throw this.refused(tooManySessions(this.settings));
    }
    if (session.sessionId === "") return;
    this.#sessions.get(session.sessionId)?.supersede(held);
    this.#sessions.set(session.sessionId, session);
  }

  #closed(session: Session): void {
    this.#lanes.delete(session.lane);
    if (this.#sessions.get(session.sessionId) === session) this.#sessions.delete(session.sessionId);
    this.#dispatcher.remove(session);
    if (this.#lanes.size === 0) this.#allClosed?.();
  }

  /** Another stream of the same session took its leases over: "broker.lane". */
  #superseded(owner: string): void {
    const [broker = "", lane = ""] = owner.split(".");
    if (broker !== this.brokerId) return this.#storage.hint(broker, { kind: "superseded", lane });
    this.#lanes.get(lane)?.supersede();
  }

  #cancelled(key: JobKey, answer: Extract<CancelAnswer, { kind: "ok" }>): void {
    this.#changed(answer);
    if (answer.status.state === "cancelled") this.#observer.ended(answer.status);
    if (answer.owner !== "") this.#pushCancel(key, answer.owner, answer.leaseToken);
  }

  #pushCancel(key: JobKey, owner: string, leaseToken: Uint8Array): void {
    const [broker = "", lane = ""] = owner.split(".");
    if (broker !== this.brokerId) return this.#storage.hint(broker, { kind: "cancel", ...key, lane, leaseToken });
    this.#lanes.get(lane)?.pushCancel({ ...key, leaseToken });
  }

  // ── what happens to jobs ───────────────────────────────────────────────────

  /** A verb changed a job: tell those who wait, here and elsewhere, and bring it to a worker. */
  #changed({ status, tell, wake, tickInMs }: Changed): void {
    this.#watched({ status, tell });
    if (status.state === "queued") this.#dispatcher.signal(status.queue);
    for (const broker of wake) this.#storage.hint(broker, { kind: "ready", queue: status.queue });
    this.#ticker.expect(status.queue, tickInMs);
  }

  /** It was leased as it was stored. */
  #leased({ status, tell }: Pick<Changed, "status" | "tell">): void {
    this.#watched({ status, tell });
    this.#ticker.expect(status.queue);
  }

  /** A claim or a tick found that a job's time had come. */
  #timeChanged(changed: Changed): void {
    this.#changed(changed);
    if (isTerminal(changed.status.state)) this.#observer.ended(changed.status);
  }

  #started(job: Claimed): void {
    this.#watched(job);
    // A queue that was idle is looked at again as soon as its lease may be over.
    const inMs = deliveryLeaseMs(this.settings.leaseMs);
    this.#ticker.expect(job.queue, job.runTimeoutLeftMs > 0 ? Math.min(inMs, job.runTimeoutLeftMs) : inMs);
    // The two clocks may differ by what storages on other machines are allowed to.
    const waitedMs = job.attempt === 1 ? Math.max(0, this.clock.now() - job.createTime) : undefined;
    this.#observer.started(job, waitedMs);
  }

  #watched({ status, tell }: Pick<Changed, "status" | "tell">): void {
    this.#waiters.notify(status);
    const { queue, jobId, version } = status;
    for (const broker of tell) this.#storage.hint(broker, { kind: "changed", queue, jobId, version, status });
  }

  #hinted(hint: Hint): void {
    switch (hint.kind) {
      case "ready":
        return this.#dispatcher.look(hint.queue);
      case "changed":
        return hint.status ? this.#waiters.notify(hint.status) : this.#waiters.reread(hint);
      case "cancel":
        return this.#lanes.get(hint.lane)?.pushCancel(hint);
      case "superseded":
        return this.#lanes.get(hint.lane)?.supersede();
    }
  }

  #storageIsBack(): void {
    this.#waiters.rereadAll();
    this.#dispatcher.probeAll();
    this.services.announceAgain();
  }

  // ── steps ──────────────────────────────────────────────────────────────────

  #open(key: JobKey, call: Call): Waiter {
    this.#refuseWhenCrowded();
    const waiter = this.#waiters.wait(key);
    call.onGone(() => waiter.close());
    return waiter;
  }

  /** Stores it, and hands it to a worker in the same step where one has room and nothing is ahead. */
  async #store(spec: JobSpec, requestId: Uint8Array, call: Call, listen?: Listen): Promise<Accepted> {
    const leave = this.intake.enter(spec.payload.data.length);
    const offer = this.#dispatcher.offer(spec.queue);
    const hungryHere = offer !== undefined || this.#dispatcher.hungryHere(spec.queue);
    const limits = this.#limits.of(spec.queue);
    const request = {
      spec,
      requestId,
      hungryHere,
      limits,
      ...(listen && { listen }),
      ...(offer && { claim: offer.claim }),
    };
    return this.#unlessTooLate(spec, call, async () => {
      const asked = this.#ask(() => this.#storage.enqueue(request)).finally(leave);
      const answer = await asked.catch((error) => {
        offer?.failed(spec);
        throw error;
      });
      try {
        return this.#accepted(spec, answer);
      } finally {
        offer?.answered(answer.kind === "accepted" ? answer.claimed : undefined);
      }
    });
  }

  /** The deadline is over before the storage confirmed: the job may exist, and the same request_id finds out. */
  #unlessTooLate<T>(key: JobKey, call: Call, store: () => Promise<T>): Promise<T> {
    if (call.deadlineMs === undefined) return store();
    const patienceMs = Math.max(call.deadlineMs / 2, call.deadlineMs - deadlineMarginMs(call.deadlineMs));
    return new Promise<T>((resolve, reject) => {
      const tooLate = () =>
        reject(
          new CallError(
            "ENQUEUE_UNCONFIRMED",
            "the deadline was over before the storage confirmed; repeat with the same request_id",
            {
              jobId: key.jobId,
            },
          ),
        );
      const timer = this.clock.setTimer(tooLate, patienceMs, { unref: true });
      store()
        .then(resolve, reject)
        .finally(() => timer.cancel());
    });
  }

  #accepted(spec: JobSpec, answer: EnqueueAnswer): Accepted {
    const { jobId } = spec;
    switch (answer.kind) {
      case "accepted": {
        const { status, disposition, payloadMismatch, wake, tell, claimed } = answer;
        const due = status.state === "scheduled" ? { tickInMs: spec.delayMs } : {};
        if (claimed) this.#leased(answer);
        else if (disposition === "created") this.#changed({ status, tell, wake, ...due });
        if (disposition === "created" && !claimed && spec.startTimeoutMs > 0)
          this.#ticker.expect(spec.queue, spec.startTimeoutMs);
        this.#observer.accepted(spec, disposition);
        return { status, disposition, payloadMismatch };
      }
      case "exists":
        throw new CallError("JOB_ALREADY_EXISTS", `job ${jobId} exists and is ${answer.status.state}`, {
          jobId,
          metadata: { state: answer.status.state },
        });
      case "mismatch":
        throw new CallError("PAYLOAD_MISMATCH", `job ${jobId} exists with another method, content type or payload`, {
          jobId,
          metadata: { state: answer.status.state },
        });
      case "queue_full":
        throw this.refused(queueFull(spec.queue, answer.limit, this.#limits.of(spec.queue)));
      case "full":
        throw this.refused(
          new CallError("STORE_FULL", "the storage is full: nothing was stored", { jobId, retryAfterMs: 1_000 }),
        );
    }
  }

  async #wait(
    waiter: Waiter,
    status: JobStatus,
    began: number,
    waitTimeoutMs: number | undefined,
    call: Call,
  ): Promise<JobStatus> {
    const waitMs = this.#waitMs(waitTimeoutMs, call.deadlineMs) - (this.clock.monotonic() - began);
    const end = await waiter.until(status, waitMs);
    return this.#ended(status, end, this.clock.monotonic() - began);
  }

  /** min(wait_timeout, deadline − margin, longest wait); 30 s where the caller set neither. */
  #waitMs(waitTimeoutMs: number | undefined, deadlineMs: number | undefined): number {
    const asked = waitTimeoutMs ?? (deadlineMs === undefined ? DEFAULT_WAIT_MS : Number.POSITIVE_INFINITY);
    const untilDeadline =
      deadlineMs === undefined ? Number.POSITIVE_INFINITY : deadlineMs - deadlineMarginMs(deadlineMs);
    return Math.min(asked, untilDeadline, this.settings.maxWaitMs);
  }

  #ended(key: JobKey, end: WaitEnd, waitedMs: number): JobStatus {
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

  /** Asks the storage; what it throws becomes an error that may cross the wire. */
  async #ask<T>(verb: () => Promise<T>): Promise<T> {
    try {
      return await verb();
    } catch (error) {
      if (!(error instanceof StorageUnavailable)) throw error;
      const text =
        error.accepted === "no"
          ? "the storage is not available: nothing was stored"
          : "the storage did not confirm: repeat with the same request_id";
      const metadata = { accepted: error.accepted };
      throw this.refused(new CallError("STORE_UNAVAILABLE", text, { metadata, retryAfterMs: 500, cause: error }));
    }
  }

  #refuseWhileDraining(): void {
    if (this.#draining) {
      const text = "this broker is shutting down; use another one";
      throw this.refused(new CallError("BROKER_DRAINING", text, { retryAfterMs: 100 }));
    }
  }

  #refuseWhenCrowded(): void {
    if (this.#waiters.size >= this.settings.maxWaiters) {
      const text = `${this.settings.maxWaiters} calls are waiting at this broker, its limit; try again later or at another one`;
      throw this.refused(new CallError("TOO_MANY_WAITERS", text, { retryAfterMs: 1_000 }));
    }
  }

  /** Counts a refusal, and answers it. */
  refused(error: CallError): CallError {
    this.#observer.refused(error.reason);
    return error;
  }

  // ── the end ────────────────────────────────────────────────────────────────

  /** Refuses what is new, sends callers elsewhere, and resolves once every worker stream has ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#dispatcher.close();
    this.#waiters.interruptAll();
    for (const session of [...this.#lanes.values()]) session.dismiss("shutdown");
    if (this.#lanes.size > 0) await new Promise<void>((resolve) => (this.#allClosed = resolve));
    await this.#announcer.announce();
  }

  /** Lets go of everything at once. Streams that are still open are ended. */
  close(): void {
    this.#draining = true;
    for (const stop of this.#stops) stop();
    this.#dispatcher.close();
    this.#ticker.close();
    this.#announcer.close();
    this.#waiters.close();
    for (const session of [...this.#lanes.values()]) session.finish();
  }
}

function found<T>(key: JobKey, job: T | undefined): T {
  if (job === undefined) throw notFound(key);
  return job;
}

function notFound({ queue, jobId }: JobKey): CallError {
  return new CallError("JOB_NOT_FOUND", `queue ${queue} has no job ${jobId}`, { jobId, metadata: { queue } });
}

function tooManySessions({ maxSessions }: BrokerSettings): CallError {
  const text = `this broker serves ${maxSessions} worker streams at most; connect to another one`;
  const metadata = { limit: "max_sessions", max_sessions: String(maxSessions) };
  return new CallError("RATE_LIMITED", text, { metadata, retryAfterMs: 5_000 });
}

function queueFull(queue: string, limit: LimitName, { maxLength, maxBytes }: QueueLimits): CallError {
  const most = limit === "max_length" ? `${maxLength} unfinished jobs` : `${maxBytes} bytes of unfinished jobs`;
  const text = `queue ${queue} takes ${most} at most (${limit}): nothing was stored; try again when some have ended`;
  const metadata = { queue, limit, [limit]: String(limit === "max_length" ? maxLength : maxBytes) };
  return new CallError("QUEUE_FULL", text, { metadata, retryAfterMs: 1_000 });
}

function outcomeExpired({ queue, jobId }: JobKey): CallError {
  return new CallError("OUTCOME_EXPIRED", `job ${jobId} is gone: its result_ttl was over`, {
    jobId,
    metadata: { queue },
  });
}

function interrupted({ jobId }: JobKey): CallError {
  return new CallError(
    "WAIT_INTERRUPTED",
    "this broker is shutting down; the job goes on: wait for it at another one",
    {
      jobId,
      retryAfterMs: 100,
    },
  );
}
