/** The calls on one queue, in its own types. */
import { reconnectMs } from "../protocol/backoff.ts";
import type { QueueDefinition } from "../protocol/define-queue.ts";
import { durationOf } from "../protocol/duration.ts";
import { generateJobId } from "../protocol/job-id.ts";
import { DEFAULT_WAIT_MS, MAX_DURATION_MS, REQUEST_ID_BYTES } from "../protocol/limits.ts";
import { inSpan, type SpanSpec, type TraceHeaders, type TraceSpan } from "../protocol/tracing.ts";
import type { Batches } from "./batches.ts";
import { type CallContext, type CallSpec, callBroker, sleep } from "./call.ts";
import { type Disposition, dispositionOf } from "./enums.ts";
import { JobNotFoundError } from "./errors.ts";
import { type Job, type JobStatus, jobOf, type Outcome, resultOf, statusOf } from "./job.ts";
import type { Logger } from "./logger.ts";
import {
  type CallOptions,
  checkBoolean,
  checkJobId,
  checkKnown,
  checkMs,
  duration,
  type EnqueueAndWaitOptions,
  type EnqueueOptions,
  jobSpec,
  known,
  overlay,
  type WaitOptions,
} from "./options.ts";
import { watchJob } from "./watch.ts";

/** How long an abort with `cancelOnAbort` goes on trying to cancel the job. */
const CANCEL_TIMEOUT_MS = 5_000;

/** What `enqueue` answers: a job that had finished comes with its outcome. */
export type EnqueueResult<Response> =
  | { readonly disposition: "created" | "joined"; readonly job: JobStatus<Response> }
  | { readonly disposition: "cached"; readonly job: JobStatus<Response>; readonly outcome: Outcome<Response> };

/** A job that has ended, as the call that waited for it is told. */
export interface Settled<Response> {
  readonly disposition: Disposition;
  readonly job: JobStatus<Response>;
  /** It is a job of the same id with another payload. */
  readonly payloadMismatch: boolean;
}

/**
 * One queue. `id` is a job's deduplication key: 1–256 bytes of UTF-8 without control characters; an empty one is
 * replaced by a UUIDv7. Every call may reject with InvalidRequestError, OverloadedError, BrokerUnavailableError, and
 * with `signal.reason`; an option that does not exist is a TypeError.
 */
export interface Queue<RequestIn, Response> {
  readonly name: string;
  /**
   * Stores the job, or joins the one of this id, and waits for its result.
   * @throws TimeoutError it is not done in time; it goes on
   * @throws JobFailedError, JobCancelledError it ended without a result
   * @throws JobExistsError, JobNotFoundError by `onDuplicate`; its outcome expired during the wait
   */
  enqueueAndWait(id: string, payload: RequestIn, options?: EnqueueAndWaitOptions): Promise<Response>;
  /** Stores the job, or joins the one of this id, and does not wait. @throws JobExistsError by `onDuplicate` */
  enqueue(id: string, payload: RequestIn, options?: EnqueueOptions): Promise<EnqueueResult<Response>>;
  /** Waits for the result of a job that exists. @throws as enqueueAndWait, and JobNotFoundError */
  wait(id: string, options?: WaitOptions): Promise<Response>;
  /** The job as it is now. @throws JobNotFoundError */
  get(id: string, options?: CallOptions): Promise<Job<Response>>;
  /**
   * The job as it is now, then each newer version; ends after the terminal one. Versions in between may be left out.
   * A broken stream is resumed; `timeout` is how long it may take to find a broker again.
   * @throws JobNotFoundError
   */
  watch(id: string, options?: CallOptions): AsyncGenerator<Job<Response>, void>;
  /** Asks for cancellation and answers at once; a finished job stays as it is. @throws JobNotFoundError */
  cancel(id: string, options?: CallOptions): Promise<JobStatus<Response>>;
  /** Runs a failed or cancelled job again, with its stored payload and fresh attempts. @throws JobNotFoundError, InvalidRequestError it succeeded */
  retry(id: string, options?: CallOptions): Promise<JobStatus<Response>>;
  /** Keeps the finished job for `resultTtl` milliseconds (1 s … 365 days): from now, or from its end if that is to come. @throws JobNotFoundError */
  updateResultTtl(id: string, resultTtl: number, options?: CallOptions): Promise<JobStatus<Response>>;
}

