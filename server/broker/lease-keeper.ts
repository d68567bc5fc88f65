/**
 * Keeps the leases of one worker stream (leases.ts) in step with the storage: adopted, renewed, settled, given back.
 * What the storage says of them it tells the worker, and the broker around it.
 */
import { Code } from "../../protocol/errors.ts";
import { isTerminal, type Progress } from "../job/job.ts";
import {
  type Claim,
  type Claimed,
  type Extend,
  type ExtendAnswer,
  type SettleAnswer,
  type SettleOutcome,
  type Storage,
  StorageUnavailable,
} from "../storage/storage.ts";
import type { BrokerFrame, LeaseRef, Settled, Settlement } from "./frames.ts";
import { attemptOf, byQueue, type Lease, Leases, refOf } from "./leases.ts";
import type { AttemptSeen, LeaseLoss } from "./observer.ts";
import type { Session, SessionHost } from "./session.ts";

/** Between two tries to adopt what a worker holds. */
const ADOPT_RETRY_MS = 250;
/** What one worker may have under way at the storage before no more of its frames are read: results, and some for each verb. Bytes. */
const MAX_UNDER_WAY_BYTES = 8 * 1024 * 1024;
const VERB_BYTES = 1024;

/** What it needs of the stream. */
export interface Ways {
  /** Adds to the next frame. */
  say(put: (out: BrokerFrame) => unknown): void;
  /** Whether to take more frames of the worker. */
  read(on: boolean): void;
  /** A settlement was answered. */
  settled(): void;
}

export class LeaseKeeper {
  readonly #host: SessionHost;
  readonly #session: Session;
  readonly #ways: Ways;
  readonly #leases: Leases;
  #underWayBytes = 0;
  /** Settlements that the storage has not answered. */
  settling = 0;

  constructor(host: SessionHost, session: Session, ways: Ways) {
    this.#host = host;
    this.#session = session;
    this.#ways = ways;
    this.#leases = new Leases(host.clock);
  }

  /** Jobs that the stream holds. */
  get size(): number {
    return this.#leases.size;
  }

  has(ref: LeaseRef): boolean {
    return this.#leases.has(ref);
  }

  /** Claimed for the stream. */
  add(job: Claimed): void {
    this.#leases.add(job);
  }

  /** It left in this frame. */
  sent(job: LeaseRef, seq: bigint): void {
    this.#leases.sent(job, seq);
  }

  /** Everything up to this frame has arrived. */
  confirmed(seq: bigint): void {
    this.#leases.received(seq);
  }

  /** Those that the worker said it has. */
  get received(): Lease[] {
    return this.#leases.all().filter((lease) => lease.received);
  }

  drop(ref: LeaseRef): void {
    this.#leases.drop(ref);
  }

  /** Holds none from here on. */
  takeAll(): Lease[] {
    const leases = this.#leases.all();
    for (const lease of leases) this.#leases.drop(lease);
    return leases;
  }

  /** What was received has the reconnect grace left; what was not goes back at once. */
  async letGo(leases: Lease[]): Promise<void> {
    const received = leases.filter((lease) => lease.received);
    for (const lease of received) this.#host.observer.leaseLost(lease, "stream_ended");
    await Promise.allSettled([
      ...leases.filter((lease) => !lease.received).map((lease) => this.giveBack(lease, lease.seq > 0n)),
      ...byQueue(received).map(([queue, items]) =>
        this.#extend({ queue, items, mode: "shorten", leaseMs: this.#host.settings.reconnectGraceMs }),
      ),
    ]);
    for (const [queue] of byQueue(received)) this.#host.expectTick(queue, this.#host.settings.reconnectGraceMs);
  }

