/**
 * One delivery and the handler that runs it.
 *
 *   waiting ──start──► running ──outcome──► settling ──answered──► over
 *      └────────── lease lost, at any time ──────────────────────► over
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Payload, ProgressSchema } from "../gen/queuecall/v1/job_pb.js";
import type { Delivery } from "../gen/queuecall/v1/worker_pb.js";
import { type ProgressReport, ProgressReportSchema } from "../gen/queuecall/v1/worker_pb.js";
import type { Clock, Timer } from "../protocol/clock.ts";
import { Code } from "../protocol/errors.ts";
import { MAX_PROGRESS_DETAILS_BYTES, MAX_PROGRESS_MESSAGE_BYTES, PROGRESS_INTERVAL_MS } from "../protocol/limits.ts";
import { inSpan, type SpanSpec, type TraceSpan } from "../protocol/tracing.ts";
import { AttemptStoppedError, type StopReason } from "./errors.ts";
import { cancelled, clip, completed, failed, failure, type Outcome, released } from "./outcome.ts";

/** What a handler knows of its job. */
export interface JobContext {
  readonly queue: string;
  readonly jobId: string;
  /** "/pkg.Service/Method", or "". */
  readonly method: string;
  /** Which try this is, from 1. */
  readonly attempt: number;
  /** Tries in all. */
  readonly maxAttempts: number;
  /** Rises with every claim of this job id: let your own stores refuse a write with a lower one. */
  readonly fence: bigint;
  /** What the caller sent along, such as trace context. */
  readonly headers: Readonly<Record<string, string>>;
  /** When the job was accepted; the broker's clock. */
  readonly enqueueTime: Date;
  /** When this attempt is stopped, if the job has a run timeout; this machine's clock. */
  readonly deadline?: Date;
  /** How long until then. Milliseconds. */
  readonly timeoutMs?: number;
  /** Aborts when the attempt should stop. Its `reason` is an {@link AttemptStoppedError} that says why. Pass it to fetch and friends. */
  readonly signal: AbortSignal;
  /**
   * Says how far the job is. The newest report wins; at most five a second leave.
   * @param current units done
   * @param total units in all. Default 0, unknown
   * @param message for people; cut at 1 KiB
   * @param details anything JSON, or bytes
   * @throws RangeError where `details` takes more than 16 KiB
   */
  progress(current: number, total?: number, message?: string, details?: unknown): void;
  /** Hands the job back: whatever the handler returns or throws is dropped, the try is not counted, and the job is offered again at once. */
  release(): void;
}

/** A result, and what goes along with it: lower-case names, values of names in "-bin" in base64. */
export interface Answer {
  payload: Payload;
  headers?: Record<string, string>;
}

/** Decodes, calls the handler, encodes. Rejects with what the handler threw. */
export type Task = (payload: Payload | undefined, ctx: JobContext) => Promise<Answer>;

/** What an attempt needs of the session around it. */
export interface AttemptHost {
  readonly clock: Clock;
  /** Whether to make a span of it. */
  readonly tracing: boolean;
  encode(details: unknown): Payload;
  /** Answers false while there is no stream to send it on. */
  report(attempt: Attempt, report: ProgressReport): boolean;
  /** It ran longer than the job's run timeout. */
  timedOut(attempt: Attempt): void;
}

export class Attempt {
  /** The lease token as text: what the attempt is known by. */
  readonly token: string;
  readonly delivery: Delivery;
  readonly #task: Task | undefined;
  phase: "waiting" | "running" | "settling" | "over" = "waiting";
  /** The lease counts from here at least. Monotonic milliseconds. */
  confirmedAt: number;
  readonly #host: AttemptHost;
  readonly #controller = new AbortController();
  readonly #deadline: number | undefined;
  readonly #timeout: Timer | undefined;
  #why: StopReason | undefined;
  #released = false;
  #progress: MessageInitShape<typeof ProgressSchema> | undefined;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #reporting: Timer | undefined;

  /** @param token the delivery's, as text */
  constructor(token: string, delivery: Delivery, task: Task | undefined, host: AttemptHost) {
    this.token = token;
    this.delivery = delivery;
    this.#task = task;
    this.#host = host;
    this.confirmedAt = host.clock.monotonic();
    const { runTimeoutLeft } = delivery;
    if (!runTimeoutLeft) return;
    const leftMs = durationMs(runTimeoutLeft);
    this.#deadline = this.confirmedAt + leftMs;
    this.#timeout = host.clock.setTimer(() => host.timedOut(this), leftMs, { unref: true });
  }

  /** Queue, id and token, as renewals, settlements and reports name a lease. */
  get ref(): { queue: string; jobId: string; leaseToken: Uint8Array } {
    const { queue, jobId, leaseToken } = this.delivery;
    return { queue, jobId, leaseToken };
  }

  get cancelRequested(): boolean {
    return this.#why === "cancel-requested";
  }

