/**
 * Keeps one stream to some broker up: dials, backs off, rotates over the urls,
 * and moves to another broker when this one drains, the new stream first.
 *
 *   idle ──► dialling ──welcome──► online ──broker drains──► dialling (the old stream still serves)
 *               ▲ │                  │
 *        backed │ │ failed           │ stream gone                  finish(), from anywhere:
 *           off │ ▼                  ▼                               ──► leaving ──► closed
 *              resting ◄─────────────┘
 */
import type { BrokerFrame, Hello } from "../gen/queuecall/v1/worker_pb.js";
import { reconnectMs } from "../protocol/backoff.ts";
import type { Clock, Timer } from "../protocol/clock.ts";
import type { Dial, LinkEnd } from "./link.ts";
import type { Logger } from "./logger.ts";
import type { Outbox } from "./outbox.ts";
import { Stream, type StreamHost, type Terms } from "./stream.ts";

/** A stream that lasted this long was a good one: the next failure starts the back-off afresh. */
const STABLE_MS = 5_000;

type State =
  | { kind: "idle" }
  | { kind: "dialling"; next: Stream; old: Stream | undefined }
  | { kind: "resting"; timer: Timer; old: Stream | undefined }
  | { kind: "online"; stream: Stream }
  | { kind: "leaving"; stream: Stream }
  | { kind: "closed" };

export interface ConnectionHost {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What to say first on a new stream. */
  hello(): Hello;
  /** A stream was welcomed; `stream` is it. */
  online(terms: Terms): void;
  frame(stream: Stream, frame: BrokerFrame): void;
  /** A stream that had been online is gone. */
  lost(stream: Stream): void;
  /** After `finish` or `kill`: nothing follows. */
  closed(): void;
}

export class Connection {
  readonly #urls: readonly string[];
  readonly #dial: Dial;
  readonly #host: ConnectionHost;
  readonly #streams: StreamHost;
  #state: State = { kind: "idle" };
  #url = 0;
  #failures = 0;

  constructor(urls: readonly string[], dial: Dial, host: ConnectionHost) {
    this.#urls = urls;
    this.#dial = dial;
    this.#host = host;
    this.#streams = {
      clock: host.clock,
      welcomed: (stream, terms) => this.#welcomed(stream, terms),
      frame: (stream, frame) => host.frame(stream, frame),
      closed: (stream, end) => this.#closed(stream, end),
    };
  }

  /** Where frames can be sent now: while a new stream is dialled, the draining one. */
  get stream(): Stream | undefined {
    const state = this.#state;
    if (state.kind === "online") return state.stream;
    if (state.kind === "dialling" || state.kind === "resting") return state.old;
    return undefined;
  }

  get online(): boolean {
    return this.#state.kind === "online";
  }

  /** Puts something into the outbox of the stream that serves now. Undefined: there is none. */
  say(put: (outbox: Outbox) => void): Stream | undefined {
    const { stream } = this;
    if (!stream?.terms) return undefined;
    put(stream.outbox);
    stream.touch();
    return stream;
  }

  open(): void {
    // Workers that start together do not all begin at the first broker.
    this.#url = Math.floor(this.#host.clock.random() * this.#urls.length);
    this.#dialNext(undefined);
  }

  /** The broker of this stream goes away: open another, and only then leave this one. */
  move(stream: Stream): void {
    if (this.#state.kind !== "online" || this.#state.stream !== stream) return;
    this.#url++;
    this.#dialNext(stream);
  }

  /** Ends for good: what was put into the outbox leaves, what the broker still answers is read. */
  finish(): void {
    const { stream } = this;
    this.#abandon();
    if (!stream) return this.#over();
    this.#state = { kind: "leaving", stream };
    stream.leave();
  }

  /** Ends for good, at once. */
  kill(): void {
    const stream = this.#state.kind === "leaving" ? this.#state.stream : this.stream;
    this.#abandon();
    this.#over();
    stream?.destroy("the worker stopped");
  }

  #abandon(): void {
    const state = this.#state;
    if (state.kind === "resting") state.timer.cancel();
    this.#state = { kind: "idle" };
    if (state.kind === "dialling") state.next.destroy("the worker stopped");
  }

  #over(): void {
    if (this.#state.kind === "closed") return;
    this.#state = { kind: "closed" };
    this.#host.closed();
  }

  #dialNext(old: Stream | undefined): void {
    const url = this.#urls[this.#url % this.#urls.length] as string;
    const next = new Stream(this.#dial, url, this.#host.hello(), this.#streams);
    this.#state = { kind: "dialling", next, old };
  }

  #welcomed(stream: Stream, terms: Terms): void {
    if (this.#state.kind !== "dialling" || this.#state.next !== stream) return stream.leave();
    const { old } = this.#state;
    this.#state = { kind: "online", stream };
    this.#host.logger.info({ url: stream.url, brokerId: terms.brokerId }, "connected");
    this.#host.online(terms);
    old?.leave();
  }

  #closed(stream: Stream, end: LinkEnd): void {
    const state = this.#state;
    switch (state.kind) {
      case "dialling":
        if (stream === state.next) this.#rest(stream, end, state.old);
        else if (stream === state.old) state.old = undefined;
        break;
      case "resting":
        if (stream === state.old) state.old = undefined;
        break;
      case "online":
        if (stream === state.stream) this.#rest(stream, end, undefined);
        break;
      case "leaving":
        if (stream === state.stream) this.#over();
        break;
    }
    this.#host.lost(stream);
  }

  #rest(stream: Stream, end: LinkEnd, old: Stream | undefined): void {
    const { clock, logger } = this.#host;
    if (clock.monotonic() - stream.openedAt >= STABLE_MS) this.#failures = 0;
    const ms = reconnectMs(this.#failures++, clock.random());
    this.#url++;
    logger.warn(
      { url: stream.url, code: end.code, again_in_ms: ms },
      `the stream ended: ${end.message || "no reason given"}`,
    );
    this.#state = { kind: "resting", old, timer: clock.setTimer(() => this.#again(), ms) };
  }

  #again(): void {
    if (this.#state.kind === "resting") this.#dialNext(this.#state.old);
  }
}
