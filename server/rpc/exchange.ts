/**
 * MultiplexService.Exchange: many unary calls on one stream, through the same
 * methods as ordinary ones. What breaks the protocol ends the stream; what is
 * wrong with one call is answered for that call.
 *
 *   message ──► inbox ──► calls in flight ──► replies ──► frames
 *               ≤ 128 a turn      ≤ 10,000        while the stream is writable
 */
import type { ExchangeCall, ExchangeRequest } from "../../gen/queuecall/v1/multiplex_pb.js";
import { ExchangeRequestSchema, MultiplexService } from "../../gen/queuecall/v1/multiplex_pb.js";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { type Dated, Deadlines } from "../../protocol/deadlines.ts";
import { CallError } from "../../protocol/errors.ts";
import { MAX_CALLS_IN_FLIGHT, PROTOCOL_VERSION } from "../../protocol/limits.ts";
import { Table } from "../../protocol/table.ts";
import type { Call } from "../broker/callers.ts";
import type { Access } from "./access.ts";
import type { ByteLink } from "./byte-link.ts";
import { decode, pathOf, type UnaryMethod } from "./bytes.ts";
import type { Counter } from "./in-flight.ts";
import { ReplyBox } from "./reply-box.ts";
import { RequestBytes } from "./request.ts";
import { durationMs } from "./validate.ts";

export const exchangePath = pathOf(MultiplexService.method.exchange);

const HELLO_TIMEOUT_MS = 10_000;
/** Calls that one stream begins in one turn of the event loop; the others of the process come in between. */
const CALLS_PER_TURN = 128;
/** Calls that crossed the word that the broker drains are still answered for this long. */
const FAREWELL_MS = 1_000;

/** Runs a call of the stream with what its caller is permitted. */
export type Enter = (call: Call, run: (call: Call, access?: Access) => Promise<Uint8Array>) => Promise<Uint8Array>;

export interface ExchangesOptions {
  brokerId: string;
  clock: Clock;
  methods: UnaryMethod[];
  /** Streams at one time. */
  maxStreams: number;
  /** Largest message in either direction. */
  maxMessageBytes: number;
  /** Counts what a drain waits for. */
  calls: Counter;
  /** Told of what should not happen. */
  onBug(error: unknown, path: string): void;
}

/** All such streams of a broker. */
export class Exchanges {
  readonly options: ExchangesOptions;
  readonly methods: ReadonlyMap<string, UnaryMethod>;
  readonly streams = new Set<ExchangeStream>();
  /** Calls with a deadline, of all streams. */
  readonly deadlines: Deadlines<CallInFlight>;
  draining = false;

  constructor(options: ExchangesOptions) {
    this.options = options;
    this.deadlines = new Deadlines(options.clock, (call) => call.expire());
    this.methods = new Map(options.methods.map((method) => [method.path, method]));
  }

  /** @throws CallError RATE_LIMITED */
  open(link: ByteLink, enter: Enter): ExchangeStream {
    const { maxStreams } = this.options;
    if (this.streams.size >= maxStreams) throw tooMany(maxStreams);
    const stream = new ExchangeStream(this, link, enter);
    this.streams.add(stream);
    return stream;
  }

  /** Sends callers elsewhere; streams end once their replies are out. */
  drain(): void {
    this.draining = true;
    for (const stream of this.streams) stream.drain();
  }
}

/** One stream. Feed it what arrives. */
export class ExchangeStream {
  readonly #all: Exchanges;
  readonly #link: ByteLink;
  readonly #enter: Enter;
  readonly #replies: ReplyBox;
  readonly #calls = new Table<number, CallInFlight>();
  /** Arrived and not begun. */
  readonly #inbox = new Table<number, ExchangeCall>();
  #pumping = false;
  #greeted = false;
  #callerEnded = false;
  #over = false;
  /** Until hello; after it, the time to say farewell. */
  #timer: Timer;
  #drained: (() => void) | undefined;
  #farewell = false;