  /** Aborts the handler. The latest reason decides what a rejection means; the signal keeps the first. */
  stop(why: StopReason, message: string): void {
    if (this.phase === "settling" || this.phase === "over") return;
    this.#why = why;
    this.#controller.abort(new AttemptStoppedError(why, message));
  }

  /** What to settle once a handler gave up because it was asked to. The broker knows best: where the lease is gone it says so. */
  stopped(): Outcome {
    if (this.#why === "cancel-requested") return cancelled;
    if (this.#why === "run-timeout")
      return failure(Code.DEADLINE_EXCEEDED, "the attempt ran longer than the job's run timeout");
    return released;
  }

  /** The handler runs or will, and nothing has told it that the lease may be gone. */
  get trusting(): boolean {
    return (this.phase === "waiting" || this.phase === "running") && this.#why !== "lease-lost";
  }

  /** Nothing follows: answered, or lost. Idempotent. */
  end(): void {
    this.phase = "over";
    this.#timeout?.cancel();
    this.#reporting?.cancel();
  }

  /** Runs the handler to its end. Resolves with what to settle; undefined where it is settled or lost already. Never rejects. */
  run(): Promise<Outcome | undefined> {
    this.phase = "running";
    return inSpan(
      this.#host.tracing,
      () => spanOf(this.delivery),
      (span) => this.#run(span),
    );
  }

  async #run(span: TraceSpan): Promise<Outcome | undefined> {
    try {
      const answer = await this.#task?.(this.delivery.payload, this.#context());
      return this.#outcome(span, () => completed(answer));
    } catch (error) {
      span.failed(error);
      return this.#outcome(span, () => (this.#why ? this.stopped() : failed(error)));
    } finally {
      this.#reporting?.cancel();
    }
  }

  #outcome(span: TraceSpan, own: () => Outcome): Outcome | undefined {
    const outcome = this.phase !== "running" ? undefined : this.#released ? released : own();
    span.note("queuecall.outcome", outcome?.case ?? "lost");
    return outcome;
  }

  #context(): JobContext {
    const { queue, jobId, method, attempt, maxAttempts, fence, headers, enqueueTime } = this.delivery;
    const { clock } = this.#host;
    return {
      queue,
      jobId,
      method,
      attempt,
      maxAttempts,
      fence,
      headers,
      enqueueTime: enqueueTime ? timestampDate(enqueueTime) : new Date(clock.now()),
      ...(this.#deadline !== undefined && timesUntil(this.#deadline, clock)),
      signal: this.#controller.signal,
      progress: (current, total = 0, message = "", details) => this.#report(current, total, message, details),
      release: () => {
        this.#released = true;
      },
    };
  }

  #report(current: number, total: number, message: string, details: unknown): void {
    const payload = details === undefined ? undefined : this.#host.encode(details);
    if (payload && payload.data.length > MAX_PROGRESS_DETAILS_BYTES) {
      throw new RangeError(
        `progress details take ${payload.data.length} bytes, the limit is ${MAX_PROGRESS_DETAILS_BYTES}`,
      );
    }
    const text = clip(String(message), MAX_PROGRESS_MESSAGE_BYTES);
    this.#progress = { current, total, message: text, ...(payload && { details: payload }) };
    if (!this.#reporting) this.#sendReport();
  }

  /** The newest report, now or once the interval since the last one is over. */
  #sendReport(): void {
    const { clock } = this.#host;
    this.#reporting = undefined;
    if (this.#progress === undefined || this.phase !== "running") return;
    const wait = this.#reportedAt + PROGRESS_INTERVAL_MS - clock.monotonic();
    if (wait <= 0) {
      const report = create(ProgressReportSchema, { ...this.ref, progress: this.#progress });
      this.#reportedAt = clock.monotonic();
      if (this.#host.report(this, report)) {
        this.#progress = undefined;
        return;
      }
    }
    this.#reporting = clock.setTimer(() => this.#sendReport(), wait > 0 ? wait : PROGRESS_INTERVAL_MS, { unref: true });
  }
}

/** @param deadline monotonic milliseconds */
function timesUntil(deadline: number, clock: Clock): { deadline: Date; timeoutMs: number } {
  const timeoutMs = Math.max(0, deadline - clock.monotonic());
  return { deadline: new Date(clock.now() + timeoutMs), timeoutMs };
}

function spanOf({ queue, jobId, attempt, maxAttempts, headers, payload }: Delivery): SpanSpec {
  const attributes = {
    "messaging.message.body.size": payload?.data.length ?? 0,
    "queuecall.attempt": attempt,
    "queuecall.max_attempts": maxAttempts,
  };
  const about = { name: `${queue} process`, kind: "consumer", queue, jobId, attributes, parent: headers } as const;
  return { ...about, operation: "process", operationType: "process" };
}

export function tokenText(token: Uint8Array): string {
  return Buffer.from(token.buffer, token.byteOffset, token.byteLength).toString("latin1");
}
