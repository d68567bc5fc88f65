/**
 * One logical call: as many sends as it takes, one answer, in time.
 *
 *   send ──► answer                              resolve
 *    ▲  └──► refusal                             reject
 *    │  └──► no broker, drain, broken stream ──► back off, next broker
 *    └───────────────────────────────────────────┘
 *   timeout, abort, close, at any time           reject at once
 *
 * Sending again is always safe: enqueues carry a request id, the rest is so by nature.
 */

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type CallOptions as ConnectOptions } from "@connectrpc/connect";
import { WaitTimeoutSchema } from "../gen/queuecall/v1/broker_pb.js";
import { reconnectMs } from "../protocol/backoff.ts";
import type { Clock, Timer } from "../protocol/clock.ts";
import type { Dated, Deadlines } from "../protocol/deadlines.ts";
import {
  BrokerUnavailableError,
  fromConnectError,
  QueuecallError,
  reasonOf,
  retryAfterMsOf,
  TimeoutError,
} from "./errors.ts";
import { grpcTimeout } from "./grpc-timeout.ts";
import type { RetryOptions } from "./options.ts";
import { NotSentError } from "./transport/connection.ts";
import type { BrokerClient, BrokerLink, Links } from "./transport/links.ts";

/** The RPC's own deadline is this much later than the caller's, so that the broker's answer comes first. */
const DEADLINE_SLACK_MS = 1_000;
/** A timeout of 0 asks for what is there; the asking itself may take this long. */
const POLL_MS = 1_000;
/**
 * At the timeout, a broker that holds the wait ends it too, and its answer says what has become of the job: it gets this
 * long to arrive. A broker that is silent costs the caller no more than that.
 */
const LAST_WORD_MS = 50;
/** An attempt that held this long was none of a series of failures: its back-off starts afresh. */
const STEADY_MS = 5_000;
/** After a failure, an attempt is taken to wait for its job once it has held this long; until then it may fail like the last. */
const HELD_MS = 1_000;
/** Two clocks agree on the length of a wait to within this. */
const CLOCK_TOLERANCE_MS = 50;

/** Why nobody waits any more. Without a reason of its own, each abort would make an exception with a stack. */
const ENDED = Symbol("ended");

/** What all calls of a client share. */
export interface CallContext {
  links: Links;
  clock: Clock;
  retry: RetryOptions | false;
  /** Aborted when the client closes. */
  closing: AbortSignal;
  /** Calls under way, by when their time is over. The client tells them when it closes. */
  open: Deadlines<CallUnderWay>;
}

export interface CallUnderWay extends Dated {
  expire(): void;
  closed(reason: unknown): void;
}

export interface CallSpec<T> {
  queue: string;
  jobId: string;
  /** Milliseconds for everything. */
  timeoutMs: number;
  signal: AbortSignal | undefined;
  /** The call waits for a job's outcome: being out of time is then a TimeoutError, provided that a broker is there. */
  waits: boolean;
  /** One attempt. `leftMs` is what remains of the timeout. */
  send(broker: BrokerClient, leftMs: number, options: ConnectOptions): Promise<T>;
  /** Runs after an abort; the attempt under way is ended only after it. */
  onAbort?: (() => Promise<void>) | undefined;
}

/** @throws QueuecallError, or the signal's reason */
export function callBroker<T>(context: CallContext, spec: CallSpec<T>): Promise<T> {
  return new Call(context, spec).run();
}

interface Attempt {
  link: BrokerLink;
  rpc: AbortController;
  begun: number;
  /** What was left of the timeout then. Milliseconds. */
  leftMs: number;
  /** Set once the call's time is over. */
  limit: Timer | undefined;
}

class Call<T> implements CallUnderWay {
  until: number;
  place = -1;
  readonly #context: CallContext;
  readonly #spec: CallSpec<T>;
  readonly #answer = Promise.withResolvers<T>();
  readonly #deadline: number;
  /** Nobody waits for the answer any more. */
  #over = false;
  /** Ends a pause before the next attempt. */
  #wake: AbortController | undefined;
  /** The time is over: an attempt may hear the broker's answer, no more. */
  #expired = false;
  #attempt: Attempt | undefined;
  /** Whether the broker may have acted, or is known to have stored the job. */
  #accepted: "no" | "unknown" | "yes" = "no";
  #lastError: unknown;
  /** In a row. */
  #failures = 0;
  /** After the time is over: for the broker's last word. */
  #timer: Timer | undefined;