  constructor(all: Exchanges, link: ByteLink, enter: Enter) {
    const { clock } = all.options;
    this.#all = all;
    this.#link = link;
    this.#enter = enter;
    this.#replies = new ReplyBox(clock, link, () => this.#proceed());
    this.#timer = clock.setTimer(() => this.#end(violation("no hello within 10 s")), HELLO_TIMEOUT_MS, { unref: true });
  }

  message(bytes: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#read(decode(ExchangeRequestSchema, bytes));
    } catch (error) {
      const malformed = error instanceof CallError && error.reason === "INVALID_FIELD";
      this.#end(malformed ? violation(error.message) : (error as Error));
    }
  }

  writable(): void {
    this.#replies.flush();
    this.#proceed();
  }

  /** The caller has no more calls. */
  ended(): void {
    this.#callerEnded = true;
    this.#proceed();
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.#all.streams.delete(this);
    this.#replies.close();
    this.#inbox.clear();
    for (const call of this.#calls.values()) {
      this.#all.deadlines.delete(call);
      call.gone();
    }
    this.#calls.clear();
    this.#drained?.();
  }

  drain(): void {
    const { calls, clock } = this.#all.options;
    if (this.#drained || this.#over) return;
    this.#drained = calls.begin();
    this.#replies.say((frame) => (frame.drain = { reason: "shutdown" }));
    if (!this.#greeted) return this.#end(new CallError("BROKER_DRAINING", "this broker is shutting down"));
    this.#timer = clock.setTimer(() => {
      this.#farewell = true;
      this.#proceed();
    }, FAREWELL_MS);
  }

  #read({ hello, calls, cancels, ping }: ExchangeRequest): void {
    if (!this.#greeted) this.#greet(hello);
    else if (hello) throw violation("hello is for the first message only");
    for (const call of calls) this.#take(call);
    this.#pump();
    for (const { callId } of cancels) this.#cancel(callId);
    if (ping) this.#replies.say((frame) => (frame.pong = { nonce: ping.nonce }));
    this.#proceed();
  }

  #greet(hello: ExchangeRequest["hello"]): void {
    if (!hello) throw violation("the first message has no hello");
    if (hello.protocolVersion < PROTOCOL_VERSION) {
      const text = `protocol_version ${hello.protocolVersion} is not spoken here; send ${PROTOCOL_VERSION}`;
      const version = String(PROTOCOL_VERSION);
      throw new CallError("PROTOCOL_VERSION", text, { metadata: { min: version, max: version } });
    }
    this.#greeted = true;
    this.#timer.cancel();
    const { brokerId, maxMessageBytes } = this.#all.options;
    this.#replies.say((frame) => {
      frame.welcome = {
        protocolVersion: PROTOCOL_VERSION,
        brokerId,
        maxInFlight: MAX_CALLS_IN_FLIGHT,
        maxMessageBytes: BigInt(maxMessageBytes),
      };
    });
    if (this.#all.draining) this.drain();
  }

  #take(call: ExchangeCall): void {
    const { callId } = call;
    if (this.#calls.has(callId) || this.#inbox.has(callId)) throw violation(`call_id ${callId} is in flight already`);
    this.#inbox.set(callId, call);
  }

  /** Begins what has arrived, a part of it in each turn; reads no more meanwhile. */
  #pump(): void {
    if (this.#pumping) return;
    let begun = 0;
    for (const call of this.#inbox.values()) {
      if (++begun > CALLS_PER_TURN) break;
      this.#inbox.delete(call.callId);
      this.#begin(call);
    }
    if (this.#inbox.size > 0) {
      this.#pumping = true;
      this.#all.options.clock.defer(() => {
        this.#pumping = false;
        this.#pump();
      });
    }
    this.#proceed();
  }

  #begin({ callId, method, timeout, message }: ExchangeCall): void {
    try {
      if (this.#calls.size >= MAX_CALLS_IN_FLIGHT) throw crowded();
      const handler = this.#all.methods.get(method);
      if (!handler) throw new CallError("NO_SUCH_SERVICE", `there is no unary method ${method}`);
      this.#run(callId, handler, durationMs("timeout", timeout, { zero: true }), new RequestBytes(message));
    } catch (error) {
      this.#replies.refuse(callId, error);
    }
  }

  #run(callId: number, method: UnaryMethod, deadlineMs: number | undefined, request: RequestBytes): void {
    const { clock, calls } = this.#all.options;
    const call = new CallInFlight(this, callId, method.path, deadlineMs, clock.monotonic());
    this.#calls.set(callId, call);
    if (deadlineMs !== undefined) this.#all.deadlines.add(call);
    calls.enter();
    call.answerWith(this.#enter(call, (inside, access) => method.handle(request.take(), inside, access)));
  }

  answered(call: CallInFlight, answer: Uint8Array): void {
    this.#all.options.calls.leave();
    if (this.#isOver(call)) return;
    this.#replies.answer(call.id, answer);
  }

  refused(call: CallInFlight, error: unknown): void {
    const { calls, onBug } = this.#all.options;
    calls.leave();
    if (!(error instanceof CallError)) onBug(error, call.path);
    if (this.#isOver(call)) return;
    this.#replies.refuse(call.id, error);
  }

  /** Nobody waits for the answer any more; else nobody does from here on. */
  #isOver(call: CallInFlight): boolean {
    if (this.#calls.get(call.id) !== call) return true;
    this.#all.deadlines.delete(call);
    this.#calls.delete(call.id);
    return false;
  }

  expire(callId: number): void {
    this.#giveUp(callId);
    this.#replies.expired(callId);
  }

  #cancel(callId: number): void {
    if (!this.#inbox.delete(callId)) this.#giveUp(callId);
  }

  #giveUp(callId: number): void {
    const call = this.#calls.get(callId);
    if (!call) return;
    this.#all.deadlines.delete(call);
    this.#calls.delete(callId);
    call.gone();
  }

  /** After each step: whether to read on, and whether the end has come. */
  #proceed(): void {
    if (this.#over) return;
    this.#link.read(this.#inbox.size === 0 && this.#link.writable);
    const idle = this.#calls.size === 0 && this.#inbox.size === 0 && this.#replies.empty;
    if (idle && (this.#callerEnded || this.#farewell)) this.#end();
  }

  #end(error?: Error): void {
    this.#link.end(error);
    this.closed();
  }
}

/** All that is held for a call, beside what its method holds. */
class CallInFlight implements Call, Dated {
  readonly id: number;
  readonly path: string;
  readonly deadlineMs: number | undefined;
  until: number;
  place = -1;
  readonly #stream: ExchangeStream;
  /** Mostly one: a list for it would be as large as all the rest. */
  #onGone: (() => void) | undefined;

  constructor(stream: ExchangeStream, id: number, path: string, deadlineMs: number | undefined, now: number) {
    this.#stream = stream;
    this.id = id;
    this.path = path;
    this.deadlineMs = deadlineMs;
    this.until = now + (deadlineMs ?? Number.POSITIVE_INFINITY);
  }

  answerWith(answer: Promise<Uint8Array>): void {
    answer.then(
      (bytes) => this.#stream.answered(this, bytes),
      (error) => this.#stream.refused(this, error),
    );
  }

  onGone(fn: () => void): void {
    const before = this.#onGone;
    this.#onGone = before
      ? () => {
          before();
          fn();
        }
      : fn;
  }

  expire(): void {
    this.#stream.expire(this.id);
  }

  gone(): void {
    const fn = this.#onGone;
    this.#onGone = undefined;
    fn?.();
  }
}

function crowded(): CallError {
  const text = `${MAX_CALLS_IN_FLIGHT} calls of this stream are in flight, its limit; wait for replies, or open another`;
  return new CallError("RATE_LIMITED", text, {
    metadata: { max_in_flight: String(MAX_CALLS_IN_FLIGHT) },
    retryAfterMs: 100,
  });
}

function tooMany(maxStreams: number): CallError {
  const text = `this broker serves ${maxStreams} multiplexed streams at most; share one among your calls, or connect to another broker`;
  const metadata = { limit: "max_exchanges", max_exchanges: String(maxStreams) };
  return new CallError("RATE_LIMITED", text, { metadata, retryAfterMs: 5_000 });
}

function violation(message: string): CallError {
  return new CallError("PROTOCOL_VIOLATION", message);
}