/** What the queues of a client share. */
export interface QueueContext extends CallContext {
  defaults: Omit<EnqueueAndWaitOptions, "signal">;
  logger: Logger;
  tracing: boolean;
  batches: Batches;
}

export class TypedQueue<RequestIn, Response> implements Queue<RequestIn, Response> {
  readonly #context: QueueContext;
  readonly #definition: QueueDefinition<RequestIn, unknown, never, Response>;

  constructor(context: QueueContext, definition: QueueDefinition<RequestIn, unknown, never, Response>) {
    this.#context = context;
    this.#definition = definition;
  }

  get name(): string {
    return this.#definition.name;
  }

  enqueueAndWait(id: string, payload: RequestIn, options: EnqueueAndWaitOptions = {}): Promise<Response> {
    return this.settle(id, payload, options, ({ job }) => resultOf(job));
  }

  /**
   * The same, for those who want to know more than the result.
   * @param read what it resolves with; what this throws is the call's error
   */
  async settle<T>(
    id: string,
    payload: RequestIn,
    options: EnqueueAndWaitOptions,
    read: (settled: Settled<Response>) => T,
  ): Promise<T> {
    checkKnown(options, known.enqueueAndWait);
    const { spec, requestId } = this.#request(id, payload, options);
    const waiting = this.#waiting(spec.jobId, options);
    return await this.#traced("wait", spec.jobId, (span) => {
      addTrace(
        spec,
        span.mark(() => this.#span("enqueue", spec.jobId)),
      );
      const settled = this.#call(spec.jobId, waiting, async (broker, leftMs, call) => {
        const answer = await broker.enqueueAndWait({ spec, requestId, waitTimeout: waitTimeout(leftMs) }, call);
        const { payloadMismatch } = answer;
        this.#warnOfMismatch(payloadMismatch, spec.jobId);
        const disposition = dispositionOf(answer.disposition);
        return {
          disposition,
          job: statusOf(answer.job, this.#definition.response, disposition === "cached"),
          payloadMismatch,
        };
      });
      return settled.then(read);
    });
  }

  async enqueue(id: string, payload: RequestIn, options: EnqueueOptions = {}): Promise<EnqueueResult<Response>> {
    checkKnown(options, known.enqueue);
    const { spec, requestId } = this.#request(id, payload, options);
    return this.#traced("enqueue", spec.jobId, (span) => {
      addTrace(spec, span.headers);
      return this.#call(spec.jobId, options, async (broker, leftMs, call) => {
        const answer = await this.#context.batches.enqueue(broker, { spec, requestId }, leftMs, call);
        this.#warnOfMismatch(answer.payloadMismatch, spec.jobId);
        const disposition = dispositionOf(answer.disposition);
        const job = statusOf(answer.job, this.#definition.response, disposition === "cached");
        if (disposition !== "cached") return { disposition, job };
        return { disposition, job, outcome: job.outcome! };
      });
    });
  }

  async wait(id: string, options: WaitOptions = {}): Promise<Response> {
    checkKnown(options, known.wait);
    const waiting = this.#waiting(checkJobId(id), options);
    return this.#traced("wait", id, async () => {
      const status = await this.#call(id, waiting, async (broker, leftMs, call) => {
        const answer = await broker.waitJob({ ...this.#key(id), waitTimeout: waitTimeout(leftMs) }, call);
        return statusOf(answer.job, this.#definition.response);
      });
      return resultOf(status);
    });
  }

  async get(id: string, options: CallOptions = {}): Promise<Job<Response>> {
    checkKnown(options, known.call);
    return this.#call(checkJobId(id), options, async (broker, _, call) =>
      jobOf((await broker.getJob(this.#key(id), call)).job, this.#definition.response),
    );
  }

  watch(id: string, options: CallOptions = {}): AsyncGenerator<Job<Response>, void> {
    checkKnown(options, known.call);
    return watchJob(this.#context, {
      ...this.#key(checkJobId(id)),
      timeoutMs: this.#timeout(options),
      signal: options.signal,
      codec: this.#definition.response,
    });
  }

  async cancel(id: string, options: CallOptions = {}): Promise<JobStatus<Response>> {
    checkKnown(options, known.call);
    return this.#call(checkJobId(id), options, async (broker, _, call) =>
      statusOf((await broker.cancelJob(this.#key(id), call)).job, this.#definition.response),
    );
  }

  async retry(id: string, options: CallOptions = {}): Promise<JobStatus<Response>> {
    checkKnown(options, known.call);
    return this.#call(checkJobId(id), options, async (broker, _, call) =>
      statusOf((await broker.retryJob(this.#key(id), call)).job, this.#definition.response),
    );
  }

  async updateResultTtl(id: string, resultTtl: number, options: CallOptions = {}): Promise<JobStatus<Response>> {
    checkKnown(options, known.call);
    const ttl = duration("resultTtl", resultTtl);
    return this.#call(checkJobId(id), options, async (broker, _, call) =>
      statusOf(
        (await broker.updateResultTtl({ ...this.#key(id), resultTtl: ttl }, call)).job,
        this.#definition.response,
      ),
    );
  }

  /** What every send of one enqueue repeats. */
  #request(id: string, payload: RequestIn, options: EnqueueOptions) {
    const { clock, defaults } = this.#context;
    const jobId = checkJobId(id) || generateJobId(clock);
    const spec = jobSpec(this.name, jobId, this.#definition.request.encode(payload), overlay(defaults, options));
    return { spec, requestId: clock.randomBytes(REQUEST_ID_BYTES) };
  }

  #traced<T>(operation: "enqueue" | "wait", jobId: string, run: (span: TraceSpan) => Promise<T>): Promise<T> {
    return inSpan(this.#context.tracing, () => this.#span(operation, jobId), run);
  }

  #span(operation: "enqueue" | "wait", jobId: string): SpanSpec {
    const about = { name: `${operation} ${this.name}`, operation, ...this.#key(jobId) };
    return operation === "enqueue"
      ? { ...about, kind: "producer", operationType: "send" }
      : { ...about, kind: "client" };
  }

  #key(jobId: string): { queue: string; jobId: string } {
    return { queue: this.name, jobId };
  }

  #call<T>(jobId: string, options: CallOptions & Partial<CallSpec<T>>, send: CallSpec<T>["send"]): Promise<T> {
    const { signal, waits = false, onAbort } = options;
    const timeoutMs = this.#timeout(options);
    return callBroker(this.#context, { queue: this.name, jobId, timeoutMs, signal, waits, onAbort, send });
  }

  #timeout({ timeout }: CallOptions): number {
    return checkMs("timeout", timeout ?? this.#context.defaults.timeout ?? DEFAULT_WAIT_MS);
  }

  #waiting(jobId: string, options: WaitOptions): CallOptions & Pick<CallSpec<never>, "waits" | "onAbort"> {
    const { timeout, signal } = options;
    const cancels = checkBoolean(
      "cancelOnAbort",
      options.cancelOnAbort ?? this.#context.defaults.cancelOnAbort ?? false,
    );
    return { timeout, signal, waits: true, onAbort: cancels ? () => this.#cancelAborted(jobId) : undefined };
  }

  /** The enqueue that was aborted may still be on its way: a job that is not found yet is looked for again. */
  async #cancelAborted(jobId: string): Promise<void> {
    const { clock, logger, closing } = this.#context;
    const end = clock.monotonic() + CANCEL_TIMEOUT_MS;
    for (let tries = 0; ; tries++) {
      try {
        await this.cancel(jobId, { timeout: Math.max(1, end - clock.monotonic()) });
        return;
      } catch (error) {
        if (!(error instanceof JobNotFoundError) || clock.monotonic() >= end) {
          logger.warn({ ...this.#key(jobId), err: error }, "an aborted call could not cancel its job");
          return;
        }
      }
      await sleep(clock, reconnectMs(tries, clock.random()), closing);
    }
  }

  #warnOfMismatch(mismatch: boolean, jobId: string): void {
    if (!mismatch) return;
    const message = "joined a job of the same id whose payload differs; this call's payload was dropped";
    this.#context.logger.warn(this.#key(jobId), message);
  }
}

/** What the caller set itself stays. */
function addTrace(spec: { headers: Record<string, string> }, trace: TraceHeaders): void {
  if (spec.headers.traceparent === undefined) Object.assign(spec.headers, trace);
}

/** Rounded up, so that the broker's wait does not end before ours; the broker clamps it to its own longest. */
function waitTimeout(leftMs: number) {
  return durationOf(Math.ceil(Math.min(leftMs, MAX_DURATION_MS)));
}
