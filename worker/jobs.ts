/** What the worker holds: every delivery from its arrival to the broker's last word on it. */
import type { Delivery, Lost, ProgressReport } from "../gen/queuecall/v1/worker_pb.js";
import type { Clock } from "../protocol/clock.ts";
import { plainCodec } from "../protocol/codec.ts";
import { Code } from "../protocol/errors.ts";
import { Table } from "../protocol/table.ts";
import { Attempt, type AttemptHost, type Task, tokenText } from "./attempt.ts";
import type { StopReason } from "./errors.ts";
import type { Logger } from "./logger.ts";
import { failure, type Outcome, released } from "./outcome.ts";
import { Recent } from "./recent.ts";
import { Slots } from "./slots.ts";

/** At least so many tokens of ended attempts are remembered, so that no delivery is ever run twice. */
const REMEMBERED = 1_024;

export interface JobsHost {
  readonly clock: Clock;
  readonly logger: Logger;
  /** A span per attempt. */
  readonly tracing: boolean;
  /** What runs a job. Undefined: nothing here knows this queue and method. */
  find(queue: string, method: string): Task | undefined;
  /** Tells the broker how an attempt ended; `over` follows once that is answered. */
  settle(attempt: Attempt, outcome: Outcome): void;
  /** Answers false while there is no stream to send it on. */
  report(attempt: Attempt, report: ProgressReport): boolean;
  /** Something is held no more, or a handler ended. */
  changed(): void;
}

export class Jobs {
  readonly #host: JobsHost;
  readonly #attemptHost: AttemptHost;
  readonly #attempts = new Table<string, Attempt>();
  readonly #ended = new Recent(REMEMBERED);
  readonly #slots: Slots;

  constructor(concurrency: number, host: JobsHost) {
    this.#host = host;
    this.#slots = new Slots(concurrency, {
      clock: host.clock,
      ended: (attempt, outcome) => this.#ran(attempt, outcome),
    });
    this.#attemptHost = {
      clock: host.clock,
      tracing: host.tracing,
      encode: (details) => ({ $typeName: "queuecall.v1.Payload", ...plainCodec().encode(details) }),
      report: (attempt, report) => host.report(attempt, report),
      timedOut: (attempt) => this.#stop(attempt, "run-timeout", "the attempt ran longer than the job's run timeout"),
    };
  }

  /** Waiting, running or being settled. */
  get held(): readonly Attempt[] {
    return [...this.#attempts.values()];
  }

  get count(): number {
    return this.#attempts.size;
  }

  /** Handlers that still run although nothing is held for them. */
  get strays(): number {
    return this.#slots.strays;
  }

  /** A job to run, or to settle at once: handed back where `accepting` is false, failed where nothing serves it. */
  deliver(delivery: Delivery, accepting: boolean): void {
    const token = tokenText(delivery.leaseToken);
    if (this.#attempts.has(token) || this.#ended.has(token)) return;
    const { queue, method } = delivery;
    const task = this.#host.find(queue, method);
    const attempt = new Attempt(token, delivery, task, this.#attemptHost);
    this.#attempts.set(token, attempt);
    if (!accepting) return this.#host.settle(attempt, released);
    if (task) return this.#slots.add(attempt);
    const what = method === "" ? `queue ${queue}` : `method ${method} of queue ${queue}`;
    this.#host.settle(attempt, failure(Code.UNIMPLEMENTED, `this worker does not serve ${what}`, true));
  }

  /** The broker restored a lease; `since` is when the stream that asked for it was opened. */
  adopted(leaseToken: Uint8Array, since: number): void {
    const attempt = this.#attempts.get(tokenText(leaseToken));
    if (attempt) attempt.confirmedAt = Math.max(attempt.confirmedAt, since);
  }

  /** A handler that then rejects ends the job CANCELLED; a result still wins. */
  cancel(leaseToken: Uint8Array): void {
    const attempt = this.#attempts.get(tokenText(leaseToken));
    if (!attempt || attempt.cancelRequested) return;
    this.#stop(attempt, "cancel-requested", "the job's cancellation was requested");
  }

  /** The broker gave the job to somebody else. What is being settled is left alone: its own answer is the last word. */
  lost({ leaseToken, reason }: Lost): void {
    const attempt = this.#attempts.get(tokenText(leaseToken));
    if (!attempt || attempt.phase === "settling") return;
    this.#log(attempt, `the lease is lost: ${reason || "the broker said so"}`);
    this.#slots.remove(attempt);
    this.#slots.strand(attempt);
    attempt.stop("lease-lost", "the job is not this worker's any more");
    this.over(attempt);
  }

  /** Nothing proved the lease for too long. It may still hold, so the attempt is stopped, and settled all the same: only the broker knows. */
  doubt(attempt: Attempt): void {
    this.#log(attempt, "no sign of life from the broker: the lease is taken for lost");
    this.#stop(attempt, "lease-lost", "the broker has not answered for nine tenths of the lease");
  }

  /** The broker's last word was heard, or will never be. */
  over(attempt: Attempt): void {
    attempt.end();
    this.#attempts.delete(attempt.token);
    this.#ended.add(attempt.token);
    this.#host.changed();
  }

  /** Hands back what has not started. */
  releaseWaiting(): void {
    for (const attempt of this.#slots.removeAll()) this.#host.settle(attempt, released);
  }

  /** Asks every handler to stop; those that then reject hand their job back. */
  abortRunning(): void {
    const { running } = this.#slots;
    this.#host.logger.warn({ running: running.length }, "the drain took too long: handlers are aborted");
    for (const attempt of running) attempt.stop("worker-stopping", "the worker stops and its drain took too long");
  }

  /** Hands back what still runs, whatever its handlers do. */
  releaseRunning(): void {
    for (const attempt of this.#slots.running) {
      if (attempt.phase !== "running") continue;
      this.#slots.strand(attempt);
      this.#host.settle(attempt, released);
    }
  }

  /** Forgets everything. */
  close(): void {
    for (const attempt of this.#attempts.values()) {
      this.#slots.strand(attempt);
      attempt.end();
    }
    this.#attempts.clear();
  }

  #ran(attempt: Attempt, outcome: Outcome | undefined): void {
    if (outcome && attempt.phase === "running") this.#host.settle(attempt, outcome);
    this.#host.changed();
  }

  /** Asks the handler to stop. What has not started is settled as if it had stopped at once. */
  #stop(attempt: Attempt, why: StopReason, message: string): void {
    attempt.stop(why, message);
    if (this.#slots.remove(attempt)) this.#host.settle(attempt, attempt.stopped());
  }

  #log({ delivery: { queue, jobId, attempt } }: Attempt, message: string): void {
    this.#host.logger.warn({ queue, jobId, attempt }, message);
  }
}
