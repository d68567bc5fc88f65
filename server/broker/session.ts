/**
 * One worker stream: its state, its window, its signs of life, and what is being said to it (outbox.ts). What becomes
 * of the jobs that it holds is lease-keeper.ts; what it learns it tells the broker around it.
 *
 *   opening ──hello──► open ──drain (either side)──► draining ──► closed
 */
import type { Clock, Timer } from "../../protocol/clock.ts";
import { CallError } from "../../protocol/errors.ts";
import { MAX_WINDOW, PROTOCOL_VERSION, SILENT_PING_INTERVALS } from "../../protocol/limits.ts";
import type { BrokerSettings } from "../settings.ts";
import type { Changed, Claimed, Service, Storage } from "../storage/storage.ts";
import type { ClaimUnderWay } from "./dispatcher.ts";
import type { BrokerFrame, Hello, LeaseRef, Link, WorkerFrame } from "./frames.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { attemptOf, refOf } from "./leases.ts";
import type { Observer, SessionSeen } from "./observer.ts";
import { Outbox } from "./outbox.ts";

/** A worker that has not confirmed a frame for this long gets no more jobs until it does. */
const RECEIPT_PATIENCE_MS = 2_000;
/** A stream that says nothing at first is not a worker. */
const HELLO_TIMEOUT_MS = 10_000;

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
  /** A claim to send with the last of settlements that make room for so many jobs. */
  claimAlong(session: Session, queue: string, freed: number): ClaimUnderWay | undefined;
  /** Leases of the queue run out within `inMs`. */
  expectTick(queue: string, inMs: number): void;
  closed(session: Session): void;
}

export class Session implements SessionSeen {
  /** Unique within the broker; with the broker's id it is the owner of leases. */
  readonly lane: string;
  readonly #host: SessionHost;
  readonly #link: Link;
  readonly #leases: LeaseKeeper;
  readonly #out: Outbox;
  #state: "opening" | "open" | "draining" | "closed" = "opening";
  #hello: Hello | undefined;
  #connectTime = 0;
  #window = 0;
  #queues: string[] = [];
  /** What it held from before is settled: until then its room is not known. */
  #adopted = false;
  #claiming = 0;
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
    this.#leases = new LeaseKeeper(host, this, {
      say: (put) => this.#say(put),
      read: (on) => this.#link.read(on),
      settled: () => this.#endWhenDone(),
    });
    this.#out = new Outbox(host.clock, link, (job, seq) => this.#leases.sent(job, seq));
    this.#lastHeard = host.clock.monotonic();
    this.#every(HELLO_TIMEOUT_MS, () => {
      if (this.#state === "opening") this.#fail(violation("no hello within 10 s: the first message must be hello"));
      return false;
    });
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
    const room = this.#window + settled - this.#leases.size - this.#claiming;
    // First what is quick to see: a queue may have a thousand sessions, and most of them be busy.
    if (room <= 0 || this.#state !== "open" || !this.#adopted || !this.#link.writable || this.#stuck) return 0;
    return room;
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
      for (const job of jobs) void this.#leases.giveBack(job, false);
      return;
    }
    for (const job of jobs) this.#leases.add(job);
    if (jobs.length > 0) this.#out.say((out) => out.deliveries.push(...jobs));
  }

  /** A lease of this stream that nobody knows whether it is there: if so, it goes back as undelivered. */
  disown(ref: LeaseRef): void {
    void this.#leases.giveBack({ ...ref, ...attemptOf(ref) }, false);
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
    await this.#leases.adopt(hello.held);
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
    if (frame.pong !== undefined && this.#hello?.renewOnPong) this.#leases.renew(this.#leases.received);
    if (frame.renewals.length > 0) this.#leases.renew(frame.renewals);
    if (frame.settlements.length > 0) this.#leases.settle(frame.settlements);
    for (const report of frame.progress) this.#leases.report(report);
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
    for (const job of this.#out.unsent()) {
      this.#leases.drop(job);
      void this.#leases.giveBack(job, false);
    }
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
    const leases = this.#leases.takeAll();
    this.#host.closed(this);
    if (this.#shown) this.#host.observer.sessionClosed(this, error);
    void this.#leases.letGo(leases);
  }

  #received(seq: bigint): void {
    const stuck = this.#stuck;
    this.#leases.confirmed(seq);
    this.#out.confirmed(seq);
    if (stuck) this.#host.roomChanged(this);
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
      this.#leases.renew(this.#leases.received.filter((lease) => !lease.full));
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
    if (done && this.#leases.settling === 0 && this.#state !== "closed") this.finish();
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
