/** What the contract tests share: a fresh storage per test, short names for its verbs, and the check of the whole state after each test. */
import { afterEach, beforeEach, describe, expect } from "vitest";
import type { JobSpec } from "../../../server/job/job.ts";
import { findingsIn } from "../../../server/storage/fsck.ts";
import type {
  Claim,
  ClaimAnswer,
  Claimed,
  Enqueue,
  EnqueueAnswer,
  InspectedJob,
  Inspection,
  Settle,
  SettleAnswer,
  SettleOutcome,
  Storage,
  Tick,
  TickAnswer,
} from "../../../server/storage/storage.ts";
import { type Backend, backends, type Opened } from "../../support/storages.ts";
import { completed, failed, LEASE, QUEUE, SECOND, specOf, unique } from "../specs.ts";

export * from "../specs.ts";

/** Runs the suite once for each backend. */
export function onEveryBackend(title: string, suite: (rig: Rig, backend: Backend) => void): void {
  for (const backend of backends) {
    const reason = backend.unavailable;
    describe.skipIf(reason !== undefined)(`${title} on ${backend.name}${reason ? ` (skipped: ${reason})` : ""}`, () => {
      const rig = new Rig(backend);
      beforeEach(() => rig.open());
      afterEach(async () => {
        await rig.close();
      });
      suite(rig, backend);
    });
  }
}

export type Accepted = Extract<EnqueueAnswer, { kind: "accepted" }>;

export class Rig {
  readonly #backend: Backend;
  #opened: Opened | undefined;
  #claims = 0;
  /** Queues whose whole state is checked at the end. */
  readonly queues = new Set<string>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async open(): Promise<void> {
    this.queues.clear();
    this.queues.add(QUEUE);
    this.#opened = await this.#backend.open();
  }

  async close(): Promise<void> {
    const opened = this.opened;
    this.#opened = undefined;
    try {
      for (const queue of this.queues) assertSound(await opened.storage.inspect(queue));
    } finally {
      await opened.close();
    }
  }

  get opened(): Opened {
    if (!this.#opened) throw new Error("no storage is open");
    return this.#opened;
  }

  get storage(): Storage {
    return this.opened.storage;
  }

  advance(ms: number): Promise<void> {
    return this.opened.advance(ms);
  }

  async tryEnqueue(jobId: string, fields: Partial<JobSpec> = {}, more: Partial<Enqueue> = {}): Promise<EnqueueAnswer> {
    const spec = specOf(jobId, fields);
    this.queues.add(spec.queue);
    return this.storage.enqueue({ spec, requestId: unique(), hungryHere: false, ...more });
  }

  async enqueue(jobId: string, fields: Partial<JobSpec> = {}, more: Partial<Enqueue> = {}): Promise<Accepted> {
    const answer = await this.tryEnqueue(jobId, fields, more);
    if (answer.kind !== "accepted") throw new Error(`enqueue of ${jobId}: ${answer.kind}`);
    return answer;
  }

  claimOf(fields: Partial<Claim> = {}): Claim {
    const { max = 16 } = fields;
    return {
      queue: QUEUE,
      lane: "l1",
      claimId: ++this.#claims,
      workerId: "w1",
      max,
      maxBytes: 64 * 1024 * 1024,
      tokens: Array.from({ length: max }, unique),
      leaseMs: LEASE,
      jitter: 0.5,
      ...fields,
    };
  }

  claim(fields: Partial<Claim> = {}): Promise<ClaimAnswer> {
    return this.storage.claim(this.claimOf(fields));
  }

  /** Claims exactly one job. */
  async claimOne(fields: Partial<Claim> = {}): Promise<Claimed> {
    const { jobs } = await this.claim({ max: 1, ...fields });
    expect(jobs, "claimed").toHaveLength(1);
    return jobs[0]!;
  }

  /** Ids that a claim of all there is gets, in order. */
  async claimIds(fields: Partial<Claim> = {}): Promise<string[]> {
    return (await this.claim(fields)).jobs.map(({ jobId }) => jobId);
  }

  settle(job: Claimed, outcome: SettleOutcome, fields: Partial<Settle> = {}): Promise<SettleAnswer> {
    const { queue, jobId, leaseToken } = job;
    return this.storage.settle({ queue, jobId, leaseToken, outcome, jitter: 0.5, hungryHere: false, ...fields });
  }

  /** Settles, and it must be accepted. */
  async settled(
    job: Claimed,
    outcome: SettleOutcome,
    fields: Partial<Settle> = {},
  ): Promise<Extract<SettleAnswer, { kind: "settled" }>> {
    const answer = await this.settle(job, outcome, fields);
    if (answer.kind !== "settled") throw new Error(`settle of ${job.jobId}: ${answer.kind}`);
    return answer;
  }

  tick(fields: Partial<Tick> = {}): Promise<TickAnswer> {
    return this.storage.tick({ queue: QUEUE, jitter: 0.5, hungryHere: false, ...fields });
  }

  inspect(queue = QUEUE): Promise<Inspection> {
    return this.storage.inspect(queue);
  }

  async find(jobId: string, queue = QUEUE): Promise<InspectedJob | undefined> {
    return (await this.inspect(queue)).jobs.find(({ record }) => record.jobId === jobId);
  }

  async job(jobId: string, queue = QUEUE): Promise<InspectedJob> {
    const found = await this.find(jobId, queue);
    if (!found) throw new Error(`no job ${jobId} in ${queue}`);
    return found;
  }

  async record(jobId: string): Promise<InspectedJob["record"]> {
    return (await this.job(jobId)).record;
  }

  /** Brings a job with a fresh id to a state, through the verbs alone. */
  async bring(jobId: string, state: InspectedJob["record"]["state"], fields: Partial<JobSpec> = {}): Promise<Brought> {
    const queue = fields.queue ?? QUEUE;
    const spec = state === "scheduled" ? { delayMs: 100 * SECOND, ...fields } : fields;
    const { status } = await this.enqueue(jobId, spec);
    if (state === "scheduled" || state === "queued") return { status };
    if (state === "cancelled") {
      await this.storage.cancel({ queue, jobId });
      return { status };
    }
    const job = await this.claimOne({ queue });
    if (job.jobId !== jobId) throw new Error(`${job.jobId} was ahead of ${jobId}`);
    if (state === "succeeded") await this.settled(job, completed());
    if (state === "failed") await this.settled(job, failed({ retryable: false }));
    return { status, job };
  }
}

export interface Brought {
  status: Accepted["status"];
  /** The claim that was last made. */
  job?: Claimed;
}

/** Every job is in exactly the indexes that its record says, no index has anything else, and every field fits the state. */
export function assertSound(inspection: Inspection): void {
  expect(findingsIn(inspection)).toEqual([]);
}
