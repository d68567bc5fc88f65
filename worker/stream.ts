/**
 * One stream to one broker, from hello to its end: handshake, batching, signs of
 * life. It knows nothing of jobs.
 *
 *   connecting ──welcome──► open ──leave()──► leaving ──all sent──► ended ──► closed
 */
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type BrokerFrame,
  type Hello,
  type Welcome,
  type WorkerFrame,
  WorkRequestSchema,
  type WorkResponse,
} from "../gen/queuecall/v1/worker_pb.js";
import type { Clock, Timer } from "../protocol/clock.ts";
import { Code } from "../protocol/errors.ts";
import {
  DEFAULT_LEASE_MS,
  DEFAULT_PING_INTERVAL_MS,
  maxMessageBytes,
  SILENT_PING_INTERVALS,
} from "../protocol/limits.ts";
import type { Dial, Link, LinkEnd } from "./link.ts";
import { Outbox } from "./outbox.ts";

/** A broker that has not welcomed us by then is taken for dead. */
const HANDSHAKE_MS = 10_000;
/** A broker that has not ended its side this long after ours is cut off. */
const GOODBYE_MS = 5_000;

/** What the broker announced. */
export interface Terms {
  brokerId: string;
  leaseMs: number;
  pingIntervalMs: number;
  maxMessageBytes: number;
}

type State =
  | { kind: "connecting" }
  | { kind: "open"; terms: Terms }
  | { kind: "leaving" }
  | { kind: "ended" }
  | { kind: "closed"; end: LinkEnd };

export interface StreamHost {
  readonly clock: Clock;
  welcomed(stream: Stream, terms: Terms): void;
  frame(stream: Stream, frame: BrokerFrame): void;
  /** Called once. */
  closed(stream: Stream, end: LinkEnd): void;
}

export class Stream {
  readonly outbox = new Outbox();
  readonly url: string;
  readonly hello: Hello;
  /** When the hello left. Monotonic milliseconds: leases that the broker adopts count from here. */
  readonly openedAt: number;
  /** The broker said that it sends no more deliveries here. */
  drained = false;
  readonly #host: StreamHost;
  readonly #link: Link;
  #state: State = { kind: "connecting" };
  #timer: Timer;
  #lastHeard: number;
  #lastSent: number;
  #pings = 0n;
  #flushing = false;

  constructor(dial: Dial, url: string, hello: Hello, host: StreamHost) {
    this.url = url;
    this.hello = hello;
    this.#host = host;
    this.openedAt = this.#lastHeard = this.#lastSent = host.clock.monotonic();
    this.#timer = host.clock.setTimer(() => this.destroy("no welcome within 10 s"), HANDSHAKE_MS);
    this.#link = dial(url, {
      message: (message) => this.#message(message),
      writable: () => this.#flush(),
      ended: (end) => this.#close(end),
    });
    this.#link.send(create(WorkRequestSchema, { kind: { case: "hello", value: hello } }));
  }

  /** Set once the broker has said welcome and as long as frames may be put into the outbox. */
  get terms(): Terms | undefined {
    return this.#state.kind === "open" ? this.#state.terms : undefined;
  }

  get closed(): boolean {
    return this.#state.kind === "closed";
  }

  /** Something was put into the outbox. It leaves together with all else that follows from the event at hand. */
  touch(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#host.clock.soon(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Asks for a sign of life. Returns the nonce that its pong will carry. */
  ping(): bigint {
    this.outbox.ping = ++this.#pings;
    this.touch();
    return this.#pings;
  }

  /** Half-closes once everything in the outbox has left; what the broker still answers is read. */
  leave(): void {
    if (this.#state.kind === "connecting") return this.destroy("not needed any more");
    if (this.#state.kind !== "open") return;
    this.#state = { kind: "leaving" };
    this.#timer.cancel();
    this.#timer = this.#host.clock.setTimer(() => this.destroy("the broker did not end the stream"), GOODBYE_MS);
    this.#flush();
  }

  /** Drops the stream without a word. */
  destroy(message: string): void {
    this.#close({ code: Code.UNAVAILABLE, message });
  }

  #message(message: WorkResponse): void {
    if (this.closed) return;
    this.#lastHeard = this.#host.clock.monotonic();
    const { kind } = message;
    if (kind.case === "welcome") this.#welcome(kind.value);
    else if (kind.case === "frame") this.#frame(kind.value);
  }

  #welcome(welcome: Welcome): void {
    if (this.#state.kind !== "connecting") return;
    const terms = termsOf(welcome);
    this.#state = { kind: "open", terms };
    this.#timer.cancel();
    this.#watch(terms.pingIntervalMs);
    this.#host.welcomed(this, terms);
  }

  #frame(frame: BrokerFrame): void {
    if (this.#state.kind === "connecting") return this.destroy("the broker's first message was not a welcome");
    if (frame.seq > 0n) this.outbox.receivedSeq = frame.seq;
    if (frame.ping) this.outbox.pong = frame.ping.nonce;
    if (frame.seq > 0n || frame.ping) this.touch();
    this.#host.frame(this, frame);
  }

  /** Says something when it has been quiet, and gives up a broker that says nothing. */
  #watch(intervalMs: number): void {
    const { clock } = this.#host;
    const due = clock.monotonic() + intervalMs / 2;
    this.#timer = clock.setTimer(() => {
      const now = clock.monotonic();
      // After a blocked event loop the broker's words may still lie unread in the socket: look again later.
      const blocked = now - due > intervalMs / 2;
      if (!blocked && now - this.#lastHeard >= intervalMs * SILENT_PING_INTERVALS) {
        return this.destroy(`the broker was silent for ${SILENT_PING_INTERVALS} ping intervals`);
      }
      if (now - this.#lastSent >= intervalMs || now - this.#lastHeard >= intervalMs) this.ping();
      this.#watch(intervalMs);
    }, intervalMs / 2);
  }

  #flush(): void {
    if (this.#state.kind !== "open" && this.#state.kind !== "leaving") return;
    while (!this.outbox.empty && this.#link.writable) this.#send(this.outbox.next());
    if (this.#state.kind === "leaving" && this.outbox.empty) {
      this.#state = { kind: "ended" };
      this.#link.end();
    }
  }

  #send(frame: WorkerFrame): void {
    this.#lastSent = this.#host.clock.monotonic();
    this.#link.send({ $typeName: "queuecall.v1.WorkRequest", kind: { case: "frame", value: frame } });
  }

  #close(end: LinkEnd): void {
    if (this.closed) return;
    this.#state = { kind: "closed", end };
    this.#timer.cancel();
    this.#link.destroy();
    this.#host.closed(this, end);
  }
}

function termsOf(welcome: Welcome): Terms {
  return {
    brokerId: welcome.brokerId,
    leaseMs: welcome.lease ? durationMs(welcome.lease) : DEFAULT_LEASE_MS,
    pingIntervalMs: welcome.pingInterval ? durationMs(welcome.pingInterval) : DEFAULT_PING_INTERVAL_MS,
    maxMessageBytes: Number(welcome.maxMessageBytes) || maxMessageBytes(0),
  };
}
