/** What happens to jobs, and who is to know: waiters here, brokers that have some, workers, the ticker, the observer. */
import type { Clock } from "../../protocol/clock.ts";
import { isTerminal } from "../job/job.ts";
import type { Changed, Claimed, Storage } from "../storage/storage.ts";
import type { Observer } from "./observer.ts";
import { deliveryLeaseMs } from "./session.ts";
import type { Waiters } from "./waiters.ts";

export interface NewsOptions {
  clock: Clock;
  storage: Storage;
  leaseMs: number;
  observer: Observer;
  waiters: Waiters;
  /** One more job of the queue is in line. */
  queued(queue: string): void;
  /** The queue may need a tick within `inMs`; without it, at its ordinary pace. */
  expectTick(queue: string, inMs?: number): void;
}

export class News {
  readonly #o: NewsOptions;

  constructor(options: NewsOptions) {
    this.#o = options;
  }

  /** A verb changed a job: tell those who wait, here and elsewhere, and bring it to a worker. */
  changed({ status, tell, wake, tickInMs }: Changed): void {
    this.watched({ status, tell });
    if (status.state === "queued") this.#o.queued(status.queue);
    for (const broker of wake) this.#o.storage.hint(broker, { kind: "ready", queue: status.queue });
    this.#o.expectTick(status.queue, tickInMs);
  }

  /** It was leased as it was stored. */
  leased({ status, tell }: Pick<Changed, "status" | "tell">): void {
    this.watched({ status, tell });
    this.#o.expectTick(status.queue);
  }

  /** A claim or a tick found that a job's time had come. */
  timeChanged(changed: Changed): void {
    this.changed(changed);
    if (isTerminal(changed.status.state)) this.#o.observer.ended(changed.status);
  }

  started(job: Claimed): void {
    this.watched(job);
    // A queue that was idle is looked at again as soon as its lease may be over.
    const inMs = deliveryLeaseMs(this.#o.leaseMs);
    this.#o.expectTick(job.queue, job.runTimeoutLeftMs > 0 ? Math.min(inMs, job.runTimeoutLeftMs) : inMs);
    // The two clocks may differ by what storages on other machines are allowed to.
    const waitedMs = job.attempt === 1 ? Math.max(0, this.#o.clock.now() - job.createTime) : undefined;
    this.#o.observer.started(job, waitedMs);
  }

  watched({ status, tell }: Pick<Changed, "status" | "tell">): void {
    this.#o.waiters.notify(status);
    const { queue, jobId, version } = status;
    for (const broker of tell) this.#o.storage.hint(broker, { kind: "changed", queue, jobId, version, status });
  }
}
