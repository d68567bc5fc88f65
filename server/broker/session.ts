/**
 * One worker stream: its state, its window, what it holds (leases.ts) and what is
 * being said to it (outbox.ts). What happens to jobs it asks the storage; what it
 * learns it tells the broker around it.
 *
 *   opening ──hello──► open ──drain (either side)──► draining ──► closed
 */
import type { Clock, Timer } from "../../protocol/clock.ts";
import { CallError, Code } from "../../protocol/errors.ts";
import { MAX_WINDOW, PROTOCOL_VERSION, SILENT_PING_INTERVALS } from "../../protocol/limits.ts";
import { isTerminal, type Progress } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import {
  type Changed,
  type Claim,
  type Claimed,
  type Extend,
  type ExtendAnswer,
  type Service,
  type SettleAnswer,
  type SettleOutcome,
  type Storage,
  StorageUnavailable,
} from "../storage/storage.ts";
import type { ClaimUnderWay } from "./dispatcher.ts";
import type { BrokerFrame, Hello, LeaseRef, Link, Settled, Settlement, WorkerFrame } from "./frames.ts";
import { attemptOf, byQueue, type Lease, Leases, refOf } from "./leases.ts";
import type { AttemptSeen, LeaseLoss, Observer, SessionSeen } from "./observer.ts";
import { Outbox } from "./outbox.ts";

/** A worker that has not confirmed a frame for this long gets no more jobs until it does. */
const RECEIPT_PATIENCE_MS = 2_000;
/** A stream that says nothing at first is not a worker. */
const HELLO_TIMEOUT_MS = 10_000;

/** Between two tries to adopt what a worker holds. */
const ADOPT_RETRY_MS = 250;

/** What one worker may have under way at the storage before no more of its frames are read: results, and some for each verb. Bytes. */
const MAX_UNDER_WAY_BYTES = 8 * 1024 * 1024;
const VERB_BYTES = 1024;

/** What a session needs of the broker around it. */
export interface SessionHost {
  readonly brokerId: string;
  readonly clock: Clock;
  readonly storage: Storage;
  readonly settings: BrokerSettings;
  readonly maxMessageBytes: number;
  readonly observer: Observer;
  /** It has said hello. Throws where it may not be opened. */
  opened(session: Session, held: readonly LeaseRef[]): void;
  /** It serves these. */
  announced(services: readonly Service[]): void;
  /** Its window, its queues or its outstanding deliveries changed: it may have room. */
  roomChanged(session: Session): void;
  /** A verb of the storage changed a job. */
  changed(changed: Changed): void;
  /** Brokers to tell that a job has changed in a way that only watchers care about. */
  watched(changed: Pick<Changed, "status" | "tell">): void;
  /** Another broker's stream held this lease until it was adopted here. */
  supersede(owner: string): void;
  hungryHere(queue: string): boolean;
  /** A claim to send with a settlement that makes room. */
  claimAlong(session: Session, queue: string): ClaimUnderWay | undefined;
  /** Leases of the queue run out within `inMs`. */
  expectTick(queue: string, inMs: number): void;
  closed(session: Session): void;
}

export class Session implements SessionSeen {
  /** Unique within the broker; with the broker's id it is the owner of leases. */
  readonly lane: string;
  readonly #host: SessionHost;
  readonly #link: Link;
  readonly #leases: Leases;
  readonly #out: Outbox;
  #state: "opening" | "open" | "draining" | "closed" = "opening";
  #hello: Hello | undefined;
  #connectTime = 0;
  #window = 0;
  #queues: string[] = [];
  /** What it held from before is settled: until then its room is not known. */
  #adopted = false;
  #claiming = 0;
  #settling = 0;
  #underWayBytes = 0;
  #halfClosed = false;
  #dismissed = false;
  /** The observer knows of it. */
  #shown = false;
  #lastHeard: number;
  #pings = 0n;
  #timers: Timer[] = [];