  /** It was not worked on: as if it had never been delivered, where it was not `sent`. */
  async giveBack(lease: (LeaseRef & AttemptSeen) | Claimed, sent: boolean): Promise<void> {
    const attempt = "since" in lease ? lease : attemptOf(lease);
    await this.#settleStored(lease, { kind: "undelivered", sent, lane: this.#session.lane }, attempt).catch(() => {
      // The storage is away; the lease runs out by itself.
    });
  }

  /** Takes over what the worker held on an earlier stream. */
  async adopt(held: LeaseRef[]): Promise<void> {
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
    while (this.#session.state !== "closed") {
      const asked = this.#extend({ queue, items, mode: "adopt", leaseMs: settings.leaseMs });
      const answers = await asked.catch(() => undefined);
      if (answers) return answers;
      await new Promise<void>((resolve) => clock.setTimer(resolve, ADOPT_RETRY_MS, { unref: true }));
    }
    return [];
  }

  #adoption(ref: LeaseRef, answer: ExtendAnswer): void {
    if (answer.kind === "lost") {
      return this.#ways.say((out) => out.lost.push({ ...ref, reason: "not this worker's any more" }));
    }
    if (this.#session.state === "closed") return;
    this.#leases.adopt(ref);
    this.#ways.say((out) => out.adopted.push(ref));
    if (answer.cancelRequested) this.#ways.say((out) => out.cancels.push(ref));
    // An adoption that ran twice, because its answer was lost, finds this stream itself.
    const { previousOwner } = answer;
    if (previousOwner !== "" && previousOwner !== this.#owner) this.#host.supersede(previousOwner);
  }

  /** A full lease from now on. */
  renew(refs: readonly LeaseRef[]): void {
    for (const [queue, items] of byQueue(refs)) {
      const held = items.map((item) => this.#leases.has(item));
      void this.#extend({ queue, items, mode: "renew", leaseMs: this.#host.settings.leaseMs })
        .then((answers) => {
          for (const [i, item] of items.entries()) {
            const answer = answers[i];
            if (answer?.kind !== "lost") this.#leases.renewed(item);
            else if (!(held[i] && this.#settledSince(item))) this.#lost(item, "expired");
            if (answer?.kind === "ok" && answer.cancelRequested) this.#ways.say((out) => out.cancels.push(refOf(item)));
          }
        })
        .catch(() => {
          // The storage is away: the next renewal asks again.
        });
    }
  }

  /** A settlement was before the renewal at the storage: it says itself what became of the lease. */
  #settledSince(ref: LeaseRef): boolean {
    const lease = this.#leases.find(ref);
    return lease === undefined || lease.settling;
  }

  #lost(ref: LeaseRef, reason: string): void {
    this.#drop(ref, "expired");
    this.#ways.say((out) => out.lost.push({ ...refOf(ref), reason }));
    this.#host.roomChanged(this.#session);
  }

  /** The storage says that it is not ours any more. What was not held is no loss: it was told of before. */
  #drop(ref: LeaseRef, why: LeaseLoss): void {
    const lease = this.#leases.find(ref);
    if (!lease) return;
    this.#leases.drop(ref);
    this.#host.observer.leaseLost(lease, why);
  }

  #extend(request: Omit<Extend, "lane">): ReturnType<Storage["extend"]> {
    return this.#paced(0, this.#host.storage.extend({ ...request, lane: this.#session.lane }));
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
    if (over !== wasOver) this.#ways.read(!over);
  }

  /** How attempts ended, as the worker says in one frame. The last of a queue fetches what all of them make room for. */
  settle(settlements: readonly Settlement[]): void {
    for (const [, items] of byQueue(settlements)) {
      let freed = 0;
      const leases = items.map((item) => {
        const lease = this.#leases.find(item);
        if (lease && !lease.settling) freed++;
        if (lease) lease.settling = true;
        return lease;
      });
      for (const [i, item] of items.entries()) {
        void this.#settle(item, leases[i], i === items.length - 1 ? freed : 0);
      }
    }
  }

  async #settle(settlement: Settlement, lease: Lease | undefined, freed: number): Promise<void> {
    this.settling++;
    const { outcome, rejected } = this.#judged(settlement);
    try {
      const attempt = lease ?? attemptOf(settlement);
      const bytes = outcome.kind === "completed" ? outcome.payload.data.length : 0;
      const answer = await this.#paced(bytes, this.#settleStored(settlement, outcome, attempt, freed));
      this.#leases.drop(settlement);
      if (answer.kind === "lost") this.#answer(settlement, "lease_lost");
      else if (rejected) this.#answer(settlement, "rejected", rejected);
      else this.#answer(settlement, answer.kind === "duplicate" ? "duplicate" : "ok");
    } catch (error) {
      if (!(error instanceof StorageUnavailable)) throw error;
      if (lease) lease.settling = false;
      this.#answer(settlement, "retry");
    } finally {
      this.settling--;
      this.#ways.settled();
    }
    this.#host.roomChanged(this.#session);
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

  /** @param freed jobs that it makes room for, with those in front of it */
  async #settleStored(ref: LeaseRef, outcome: SettleOutcome, attempt: AttemptSeen, freed = 0): Promise<SettleAnswer> {
    const { storage, clock, observer } = this.#host;
    const { queue, jobId, leaseToken } = ref;
    const hungryHere = this.#host.hungryHere(queue);
    const settle = { queue, jobId, leaseToken, outcome, jitter: clock.random(), hungryHere };
    const answer = await this.#withClaim(ref, freed, (claim) => storage.settle(claim ? { ...settle, claim } : settle));
    if (answer.kind !== "lost") this.#host.changed(answer);
    if (answer.kind === "settled") {
      observer.settled(attempt, outcome.kind, answer.status);
      if (isTerminal(answer.status.state)) observer.ended(answer.status, attempt);
    }
    return answer;
  }

  /** What frees places in the window fetches the next jobs on the same way. */
  async #withClaim(
    ref: LeaseRef,
    freed: number,
    settle: (claim?: Claim) => Promise<SettleAnswer>,
  ): Promise<SettleAnswer> {
    const claim = freed > 0 ? this.#host.claimAlong(this.#session, ref.queue, freed) : undefined;
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
    this.#ways.say((out) => out.settled.push({ settleId: settlement.settleId, result, ...(status && { status }) }));
  }

  /** How far an attempt is. */
  report(report: LeaseRef & { progress: Progress }): void {
    const held = this.#leases.report(report, report.progress, (progress) => void this.#storeProgress(report, progress));
    if (!held) this.#ways.say((out) => out.lost.push({ ...refOf(report), reason: "not leased to this stream" }));
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

  /** As the storage names the holder of a lease. */
  get #owner(): string {
    return `${this.#host.brokerId}.${this.#session.lane}`;
  }
}
