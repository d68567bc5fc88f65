/** What operators can ask of the broker, each as a short list of steps. Bulk steps are the verbs of one job, over a page of a list. */
import type { JobKey, JobState, JobSummary, QueueLimits } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import type {
  Attached,
  AttachedWorker,
  CancelAnswer,
  Changed,
  QueueCounts,
  RetryAnswer,
  Storage,
  StorageInfo,
} from "../storage/storage.ts";
import { workerOf, workersByQueue } from "./attached.ts";
import type { Session } from "./session.ts";

/** Jobs that one call of the storage lists, and that one bulk step works on at a time. */
const STEP = 100;
/** Jobs that one purge cancels. */
const PURGE = 1_000;

/** What it needs of the broker around it. */
export interface AdminHost {
  readonly brokerId: string;
  readonly settings: BrokerSettings;
  readonly storage: Storage;
  readonly draining: boolean;
  readonly waiting: number;
  /** Worker streams that have said hello, in the order in which they came. */
  sessions(): Session[];
  /** Asks the storage, unless the broker is draining; what it throws becomes an error that may cross the wire. */
  ask<T>(verb: () => Promise<T>): Promise<T>;
  hungryHere(queue: string): boolean;
  limitsOf(queue: string): QueueLimits;
  /** A verb changed a job. */
  changed(changed: Changed): void;
  /** A verb asked for the end of a job that a stream holds. */
  cancelled(key: JobKey, answer: Extract<CancelAnswer, { kind: "ok" }>): void;
  /** The queue may have jobs for workers here. */
  look(queue: string): void;
}

export interface ServerInfo {
  brokerId: string;
  storage: StorageInfo;
  settings: BrokerSettings;
  ready: boolean;
  draining: boolean;
  workers: number;
  waiting: number;
}

export interface QueueInfo extends QueueCounts {
  queue: string;
  limits: QueueLimits;
  /** Worker streams that take jobs of the queue, at all brokers. */
  workers: number;
  /** Those of this broker. */
  workersHere: number;
}

/** The workers of a broker. */
export interface BrokerWorkers {
  brokerId: string;
  /** Streams, also those that are not listed. */
  workers: number;
  listed: AttachedWorker[];
}

/** Where a list goes on; undefined at its end. */
export interface Page {
  next?: string;
}

/** Jobs of one state of a queue, from a cursor on. */
export interface Selection {
  queue: string;
  state: JobState;
  limit: number;
  cursor?: string | undefined;
}

export class Admin {
  readonly #host: AdminHost;

  constructor(host: AdminHost) {
    this.#host = host;
  }

  get brokerId(): string {
    return this.#host.brokerId;
  }

  info(): ServerInfo {
    const { brokerId, storage, settings, draining, waiting } = this.#host;
    const workers = this.#host.sessions().length;
    return { brokerId, storage: storage.info, settings, ready: storage.ready, draining, workers, waiting };
  }

  /** A page of queues, with what is in each now. */
  async queues(cursor?: string): Promise<{ queues: QueueInfo[] } & Page> {
    const { storage } = this.#host;
    const { queues, ...page } = await this.#host.ask(() => storage.queues(cursor));
    const here = workersByQueue(this.#host.sessions());
    const others = [...(await this.#others()).values()];
    const infos = queues.map(async (queue) => {
      const counts = await this.#host.ask(() => storage.count(queue));
      const workersHere = here.get(queue) ?? 0;
      const workers = others.reduce((sum, { byQueue }) => sum + (byQueue.get(queue) ?? 0), workersHere);
      return { queue, ...counts, limits: this.#host.limitsOf(queue), workers, workersHere };
    });
    return { queues: await Promise.all(infos), ...page };
  }

  /** A page of jobs, newest first. */
  async jobs({ queue, state, limit, cursor }: Selection): Promise<{ jobs: JobSummary[] } & Page> {
    const jobs: JobSummary[] = [];
    let next = cursor;
    for (let left = limit; left > 0; left -= STEP) {
      const request = { queue, state, limit: Math.min(left, STEP), ...(next !== undefined && { cursor: next }) };
      const page = await this.#host.ask(() => this.#host.storage.list(request));
      jobs.push(...page.jobs);
      next = page.next;
      if (next === undefined) break;
    }
    return { jobs, ...(next !== undefined && { next }) };
  }

  /** The workers of this broker, as they are. */
  workersHere(): BrokerWorkers {
    const listed = this.#host.sessions().map(workerOf);
    return { brokerId: this.brokerId, workers: listed.length, listed };
  }

  /** The workers of all brokers: first those of this one, then those of the others as they last announced them. */
  async workers(): Promise<BrokerWorkers[]> {
    const others = await this.#others();
    return [this.workersHere(), ...[...others].map(([brokerId, attached]) => ({ brokerId, ...attached }))];
  }

  async pause(queue: string): Promise<void> {
    await this.#host.ask(() => this.#host.storage.pause(queue, true));
  }

  /** Hands out jobs again: workers here look at once, other brokers that found nothing are told. */
  async resume(queue: string): Promise<void> {
    const { storage } = this.#host;
    const { wake } = await this.#host.ask(() => storage.pause(queue, false));
    for (const broker of wake) storage.hint(broker, { kind: "ready", queue });
    this.#host.look(queue);
  }

  /** Cancels jobs that wait: first those in line, then those of later. `more`: some may be left. */
  async purge(queue: string): Promise<{ cancelled: number; more: boolean }> {
    let cancelled = 0;
    for (const state of ["queued", "scheduled"] as const) {
      let next: string | undefined;
      do {
        if (cancelled >= PURGE) return { cancelled, more: true };
        const limit = Math.min(STEP, PURGE - cancelled);
        const step = await this.cancelJobs({ queue, state, limit, cursor: next });
        cancelled += step.count;
        next = step.next;
      } while (next !== undefined);
    }
    return { cancelled, more: false };
  }

  retryJobs(selection: Selection): Promise<{ count: number } & Page> {
    return this.#each(selection, (job) => this.#retry(job));
  }

  cancelJobs(selection: Selection): Promise<{ count: number } & Page> {
    return this.#each(selection, (job) => this.#cancel(job));
  }

  async #each(selection: Selection, step: (job: JobSummary) => Promise<boolean>): Promise<{ count: number } & Page> {
    const { jobs, ...page } = await this.jobs(selection);
    let count = 0;
    for (let i = 0; i < jobs.length; i += STEP) {
      const done = await Promise.all(jobs.slice(i, i + STEP).map(step));
      count += done.filter(Boolean).length;
    }
    return { count, ...page };
  }

  async #retry({ queue, jobId, state }: JobSummary): Promise<boolean> {
    const { storage } = this.#host;
    const request = { hungryHere: this.#host.hungryHere(queue), onlyIn: state };
    const answer: RetryAnswer = await this.#host.ask(() => storage.retry({ queue, jobId }, request));
    if (answer.kind !== "ok") return false;
    this.#host.changed(answer);
    return true;
  }

  async #cancel({ queue, jobId, state }: JobSummary): Promise<boolean> {
    const key = { queue, jobId };
    const answer = await this.#host.ask(() => this.#host.storage.cancel(key, { onlyIn: state }));
    if (answer.kind !== "ok") return false;
    this.#host.cancelled(key, answer);
    return true;
  }

  async #others(): Promise<Map<string, Attached>> {
    const announced = await this.#host.ask(() => this.#host.storage.announced());
    announced.delete(this.brokerId);
    return announced;
  }
}