  constructor(lane: string, host: SessionHost, link: Link) {
    this.lane = lane;
    this.#host = host;
    this.#link = link;
    this.#leases = new Leases(host.clock);
    this.#out = new Outbox(host.clock, link, (job, seq) => this.#leases.sent(job, seq));
    this.#lastHeard = host.clock.monotonic();
    this.#every(HELLO_TIMEOUT_MS, () => {
      if (this.#state === "opening") this.#fail(violation("no hello within 10 s: the first message must be hello"));
      return false;
    });
  }

  /** As the storage names the holder of a lease. */
  get #owner(): string {
    return `${this.#host.brokerId}.${this.lane}`;
  }
  get workerId(): string {
    return this.#hello?.workerId ?? "";
  }
  get sessionId(): string {
    return this.#hello?.sessionId ?? "";
  }
  get queues(): readonly string[] {
    return this.#queues;
  }
  /** Jobs it will hold, as it last said. */
  get window(): number {
    return this.#window;
  }
  /** Library and version, as it said. */
  get clientInfo(): string {
    return this.#hello?.clientInfo ?? "";
  }
  /** When it said hello. Milliseconds since 1970 on the broker's clock; 0 before. */
  get connectTime(): number {
    return this.#connectTime;
  }
  get outstanding(): number {
    return this.#leases.size;
  }
  get state(): string {
    return this.#state;
  }

  /** How many jobs it can take now: window, less what it holds and what is being claimed for it. */
  get room(): number {
    return this.roomAfter(0);
  }

  /** The same, once so many of those that it holds are settled. */
  roomAfter(settled: number): number {
    if (this.#state !== "open" || !this.#adopted || !this.#link.writable || this.#stuck) return 0;
    return Math.max(0, this.#window + settled - this.#leases.size - this.#claiming);
  }

  /** It confirms nothing: what is sent now would only lie there. */
  get #stuck(): boolean {
    const since = this.#out.unconfirmedSince;
    return since !== undefined && this.#host.clock.monotonic() - since > RECEIPT_PATIENCE_MS;
  }

  /** Sets room aside for a claim under way; `taken` gives it back. */
  reserve(count: number): void {
    this.#claiming += count;
  }

  /** A claim that reserved `reserved` answered. Jobs that cannot be sent any more go back untouched. */
  taken(reserved: number, jobs: Claimed[]): void {
    this.#claiming -= reserved;
    if (this.#state !== "open") {
      for (const job of jobs) void this.#return(job, false);
      return;
    }
    for (const job of jobs) this.#leases.add(job);
    if (jobs.length > 0) this.#out.say((out) => out.deliveries.push(...jobs));
  }

  /** A lease of this stream that nobody knows whether it is there: if so, it goes back as undelivered. */
  disown(ref: LeaseRef): void {
    void this.#return({ ...ref, ...attemptOf(ref) }, false);
  }

  /** The first message. */
  async hello(hello: Hello): Promise<void> {
    if (this.#state !== "opening") return this.#fail(violation("hello was sent before: it is only the first message"));
    // The newest that the worker speaks: a newer one than ours is met in the middle by the welcome.
    if (hello.protocolVersion < PROTOCOL_VERSION) {
      const text = `protocol_version ${hello.protocolVersion} is not spoken here; send ${PROTOCOL_VERSION}`;
      return this.#fail(
        new CallError("PROTOCOL_VERSION", text, {
          metadata: { min: String(PROTOCOL_VERSION), max: String(PROTOCOL_VERSION) },
        }),
      );
    }
    this.#hello = hello;
    this.#connectTime = this.#host.clock.now();
    this.#state = "open";
    this.#heard();
    try {
      this.#host.opened(this, hello.held);
    } catch (error) {
      return this.#fail(error as Error);
    }
    const { leaseMs, pingIntervalMs, reconnectGraceMs, maxResultBytes } = this.#host.settings;
    const { brokerId, maxMessageBytes } = this.#host;
    const limits = { maxMessageBytes, maxResultBytes };
    const times = { leaseMs, deliveryLeaseMs: deliveryLeaseMs(leaseMs), pingIntervalMs, reconnectGraceMs };
    this.#link.sendWelcome({ brokerId, ...times, ...limits });
    this.#out.open();
    this.#startTimers(hello.renewOnPong);
    // Before anything is awaited: a frame that follows hello may change both.
    this.#queues = hello.queues;
    this.#window = Math.min(hello.window, MAX_WINDOW);
    this.#shown = true;
    this.#host.observer.sessionOpened(this);
    this.#host.announced(hello.services ?? []);
    await this.#adopt(hello.held);
    this.#adopted = true;
    this.#host.roomChanged(this);
  }

  /** Every later message. */
  frame(frame: WorkerFrame): void {
    if (this.#state === "closed") return;
    if (this.#state === "opening") return this.#fail(violation("a frame came before hello"));
    this.#heard();
    if (frame.receivedSeq > this.#out.seq) {
      return this.#fail(
        violation(`received_seq ${frame.receivedSeq} is ahead of the last frame sent, ${this.#out.seq}`),
      );
    }
    if (frame.receivedSeq > 0n) this.#received(frame.receivedSeq);
    if (frame.ping !== undefined) this.#say((out) => (out.pong = frame.ping as bigint));
    if (frame.pong !== undefined && this.#hello?.renewOnPong) this.#renewAll();
    if (frame.renewals.length > 0) this.#renew(frame.renewals);
    for (const settlement of frame.settlements) void this.#settle(settlement);
    for (const report of frame.progress) this.#report(report);
    if (frame.queues !== undefined) this.#queues = frame.queues;
    if (frame.services !== undefined) this.#host.announced(frame.services);
    if (frame.window !== undefined) this.#window = Math.min(frame.window, MAX_WINDOW);
    if (frame.drain) this.drain("confirmed");
    if (frame.queues !== undefined || frame.window !== undefined) this.#host.roomChanged(this);
  }

  /** The worker half-closed: answer what is due, then end. */
  workerEnded(): void {
    this.#halfClosed = true;
    if (this.#state === "opening") return this.#fail(violation("the stream ended before hello"));
    this.#endWhenDone();
  }

  /** The stream is gone, however that came. */
  linkClosed(): void {
    this.#close();
  }

  /** The stream takes more again. */
  writable(): void {
    this.#out.flushSoon();
    this.#host.roomChanged(this);
  }

  /** No more deliveries; tells the worker why. Deliveries that have not left yet go back. */
  drain(reason: string): void {
    if (this.#state === "draining") return this.#say((out) => (out.drain = reason));
    if (this.#state === "opening") return this.#fail(new CallError("BROKER_DRAINING", "this broker is shutting down"));
    if (this.#state !== "open") return;
    this.#state = "draining";
    for (const job of this.#out.unsent()) this.#giveBack(job);
    this.#say((out) => (out.drain = reason));
  }

  /** The broker goes away, or wants the stream elsewhere: drain, and end as soon as nothing is held. */
  dismiss(reason: string): void {
    this.#dismissed = true;
    this.drain(reason);
    this.#endWhenDone();
  }

  /** Ends the stream: the same session opened a newer one, which takes over the leases it `held`. */
  supersede(held: readonly LeaseRef[] = []): void {
    for (const ref of held) this.#leases.drop(ref);
    this.#fail(new CallError("SESSION_SUPERSEDED", "the same session opened a newer stream"));
  }

  /** Ends the stream OK, as a drained broker does. */
  finish(): void {
    this.#out.flush();
    this.#link.end();
    this.#close();
  }

  /** Cancellation was asked for. */
  pushCancel(ref: LeaseRef): void {
    if (this.#leases.has(ref)) this.#say((out) => out.cancels.push(refOf(ref)));
  }

  #fail(error: Error): void {
    if (this.#state === "closed") return;
    this.#out.flush();
    this.#link.end(error);
    this.#close(error);
  }

  #close(error?: Error): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const timer of this.#timers) timer.cancel();
    this.#out.close();
    const leases = this.#leases.all();
    for (const lease of leases) this.#leases.drop(lease);
    this.#host.closed(this);
    if (this.#shown) this.#host.observer.sessionClosed(this, error);
    void this.#letGo(leases);
  }

  /** What was received has the reconnect grace left; what was not goes back at once. */
  async #letGo(leases: Lease[]): Promise<void> {
    const received = leases.filter((lease) => lease.received);
    for (const lease of received) this.#host.observer.leaseLost(lease, "stream_ended");
    await Promise.allSettled([
      ...leases.filter((lease) => !lease.received).map((lease) => this.#return(lease, lease.seq > 0n)),
      ...byQueue(received).map(([queue, items]) =>
        this.#extend({ queue, items, mode: "shorten", leaseMs: this.#host.settings.reconnectGraceMs }),
      ),
    ]);
    for (const [queue] of byQueue(received)) this.#host.expectTick(queue, this.#host.settings.reconnectGraceMs);
  }

  async #return(lease: (LeaseRef & AttemptSeen) | Claimed, sent: boolean): Promise<void> {
    const attempt = "since" in lease ? lease : attemptOf(lease);
    await this.#settleStored(lease, { kind: "undelivered", sent, lane: this.lane }, attempt).catch(() => {
      // The storage is away; the lease runs out by itself.
    });
  }

  #giveBack(job: Claimed): void {
    this.#leases.drop(job);
    void this.#return(job, false);
  }

  #received(seq: bigint): void {
    const stuck = this.#stuck;
    this.#leases.received(seq);
    this.#out.confirmed(seq);
    if (stuck) this.#host.roomChanged(this);
  }

  async #adopt(held: LeaseRef[]): Promise<void> {
    await Promise.all(
      byQueue(held).map(async ([queue, items]) => {
        const answers = await this.#askToAdopt(queue, items);
        for (const [i, answer] of answers.entries()) this.#adoption(refOf(items[i]!), answer);
      }),
    );
  }

  /** Asks until it is answered: the end of the stream before has shortened the leases, and nobody else makes them long again. */
  async #askToAdopt(queue: string, items: LeaseRef[]): Promise<ExtendAnswer[]> {
    const { clock, settings } = this.#host;
    while (this.#state !== "closed") {
      const asked = this.#extend({ queue, items, mode: "adopt", leaseMs: settings.leaseMs });
      const answers = await asked.catch(() => undefined);
      if (answers) return answers;
      await new Promise<void>((resolve) => clock.setTimer(resolve, ADOPT_RETRY_MS, { unref: true }));
    }
    return [];
  }

  #adoption(ref: LeaseRef, answer: ExtendAnswer): void {
    if (answer.kind === "lost") {
      return this.#say((out) => out.lost.push({ ...ref, reason: "not this worker's any more" }));
    }
    if (this.#state === "closed") return;
    this.#leases.adopt(ref);
    this.#say((out) => out.adopted.push(ref));
    if (answer.cancelRequested) this.#say((out) => out.cancels.push(ref));
    // An adoption that ran twice, because its answer was lost, finds this stream itself.
    const { previousOwner } = answer;
    if (previousOwner !== "" && previousOwner !== this.#owner) this.#host.supersede(previousOwner);
  }

  #renewAll(): void {
    this.#renew(this.#leases.all().filter((lease) => lease.received));
  }

  #renew(refs: readonly LeaseRef[]): void {
    for (const [queue, items] of byQueue(refs)) {
      void this.#extend({ queue, items, mode: "renew", leaseMs: this.#host.settings.leaseMs })
        .then((answers) => {
          for (const [i, item] of items.entries()) {
            const answer = answers[i];
            if (answer?.kind === "lost") this.#lost(item, "expired");
            else this.#leases.renewed(item);
            if (answer?.kind === "ok" && answer.cancelRequested) this.#say((out) => out.cancels.push(refOf(item)));
          }
        })
        .catch(() => {
          // The storage is away: the next renewal asks again.
        });
    }
  }

  #lost(ref: LeaseRef, reason: string): void {
    this.#drop(ref, "expired");
    this.#say((out) => out.lost.push({ ...refOf(ref), reason }));
    this.#host.roomChanged(this);
  }

  /** The storage says that it is not ours any more. What was not held is no loss: it was told of before. */
  #drop(ref: LeaseRef, why: LeaseLoss): void {
    const lease = this.#leases.find(ref);
    if (!lease) return;
    this.#leases.drop(ref);
    this.#host.observer.leaseLost(lease, why);
  }

  #extend(request: Omit<Extend, "lane">): ReturnType<Storage["extend"]> {
    return this.#paced(0, this.#host.storage.extend({ ...request, lane: this.lane }));
  }

  /** A worker that sends faster than the storage answers is read more slowly. */
  #paced<T>(bytes: number, verb: Promise<T>): Promise<T> {
    this.#underWay(VERB_BYTES + bytes);
    const over = () => this.#underWay(-VERB_BYTES - bytes);
    verb.then(over, over);
    // Not what `then` made of it: that comes later, after what else the answer sets off.
    return verb;
  }

  #underWay(bytes: number): void {
    const before = this.#underWayBytes;
    this.#underWayBytes += bytes;
    const [over, wasOver] = [this.#underWayBytes > MAX_UNDER_WAY_BYTES, before > MAX_UNDER_WAY_BYTES];
    if (over !== wasOver) this.#link.read(!over);
  }

  async #settle(settlement: Settlement): Promise<void> {
    this.#settling++;
    const { outcome, rejected } = this.#judged(settlement);
    try {
      const attempt = this.#leases.find(settlement) ?? attemptOf(settlement);
      const bytes = outcome.kind === "completed" ? outcome.payload.data.length : 0;
      const answer = await this.#paced(bytes, this.#settleStored(settlement, outcome, attempt));
      this.#leases.drop(settlement);
      if (answer.kind === "lost") this.#answer(settlement, "lease_lost");
      else if (rejected) this.#answer(settlement, "rejected", rejected);
      else this.#answer(settlement, answer.kind === "duplicate" ? "duplicate" : "ok");
    } catch (error) {
      if (!(error instanceof StorageUnavailable)) throw error;
      this.#answer(settlement, "retry");
    } finally {
      this.#settling--;
      this.#endWhenDone();
    }
    this.#host.roomChanged(this);
  }

  /** An oversize result can never be stored: the job fails instead, for good. */
  #judged(settlement: Settlement): { outcome: SettleOutcome; rejected?: NonNullable<Settled["status"]> } {
    const { outcome } = settlement;
    const limit = this.#host.settings.maxResultBytes;
    if (outcome.kind === "completed" && outcome.payload.data.length > limit) {
      const message = `the result has ${outcome.payload.data.length} bytes, the limit is ${limit}: store it elsewhere and return a reference`;
      const status = { code: Code.OUT_OF_RANGE, message, details: [] };
      const detail = { status, type: "", stack: "" };
      return {
        outcome: { kind: "failed", failureKind: "result_too_large", detail, retryable: false },
        rejected: status,
      };
    }
    if (outcome.kind === "failed") return { outcome: { ...outcome, failureKind: "handler" } };
    return { outcome };
  }

  async #settleStored(ref: LeaseRef, outcome: SettleOutcome, attempt: AttemptSeen) {
    const { storage, clock, observer } = this.#host;
    const { queue, jobId, leaseToken } = ref;
    const hungryHere = this.#host.hungryHere(queue);
    const settle = { queue, jobId, leaseToken, outcome, jitter: clock.random(), hungryHere };
    const answer = await this.#withClaim(ref, (claim) => storage.settle(claim ? { ...settle, claim } : settle));
    if (answer.kind !== "lost") this.#host.changed(answer);
    if (answer.kind === "settled") {
      observer.settled(attempt, outcome.kind, answer.status);
      if (isTerminal(answer.status.state)) observer.ended(answer.status, attempt);
    }
    return answer;
  }

  /** What frees a place in the window fetches the next job on the same way. */
  async #withClaim(ref: LeaseRef, settle: (claim?: Claim) => Promise<SettleAnswer>): Promise<SettleAnswer> {
    const claim = this.#leases.has(ref) ? this.#host.claimAlong(this, ref.queue) : undefined;
    try {
      const answer = await settle(claim?.request);
      // First: what is fetched may be the same job.
      if (answer.kind === "lost") this.#drop(ref, "late_settlement");
      claim?.answered(answer.claimed);
      return answer;
    } catch (error) {
      claim?.failed();
      throw error;
    }
  }

  #answer(settlement: Settlement, result: Settled["result"], status?: Settled["status"]): void {
    this.#say((out) => out.settled.push({ settleId: settlement.settleId, result, ...(status && { status }) }));
  }

  #report(report: LeaseRef & { progress: Progress }): void {
    const held = this.#leases.report(report, report.progress, (progress) => void this.#storeProgress(report, progress));
    if (!held) this.#say((out) => out.lost.push({ ...refOf(report), reason: "not leased to this stream" }));
  }

  async #storeProgress(ref: LeaseRef, progress: Progress): Promise<void> {
    try {
      const answer = await this.#host.storage.progress({ ...refOf(ref), progress });
      if (answer.kind === "ok") this.#host.watched(answer);
      else if (this.#leases.has(ref)) this.#lost(ref, "expired");
    } catch {
      // Progress is for people: the next report replaces this one.
    }
  }

  #startTimers(renewOnPong: boolean): void {
    const { pingIntervalMs, leaseMs, maxStreamAgeMs } = this.#host.settings;
    const { clock } = this.#host;
    this.#every(pingIntervalMs / 4, () => {
      if (clock.monotonic() - this.#lastHeard <= pingIntervalMs * SILENT_PING_INTERVALS) return true;
      this.#link.destroy();
      this.#close(new Error("the worker fell silent"));
      return false;
    });
    // A job that outlives its delivery lease gets the full one; a short job never costs this write.
    this.#every(deliveryLeaseMs(leaseMs) / 2, () => {
      this.#renew(this.#leases.all().filter((lease) => lease.received && !lease.full));
      return true;
    });
    const interval = renewOnPong ? Math.min(pingIntervalMs, leaseMs / 3) : pingIntervalMs;
    this.#every(interval, () => {
      const now = clock.monotonic();
      const idle = now - this.#out.lastSent >= interval || now - this.#lastHeard >= interval;
      if (renewOnPong || idle) this.#say((out) => (out.ping = ++this.#pings));
      return true;
    });
    this.#every(maxStreamAgeMs * (0.9 + 0.2 * clock.random()), () => {
      this.dismiss("max-stream-age");
      // A worker that does not move on is cut after the drain's usual time; its leases have their grace.
      this.#every(this.#host.settings.drainTimeoutMs, () => {
        this.finish();
        return false;
      });
      return false;
    });
  }

  #every(ms: number, fn: () => boolean): void {
    const index = this.#timers.length;
    const arm = () => {
      this.#timers[index] = this.#host.clock.setTimer(() => this.#state !== "closed" && fn() && arm(), ms, {
        unref: true,
      });
    };
    arm();
  }

  #heard(): void {
    this.#lastHeard = this.#host.clock.monotonic();
  }

  #say(put: (out: BrokerFrame) => unknown): void {
    if (this.#state !== "closed") this.#out.say(put);
  }

  #endWhenDone(): void {
    const done = this.#halfClosed || (this.#dismissed && this.#leases.size === 0);
    if (done && this.#settling === 0 && this.#state !== "closed") this.finish();
  }
}

/**
 * A claim leases for less than a full lease at first: what a broker claimed and could not deliver before it died
 * comes back well within a caller's default wait. Once received, it is extended (decision 6).
 */
export function deliveryLeaseMs(leaseMs: number): number {
  return Math.ceil(leaseMs / 3);
}

function violation(message: string): CallError {
  return new CallError("PROTOCOL_VIOLATION", message);
}