  constructor(context: CallContext, spec: CallSpec<T>) {
    this.#context = context;
    this.#spec = spec;
    this.#deadline = context.clock.monotonic() + spec.timeoutMs;
    this.until = spec.timeoutMs === 0 ? this.#deadline + POLL_MS : this.#deadline;
  }

  run(): Promise<T> {
    const { signal } = this.#spec;
    const { closing, open } = this.#context;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (closing.aborted) return Promise.reject(closing.reason);

    // This is what keeps the process alive during the call, and what ends it even if no RPC ever settles.
    open.add(this);
    signal?.addEventListener("abort", this);
    this.#try(this.#spec.timeoutMs);
    return this.#answer.promise;
  }

  closed(reason: unknown): void {
    this.#reject(reason);
  }

  /** The signal was aborted. */
  handleEvent(): void {
    void this.#abort();
  }

  /** One attempt: the answer resolves the call. */
  #try(leftMs: number): void {
    const { links, clock } = this.#context;
    const link = links.current;
    const begun = clock.monotonic();
    const attempt: Attempt = { link, rpc: new AbortController(), begun, leftMs, limit: undefined };
    this.#attempt = attempt;
    if (this.#expired) this.#limit(attempt);
    const patienceMs = this.#spec.timeoutMs === 0 ? POLL_MS : leftMs;
    const headers = { "grpc-timeout": grpcTimeout(patienceMs + DEADLINE_SLACK_MS) };
    this.#spec.send(link.broker, leftMs, { signal: attempt.rpc.signal, headers }).then(
      (answer) => {
        this.#tried(attempt);
        this.#resolve(answer);
      },
      (error) => {
        this.#tried(attempt);
        this.#failed(attempt, error).catch((unexpected) => this.#reject(unexpected));
      },
    );
  }

  #tried({ limit }: Attempt): void {
    limit?.cancel();
    this.#attempt = undefined;
  }

  /** The end of the call, or another attempt after a while. */
  async #failed({ link, begun, leftMs }: Attempt, thrown: unknown): Promise<void> {
    // What is no ConnectError was thrown while reading the answer, which will not become better.
    if (thrown instanceof QueuecallError || thrown instanceof TypeError) return this.#reject(thrown);
    if (this.#over) return;

    const { clock, links, retry } = this.#context;
    const error = ConnectError.from(thrown);
    const reason = reasonOf(error);
    // A broker that is full cannot say whether it has what an earlier send brought.
    const full = this.#accepted !== "no" && reason !== undefined && error.code === Code.ResourceExhausted;
    this.#note(error, reason);
    if (reason === "WAIT_TIMEOUT") {
      // By the broker's clock too the whole wait is over; otherwise its longest wait is shorter than ours.
      if (waitedMs(error) >= leftMs - CLOCK_TOLERANCE_MS) return this.#reject(this.#timeout());
    } else {
      if (retry === false || !(full || isTransient(error, reason))) return this.#reject(this.#failure(error));
      links.leave(link);
    }
    if (clock.monotonic() - begun >= STEADY_MS) this.#failures = 0;
    const { initial, max } = retry || {};
    const backoff = reconnectMs(this.#failures++, clock.random(), initial, max);
    this.#wake = new AbortController();
    await sleep(clock, Math.max(backoff, retryAfterMsOf(error) ?? 0), this.#wake.signal);
    if (!this.#over) this.#try(Math.max(0, this.#deadline - clock.monotonic()));
  }

  /** After a timeout the RPC is left to end by the broker's answer; this ends it where none comes. */
  #limit(attempt: Attempt): void {
    attempt.limit = this.#context.clock.setTimer(() => attempt.rpc.abort(cancelled()), DEADLINE_SLACK_MS, {
      unref: true,
    });
  }

  #note(error: ConnectError, reason: ReturnType<typeof reasonOf>): void {
    this.#lastError = error;
    if (reason === "WAIT_INTERRUPTED" || reason === "WAIT_TIMEOUT") this.#accepted = "yes";
    else if (this.#accepted === "no" && !(error.cause instanceof NotSentError)) this.#accepted = "unknown";
  }

  #failure(error: ConnectError): QueuecallError {
    const failure = fromConnectError(error, this.#spec);
    if (failure instanceof BrokerUnavailableError && error.cause instanceof NotSentError && this.#accepted === "no") {
      return new BrokerUnavailableError(failure.message, "no", failure);
    }
    return failure;
  }

  expire(): void {
    const { queue, jobId, timeoutMs, waits } = this.#spec;
    this.#expired = true;
    if (this.#attempt) this.#limit(this.#attempt);
    if (waits && (this.#accepted === "yes" || this.#isHeld())) {
      this.#timer = this.#context.clock.setTimer(() => this.#reject(this.#timeout()), LAST_WORD_MS);
      return;
    }

    const state = this.#attempt?.link.link.state;
    const accepted = this.#accepted === "no" && (state === undefined || state === "closed") ? "no" : "unknown";
    // Left alone, an attempt that still waits for its connection would be sent once there is one.
    if (accepted === "no") this.#attempt?.rpc.abort(cancelled());
    const last = this.#lastError instanceof ConnectError ? `: ${this.#lastError.rawMessage}` : "";
    const message = `no answer from the broker within ${timeoutMs} ms${last}`;
    this.#reject(new BrokerUnavailableError(message, accepted, { queue, jobId, cause: this.#lastError }));
  }

  /** An attempt is under way with a broker that is there: it is the job that takes its time. */
  #isHeld(): boolean {
    if (this.#attempt?.link.link.state !== "heard") return false;
    return this.#lastError === undefined || this.#context.clock.monotonic() - this.#attempt.begun >= HELD_MS;
  }

  #timeout(): TimeoutError {
    const { queue, jobId, timeoutMs } = this.#spec;
    const cause = this.#lastError;
    const { reason, state, attempt } = TimeoutError.from(cause) ?? {};
    return new TimeoutError(jobId, timeoutMs, { queue, reason, state, attempt, cause });
  }

  async #abort(): Promise<void> {
    const attempt = this.#attempt;
    this.#reject(this.#spec.signal!.reason);
    await this.#spec.onAbort?.();
    attempt?.rpc.abort(cancelled());
  }

  #resolve(answer: T): void {
    this.#end();
    this.#answer.resolve(answer);
  }

  #reject(error: unknown): void {
    this.#end();
    this.#answer.reject(error);
  }

  #end(): void {
    this.#over = true;
    this.#wake?.abort(ENDED);
    this.#timer?.cancel();
    this.#spec.signal?.removeEventListener("abort", this);
    this.#context.open.delete(this);
  }
}

