/** A worker as a process of the simulator: the real library, on a simulated stream, with handlers that do what their jobs say. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  Settled_Result,
  type WorkRequest,
  WorkRequestSchema,
  type WorkResponse,
  WorkResponseSchema,
} from "../../gen/queuecall/v1/worker_pb.js";
import { workPath } from "../../server/rpc/worker-service.ts";
import { tokenText } from "../../worker/attempt.ts";
import {
  type AttemptStoppedError,
  createWorker,
  type JobContext,
  NonRetryableError,
  type Worker,
} from "../../worker/index.ts";
import type { Dial } from "../../worker/link.ts";
import type { Event, Settled, Stopped } from "../history/events.ts";
import type { Network } from "./network.ts";
import type { Task, WorkerPlan } from "./plan.ts";
import type { Process } from "./time.ts";
import { type Message, Wire } from "./wire.ts";

/** Longest that a handler waits to be stopped. Milliseconds. */
const STOPPED_MS = 12_000;

export interface SimWorkerOptions {
  plan: WorkerPlan;
  brokers: string[];
  process: Process;
  network: Network<Message>;
  record(event: Event): void;
  /** How often a payload has been started, this time included. */
  starts(call: string): number;
  /** A handler has taken its process down. */
  killed(): void;
}

/** The library's worker; `run` and `close` are its own. */
export function createSimWorker(options: SimWorkerOptions): Worker {
  const { plan, brokers, process } = options;
  const { concurrency, window, queues, name } = plan;
  const worker = createWorker({
    ...{ url: brokers, workerId: name, concurrency, window, clock: process.clock, dial: dial(options), tracing: false },
    drainTimeout: plan.drainTimeoutMs,
    logger: silent,
  });
  for (const queue of queues) worker.handle<Task>(queue, (task, ctx) => handle(options, task, ctx));
  return worker;
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

async function handle({ process, record, starts, killed }: SimWorkerOptions, task: Task, ctx: JobContext) {
  const { queue, jobId: job, attempt, signal } = ctx;
  const about = { by: process.name, queue, job, fence: Number(ctx.fence) };
  const now = () => process.clock.monotonic();
  record({ at: now(), kind: "started", ...about, payload: task.call, attempt });
  signal.addEventListener("abort", () => {
    const { why } = signal.reason as AttemptStoppedError;
    record({ at: now(), kind: "stopped", ...about, why: why as Stopped["why"] });
  });
  const completes = task.then === "complete" || starts(task.call) >= (task.completeFrom ?? Number.POSITIVE_INFINITY);
  await pause(process, completes || task.then !== "until-stopped" ? task.runMs : STOPPED_MS, signal, task.deafMs);
  const text = `${task.call}#${about.fence}`;
  const finished = (how: "completed" | "failed" | "failed-for-good" | "released") =>
    record({ at: now(), kind: "finished", ...about, how, ...(how !== "released" && { text }) });
  if (signal.aborted && task.deafMs === undefined) throw signal.reason;
  if (completes || task.then === "until-stopped") {
    finished("completed");
    return text;
  }
  switch (task.then) {
    case "release":
      finished("released");
      return ctx.release();
    case "kill-worker":
      killed();
      return undefined;
    case "fail":
      finished("failed");
      throw new Error(text);
    case "fail-for-good":
      finished("failed-for-good");
      throw new NonRetryableError(text);
  }
}

/** Until the time is over, or the handler is told to stop and has heard it. */
function pause(process: Process, ms: number, signal: AbortSignal, deafMs = 0): Promise<void> {
  return new Promise((resolve) => {
    const timer = process.after(ms, resolve);
    signal.addEventListener("abort", () =>
      process.after(deafMs, () => {
        timer.cancel();
        resolve();
      }),
    );
  });
}

/** Streams over the simulated network; what is settled is written down as it passes. */
function dial({ network, process, record }: SimWorkerOptions): Dial {
  const fences = new Map<string, number>();
  return (url, events) => {
    const eyes = new Eyes(process, fences, record);
    let over = false;
    const end = (code: number, message: string) => {
      if (over) return;
      over = true;
      events.ended({ code, message });
    };
    const wire = Wire.dial(network, process, url, { opened() {}, closed: () => end(14, "cannot connect") });
    const stream = wire.stream(workPath, undefined, {
      data(bytes) {
        const message = fromBinary(WorkResponseSchema, bytes);
        eyes.received(message);
        if (!over) events.message(message);
      },
      writable: () => events.writable(),
      status: ({ code, message }) => {
        wire.close();
        end(code, message);
      },
      lost: () => end(14, "the connection was closed"),
    });
    return {
      get writable() {
        return stream.writable;
      },
      send(message) {
        eyes.sent(message);
        stream.send(toBinary(WorkRequestSchema, message));
      },
      end: () => stream.half(),
      destroy() {
        over = true;
        wire.close();
      },
    };
  };
}

const results: Record<Settled_Result, Settled["result"]> = {
  [Settled_Result.UNSPECIFIED]: "retry",
  [Settled_Result.OK]: "ok",
  [Settled_Result.DUPLICATE]: "duplicate",
  [Settled_Result.LEASE_LOST]: "lease-lost",
  [Settled_Result.REJECTED]: "rejected",
  [Settled_Result.RETRY]: "retry",
};

/** Sees the frames of one stream. */
class Eyes {
  readonly #process: Process;
  /** Of the leases of this process, by token. */
  readonly #fences: Map<string, number>;
  readonly #record: (event: Event) => void;
  readonly #settling = new Map<bigint, Pick<Settled, "queue" | "job" | "fence" | "how">>();

  constructor(process: Process, fences: Map<string, number>, record: (event: Event) => void) {
    this.#process = process;
    this.#fences = fences;
    this.#record = record;
  }

  received({ kind }: WorkResponse): void {
    if (kind.case !== "frame") return;
    for (const { leaseToken, fence } of kind.value.deliveries) this.#fences.set(tokenText(leaseToken), Number(fence));
    for (const { settleId, result } of kind.value.settled) {
      const settling = this.#settling.get(settleId);
      if (!settling) continue;
      const { name, clock } = this.#process;
      this.#record({ at: clock.monotonic(), by: name, kind: "settled", ...settling, result: results[result] });
    }
  }

  sent({ kind }: WorkRequest): void {
    if (kind.case !== "frame") return;
    for (const { settleId, queue, jobId, leaseToken, outcome } of kind.value.settlements) {
      const fence = this.#fences.get(tokenText(leaseToken));
      if (fence === undefined || outcome.case === undefined) continue;
      this.#settling.set(settleId, { queue, job: jobId, fence, how: outcome.case });
    }
  }
}
