/** A caller as a process of the simulator: the real client library, and what it was answered, written down. */

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createQueueClient, fromConnectError, type Job, type Queue, type QueueClient } from "../../client/index.ts";
import { statusOf } from "../../client/job.ts";
import { plainCodec } from "../../protocol/codec.ts";
import { endOf, sightOf, succeeded } from "../history/answers.ts";
import type { Called, Event, Returned, Sight } from "../history/events.ts";
import { openSimLink } from "./link.ts";
import type { Network } from "./network.ts";
import type { CallerPlan, CallStep } from "./plan.ts";
import type { Process } from "./time.ts";
import type { Message } from "./wire.ts";

export interface SimCallerOptions {
  plan: CallerPlan;
  brokers: string[];
  process: Process;
  network: Network<Message>;
  record(event: Event): void;
  /** Told of what must not happen. */
  onBug(error: unknown, path: string): void;
}

export class SimCaller {
  readonly process: Process;
  readonly #o: SimCallerOptions;
  readonly #client: QueueClient;
  /** Calls that have not returned. */
  open = 0;

  constructor(options: SimCallerOptions) {
    const { brokers, process, network, plan } = options;
    this.#o = options;
    this.process = process;
    this.#client = createQueueClient({
      ...{ url: brokers, clock: process.clock, tracing: false, logger: silent },
      openLink: openSimLink(network, process, plan.mode),
    });
  }

  async call(step: CallStep): Promise<void> {
    const { record } = this.#o;
    this.open++;
    record({ at: this.#now, by: this.process.name, kind: "called", ...calledOf(step) });
    const answer = await this.#answer(step);
    record({ at: this.#now, by: this.process.name, kind: "returned", call: step.call, ...answer });
    this.open--;
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  get #now(): number {
    return this.process.clock.monotonic();
  }

  async #answer(step: CallStep): Promise<Pick<Returned, "end" | "disposition" | "job" | "reason">> {
    try {
      return { end: "ok", ...(await this.#send(step)) };
    } catch (error) {
      return this.#refusal(step, error);
    }
  }

  async #send(step: CallStep): Promise<Pick<Returned, "disposition" | "job">> {
    const queue: Queue<unknown, string> = this.#client.queue(step.queue);
    const { operation, job: id, timeoutMs: timeout, abortMs } = step;
    const signal = abortMs === undefined ? undefined : this.#abortAfter(abortMs);
    const common = { timeout, signal };
    switch (operation) {
      case "enqueue": {
        const { disposition, job } = await queue.enqueue(id, step.task, { ...common, ...step.options });
        return { disposition, job: sightOf(job, itself) };
      }
      case "enqueue-and-wait": {
        return { job: succeeded(await queue.enqueueAndWait(id, step.task, { ...common, ...step.options })) };
      }
      case "wait":
        if (step.raw) return { job: await this.#waitRaw(step) };
        return { job: succeeded(await queue.wait(id, common)) };
      case "watch":
        for await (const job of queue.watch(id, common)) this.#saw(step, job);
        return {};
      case "get":
        return { job: sightOf(await queue.get(id, common), itself) };
      case "cancel":
        return { job: sightOf(await queue.cancel(id, common), itself) };
      case "retry":
        return { job: sightOf(await queue.retry(id, common), itself) };
      case "update-ttl":
        return { job: sightOf(await queue.updateResultTtl(id, step.options?.resultTtl ?? 60_000, common), itself) };
    }
  }

  /** What the broker says, once, without the library's timer. */
  async #waitRaw({ queue, job, timeoutMs }: CallStep): Promise<Sight> {
    const waitTimeout = durationFromMs(timeoutMs);
    const answer = await this.#client.broker.waitJob({ queue, jobId: job, waitTimeout });
    return sightOf(statusOf(answer.job, plainCodec<string>()), itself);
  }

  #saw({ call }: CallStep, job: Job<string>): void {
    this.#o.record({ at: this.#now, by: this.process.name, kind: "saw", call, job: sightOf(job, itself) });
  }

  #abortAfter(ms: number): AbortSignal {
    const controller = new AbortController();
    this.process.after(ms, () => controller.abort(new Gone()));
    return controller.signal;
  }

  #refusal(step: CallStep, thrown: unknown): Pick<Returned, "end" | "job" | "reason"> {
    if (thrown instanceof Gone) return { end: "gone" };
    const error = fromConnectError(thrown, { queue: step.queue, jobId: step.job });
    const reason = error.reason ?? error.code;
    if (error.code === "CLIENT_CLOSED") return { end: "gone" };
    const end = endOf(error);
    if (end) return end.end === "ok" ? end : { ...end, reason };
    if (reason !== "WRONG_STATE") this.#o.onBug(error, `${step.operation} ${step.call}`);
    return { end: "refused", reason };
  }
}

const silent = { warn() {} };

class Gone extends Error {}

function calledOf(step: CallStep): Omit<Called, "at" | "by" | "kind"> {
  const { call, operation, queue, job, timeoutMs, task, options = {}, raw } = step;
  const { onDuplicate, resultTtl, runTimeout, maxAttempts } = options;
  // A timeout of 0 asks for what is there, which may take a second. A watch waits as long as there is a broker.
  const waitMs = operation === "watch" ? undefined : timeoutMs === 0 ? 1_000 : timeoutMs;
  return {
    ...{ call, operation, queue, job },
    ...(waitMs !== undefined && { waitMs }),
    ...(timeoutMs === 0 && { poll: true as const }),
    ...(raw && { raw }),
    ...(task && { onDuplicate: onDuplicate ?? "join" }),
    ...(resultTtl !== undefined && { resultTtlMs: resultTtl }),
    ...(operation === "update-ttl" && { resultTtlMs: resultTtl ?? 60_000 }),
    ...(runTimeout !== undefined && { runTimeoutMs: runTimeout }),
    ...(maxAttempts !== undefined && { maxAttempts }),
  };
}

const itself = (text: string) => text;