/** Whether another try, perhaps with another broker, can help. */
export function isTransient(error: ConnectError, reason = reasonOf(error)): boolean {
  switch (reason) {
    case "ENQUEUE_UNCONFIRMED":
      return true;
    case undefined:
      // An RPC deadline that fired before ours: cut short on the way.
      return error.code === Code.Unavailable || error.code === Code.DeadlineExceeded || isBroken(error);
    default:
      return error.code === Code.Unavailable;
  }
}

/** The connection broke, as opposed to an answer: an interceptor's errors and a broker's are the caller's to see. */
function isBroken(error: ConnectError): boolean {
  if (error.isWireError) return false;
  if (error.rawMessage.startsWith("protocol error:") || error.rawMessage.startsWith("http/2 stream closed"))
    return true;
  if (error.code !== Code.Aborted && error.code !== Code.Internal) return false;
  return typeof (error.cause as NodeJS.ErrnoException | undefined)?.code === "string";
}

/** How long the broker says it waited. Milliseconds. */
function waitedMs(error: ConnectError): number {
  const { waited } = error.findDetails(WaitTimeoutSchema)[0] ?? {};
  return waited === undefined ? 0 : durationMs(waited);
}

/** Code.Canceled makes Connect reset the stream with CANCEL; any other reason would look like a fault of ours. */
export function cancelled(): ConnectError {
  return new ConnectError("the call was given up", Code.Canceled);
}

/** Resolves after `ms`, or as soon as the signal is aborted. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = () => resolve();
  const timer = clock.setTimer(wake, ms);
  signal.addEventListener("abort", wake);
  return promise.finally(() => {
    timer.cancel();
    signal.removeEventListener("abort", wake);
  });
}
