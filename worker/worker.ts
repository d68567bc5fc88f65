/** The worker that programs see. */
import { randomUUID } from "node:crypto";
import type { DescService } from "@bufbuild/protobuf";
import { systemClock } from "../protocol/clock.ts";
import { plainCodec } from "../protocol/codec.ts";
import type { QueueDefinition } from "../protocol/define-queue.ts";
import type { Task } from "./attempt.ts";
import { grpcDial } from "./link.ts";
import { consoleLogger } from "./logger.ts";
import { checkOptions, defaultWorkerId, urlsOf, type WorkerOptions } from "./options.ts";
import { type Handler, RouteTable } from "./routes.ts";
import type { ServiceImplementation } from "./service.ts";
import { Session } from "./session.ts";

const DEFAULT_DRAIN_TIMEOUT_MS = 30_000;

/** Takes jobs from queues and runs handlers on them. Made by {@link createWorker}. */
export class Worker implements AsyncDisposable {
  readonly #routes = new RouteTable();
  readonly #session: Session;
  #ran = false;

  /** @internal */
  constructor(options: WorkerOptions) {
    checkOptions(options);
    const {
      concurrency = 1,
      window = concurrency,
      logger = consoleLogger,
      clock = systemClock,
      token,
      tls,
      tracing = true,
    } = options;
    this.#session = new Session(
      {
        urls: urlsOf(options),
        workerId: options.workerId ?? defaultWorkerId(),
        sessionId: randomUUID(),
        concurrency,
        window,
        labels: options.labels ?? {},
        tracing,
        drainTimeoutMs: options.drainTimeout ?? DEFAULT_DRAIN_TIMEOUT_MS,
      },
      { clock, logger, dial: options.dial ?? grpcDial({ token, tls }), routes: this.#routes },
    );
  }

  /**
   * Serves a queue. Handlers may be called for the same job more than once: a job is run at least once.
   * A handler's result ends the job; what it throws is a failure, retried unless it is a NonRetryableError,
   * carries the gRPC code of a final error, or no try is left.
   * @param queue a name (payloads are JSON or bytes), or what defineQueue made
   * @throws TypeError where the queue has a handler already, or the worker runs
   */
  // biome-ignore lint/suspicious/noExplicitAny: without a definition the payload is what the caller sent
  handle<Request = any, Response = unknown>(queue: string, handler: Handler<Request, Response>): this;
  handle<RequestIn, Request, ResponseIn, Response>(
    queue: QueueDefinition<RequestIn, Request, ResponseIn, Response>,
    handler: Handler<Request, ResponseIn>,
  ): this;
  handle(queue: string | QueueDefinition, handler: Handler<unknown, unknown>): this {
    this.#mustNotRun();
    if (typeof queue === "string") this.#routes.addQueue(queue, plainCodec(), plainCodec(), handler);
    else this.#routes.addQueue(queue.name, queue.request, queue.response, handler);
    return this;
  }

  /**
   * Serves a gRPC service with what Connect's `router.service` takes: its full name is the queue, its unary methods the
   * handlers. It is announced, so that any gRPC stub can call it through any broker, also while no worker is connected.
   * A ConnectError's code, details and metadata reach the caller, and so do response headers and trailers. The job behind
   * a call is `context.values.get(jobContext)`.
   * @throws TypeError where a name is no method, none is unary, the service has handlers already, or the worker runs
   */
  service<Service extends DescService>(service: Service, implementation: ServiceImplementation<Service>): this {
    this.#mustNotRun();
    this.#routes.addService(service, implementation);
    return this;
  }

  /** @internal Serves a service whose messages stay bytes. @param descriptorSet absent: any method of it is announced */
  forward(service: string, descriptorSet: Uint8Array | undefined, task: Task): void {
    this.#routes.addForwarded(service, descriptorSet, task);
  }

  /**
   * Connects and works until the signal aborts or `close` is called; then hands back what has not started,
   * lets handlers finish for `drainTimeout`, waits until the broker has confirmed every outcome, and resolves.
   * Brokers that cannot be reached are tried again for ever. Keeps the process alive until it resolves.
   * @throws TypeError where nothing is handled, or it was called before
   */
  async run({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.#mustNotRun();
    if (this.#routes.subscriptions.length === 0)
      throw new TypeError("the worker handles nothing: call handle() before run()");
    this.#ran = true;
    const stop = () => this.#session.drain();
    if (signal?.aborted) stop();
    else if (this.#session.state === "idle") this.#session.start();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      await this.#session.done;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Takes no more jobs until `resume`; those at hand go on. */
  pause(): void {
    this.#session.pause(true);
  }

  /** Takes jobs again. */
  resume(): void {
    this.#session.pause(false);
  }

  /** Drains as an aborted signal does, and resolves when `run` does. Safe to call more than once. */
  async close(): Promise<void> {
    this.#session.drain();
    await this.#session.done;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #mustNotRun(): void {
    if (this.#ran) throw new TypeError("the worker runs already: register handlers first, call run() once");
  }
}

/**
 * Makes a worker. Nothing is opened before `run`.
 * @throws TypeError for an option that is unknown (naming the right one) or out of range
 */
export function createWorker(options: WorkerOptions): Worker {
  return new Worker(options);
}
