/** A queue whose every call is written into the history, whatever comes of it. */
import type { EnqueueAndWaitOptions, Queue } from "../../client/index.ts";
import { endOf, sightOf, succeeded } from "../history/answers.ts";
import type { Called, Operation, Returned, Sight } from "../history/events.ts";
import type { Record } from "./history-file.ts";
import type { Answer, Request } from "./load.ts";

type End = Pick<Returned, "end"> & Partial<Pick<Returned, "disposition" | "job" | "reason">>;

/** Names calls; one for all queues of a process. */
export function namer(by: string): () => string {
  let calls = 0;
  // A process that is started again is another one, though it goes on in the same file.
  return () => `${by}.${process.pid}.${++calls}`;
}

export class RecordedQueue {
  readonly #queue: Queue<Request, Answer>;
  readonly #record: Record;
  readonly #name: () => string;

  constructor(queue: Queue<Request, Answer>, record: Record, name: () => string) {
    this.#queue = queue;
    this.#record = record;
    this.#name = name;
  }

  enqueueAndWait(job: string, work: Omit<Request, "call">, options: EnqueueAndWaitOptions): Promise<End> {
    const { timeout = 0 } = options;
    return this.#recorded(job, "enqueue-and-wait", { ...aboutEnqueue(options), waitMs: timeout }, async (call) =>
      done(await this.#queue.enqueueAndWait(job, { call, ...work }, options)),
    );
  }

  enqueue(job: string, work: Omit<Request, "call">, options: EnqueueAndWaitOptions): Promise<End> {
    return this.#recorded(job, "enqueue", aboutEnqueue(options), async (call) => {
      const { disposition, job: status } = await this.#queue.enqueue(job, { call, ...work }, options);
      return { end: "ok", disposition, job: sightOf(status, textOf) };
    });
  }

  wait(job: string, timeout: number): Promise<End> {
    return this.#recorded(job, "wait", { waitMs: timeout }, async () => done(await this.#queue.wait(job, { timeout })));
  }

  get(job: string): Promise<End> {
    return this.#recorded(job, "get", {}, async () => ({
      end: "ok",
      job: sightOf(await this.#queue.get(job), textOf),
    }));
  }

  cancel(job: string): Promise<End> {
    return this.#recorded(job, "cancel", {}, async () => ({
      end: "ok",
      job: sightOf(await this.#queue.cancel(job), textOf),
    }));
  }

  watch(job: string, timeout: number): Promise<End> {
    return this.#recorded(job, "watch", {}, async (call) => {
      let last: Sight | undefined;
      for await (const version of this.#queue.watch(job, { timeout })) {
        last = sightOf(version, textOf);
        this.#record({ kind: "saw", call, job: last });
      }
      return { end: "ok", ...(last && { job: last }) };
    });
  }

  async #recorded(
    job: string,
    operation: Operation,
    about: Partial<Called>,
    run: (call: string) => Promise<End>,
  ): Promise<End> {
    const call = this.#name();
    this.#record({ kind: "called", call, queue: this.#queue.name, job, operation, ...about });
    const end = await run(call).catch(endOfCall);
    this.#record({ kind: "returned", call, ...end });
    return end;
  }
}

function aboutEnqueue({ onDuplicate, maxAttempts }: EnqueueAndWaitOptions): Partial<Called> {
  return { ...(onDuplicate && { onDuplicate }), ...(maxAttempts && { maxAttempts }) };
}

const textOf = ({ text }: Answer) => text;
const done = (answer: Answer): End => ({ end: "ok", job: succeeded(textOf(answer)) });

/** What no caller should ever see is named on stderr, which the driver reads. */
function endOfCall(error: unknown): End {
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const end = endOf(error);
  if (!end) console.error(`unexpected: ${reason}`, error);
  return end?.end === "ok" ? end : { end: "unknown", ...end, reason };
}
