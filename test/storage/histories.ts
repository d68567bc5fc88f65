/** Random histories of verbs for the lockstep: made from a seed alone, so that a failure can be run again. */
import type { JobKey, JobState, JobSummary, OnDuplicate, RetryOn } from "../../server/job/job.ts";
import type {
  Claim,
  ClaimAnswer,
  Claimed,
  SettleAnswer,
  SettleOutcome,
  Storage,
} from "../../server/storage/storage.ts";
import { completed, failed, payload, SECOND, specOf, undelivered } from "./specs.ts";

/**
 * All durations are multiples of this, and a history takes less real time than a tenth of it. So a backend whose time
 * also moves by itself decides everything as one whose time stands still: nothing is due just before or after a step.
 */
export const GRID = 100 * SECOND;
const LEASE = 3 * GRID;

const states = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"] as const;

export interface Step {
  /** For the message of a failure. */
  title: string;
  /** Runs the step; the answer is compared. */
  run(storage: Storage): Promise<unknown>;
  /** Told the answer of the reference. */
  saw?(answer: unknown): void;
  /** Instead of a verb: time moves. */
  advanceMs?: number;
  /** Instead of a verb: the storage is closed and opened again, where it can be. */
  reopen?: true;
}

/** mulberry32: small, good enough, the same everywhere. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class History {
  readonly queues = ["q1", "q2"];
  readonly #random: () => number;
  readonly #leases: { key: JobKey; token: Uint8Array }[] = [];
  readonly #repeatable = new Map<string, Claim>();
  #tokens = 0;
  #claims = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  /** The next step. What it does depends on the answers so far only through `saw`. */
  next(): Step {
    const makers: [number, () => Step][] = [
      [20, () => this.#enqueue()],
      [20, () => this.#claim()],
      [4, () => this.#repeat()],
      [22, () => this.#settle()],
      [5, () => this.#crowd(() => this.#enqueue())],
      [5, () => this.#crowd(() => this.#settle())],
      [5, () => this.#extend()],
      [4, () => this.#progress()],
      [6, () => this.#cancel()],
      [5, () => this.#retry()],
      [4, () => this.#setTtl()],
      [5, () => this.#read()],
      [6, () => this.#tick()],
      [5, () => this.#look()],
      [2, () => this.#pause()],
      [2, () => this.#announce()],
      [1, () => this.#forget()],
      [14, () => this.#advance()],
      [1, () => this.#reopen()],
    ];
    let left = this.#random() * makers.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, make] of makers) {
      left -= weight;
      if (left < 0) return make();
    }
    return this.#tick();
  }

  #pick<T>(...values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)]!;
  }

  #key(): JobKey {
    return { queue: this.#pick(...this.queues), jobId: this.#pick("a", "b", "a:exp", "{c}") };
  }

  #token(): Uint8Array {
    const token = Buffer.alloc(16, 7);
    token.writeUInt32BE(++this.#tokens);
    return token;
  }

  /** Mostly one of the newest leases, so that half of the settlements are accepted. */
  #lease(): { key: JobKey; token: Uint8Array } {
    if (this.#leases.length === 0 || this.#random() < 0.05) return { key: this.#key(), token: this.#token() };
    const newest = this.#random() < 0.8 ? this.#leases.slice(-4) : this.#leases;
    return this.#pick(...newest);
  }

  #enqueue(): Step {
    const key = this.#key();
    const requestId = Buffer.alloc(16, this.#pick(1, 2, 3, 4, 5));
    const spec = specOf(key.jobId, {
      ...key,
      payload: payload(this.#pick("one", "two", "x".repeat(500))),
      digest: Buffer.alloc(this.#pick(0, 16, 16, 16), this.#pick(1, 1, 2)),
      headers: this.#pick({}, { h: "1" }),
      priority: this.#pick(0, 0, 1, -1),
      delayMs: this.#pick(0, 0, 0, GRID, 3 * GRID),
      maxAttempts: this.#pick(1, 2, 5, 20),
      retryOn: this.#pick<RetryOn>("failure", "failure", "unavailable"),
      backoff: { initialMs: 2 * GRID, multiplier: 2, maxMs: 6 * GRID },
      runTimeoutMs: this.#pick(0, 0, 2 * GRID),
      startTimeoutMs: this.#pick(0, 0, 2 * GRID, 4 * GRID),
      resultTtlMs: this.#pick(GRID, 3 * GRID, 10 * GRID),
      onDuplicate: this.#pick<OnDuplicate>("join", "join", "reject", "rerun_if_failed", "rerun_if_finished"),
      rejectPayloadMismatch: this.#pick(false, false, true),
    });
    const listen = this.#pick(undefined, "waiters" as const, "watchers" as const);
    const none = Number.POSITIVE_INFINITY;
    const limits = { maxLength: this.#pick(none, none, 2, 3), maxBytes: this.#pick(none, none, none, 600) };
    const { lane, workerId, leaseMs } = this.#claimOf(key.queue, 1);
    const claim = this.#random() < 0.3 && { claim: { lane, workerId, leaseMs, leaseToken: this.#token() } };
    const request = { spec, requestId, hungryHere: true, limits, ...(listen && { listen }), ...claim };
    const saw = (answer: unknown) => {
      const { claimed } = answer as { claimed?: Claimed };
      if (claimed) this.#leased(claimed);
    };
    return { title: `enqueue ${describe(request)}`, run: (storage) => storage.enqueue(request), saw };
  }

  #claim(): Step {
    const request = this.#claimOf(this.#pick(...this.queues), this.#pick(1, 1, 2, 16));
    const saw = (answer: unknown) => this.#saw(request, answer as ClaimAnswer);
    return { title: `claim ${describe(request)}`, run: (storage) => storage.claim(request), saw };
  }

  #claimOf(queue: string, max: number): Claim {
    return {
      queue,
      lane: this.#pick("l1", "l2"),
      claimId: ++this.#claims,
      workerId: this.#pick("w1", "w2"),
      max,
      maxBytes: this.#pick(1, 400, 10_000),
      tokens: Array.from({ length: max }, () => this.#token()),
      leaseMs: LEASE,
      ...this.#jitter(),
      ...this.#grace(),
    };
  }

  /** Several in one turn: a backend may do them in one go, in their order. */
  #crowd(make: () => Step): Step {
    const steps = Array.from({ length: this.#pick(2, 3, 6) }, make);
    return {
      title: steps.map(({ title }) => title).join(", with "),
      run: (storage) => Promise.all(steps.map((step) => step.run(storage))),
      saw: (answers) => {
        for (const [i, step] of steps.entries()) step.saw?.((answers as unknown[])[i]);
      },
    };
  }

  /** The last claim of a lane again; one that got nothing may get something the second time, so it is left alone. */
  #repeat(): Step {
    const requests = [...this.#repeatable.values()];
    if (requests.length === 0) return this.#claim();
    const request = this.#pick(...requests);
    return { title: `claim again ${describe(request)}`, run: (storage) => storage.claim(request) };
  }

  /** Remembers what a claim got. Told by the first backend alone: the others must answer the same. */
  #saw(request: Claim, { jobs }: ClaimAnswer): void {
    for (const job of jobs) this.#leased(job);
    if (jobs.length > 0) this.#repeatable.set(`${request.queue} ${request.lane}`, request);
    else this.#repeatable.delete(`${request.queue} ${request.lane}`);
  }

  #leased({ queue, jobId, leaseToken }: Claimed): void {
    this.#leases.push({ key: { queue, jobId }, token: leaseToken });
  }

  #settle(): Step {
    const { key, token } = this.#lease();
    const lane = this.#pick("l1", "l2");
    const outcome = this.#pick<SettleOutcome>(
      completed(this.#pick("", "result")),
      { kind: "completed", payload: { ...payload("with headers"), headers: { h: "1" } } },
      failed(),
      failed({ retryableAsUnavailable: false }),
      failed({ retryAfterMs: this.#pick(0, GRID, 2 * GRID) }),
      failed({ retryable: false }),
      failed({ retryable: false, failureKind: "result_too_large" }),
      { kind: "released" },
      { kind: "cancelled" },
      undelivered(true, lane),
      undelivered(true, lane),
      undelivered(false, lane),
    );
    const claim = this.#random() < 0.3 ? this.#claimOf(key.queue, this.#pick(1, 2)) : undefined;
    const request = {
      ...key,
      leaseToken: token,
      outcome,
      ...this.#jitter(),
      hungryHere: true,
      ...(claim && { claim }),
    };
    const saw = (answer: unknown) => claim && this.#saw(claim, (answer as SettleAnswer).claimed!);
    return { title: `settle ${describe(request)}`, run: (storage) => storage.settle(request), saw };
  }

  #extend(): Step {
    const first = this.#lease();
    const items = [first, this.#lease()]
      .filter(({ key }) => key.queue === first.key.queue)
      .map(({ key, token }) => ({ jobId: key.jobId, leaseToken: token }));
    const mode = this.#pick("renew" as const, "adopt" as const, "shorten" as const);
    const leaseMs = mode === "shorten" ? GRID : LEASE;
    const request = { queue: first.key.queue, items, mode, lane: this.#pick("l1", "l2"), leaseMs };
    return { title: `extend ${describe(request)}`, run: (storage) => storage.extend(request) };
  }

  #progress(): Step {
    const { key, token } = this.#lease();
    const progress = { current: this.#pick(1, 2.5), total: 3, message: "m" };
    const request = { ...key, leaseToken: token, progress };
    return { title: `progress ${describe(request)}`, run: (storage) => storage.progress(request) };
  }

  #cancel(): Step {
    const key = this.#key();
    return { title: `cancel ${describe(key)}`, run: (storage) => storage.cancel(key) };
  }

  #retry(): Step {
    const key = this.#key();
    return { title: `retry ${describe(key)}`, run: (storage) => storage.retry(key, { hungryHere: true }) };
  }

  #setTtl(): Step {
    const key = this.#key();
    const ttl = this.#pick(GRID, 5 * GRID);
    return { title: `setResultTtl ${ttl} ${describe(key)}`, run: (storage) => storage.setResultTtl(key, ttl) };
  }

  #read(): Step {
    const key = this.#key();
    const listen = this.#pick(undefined, "waiters" as const, "watchers" as const);
    const keys = [this.#key(), this.#key()];
    return {
      title: `read ${listen} ${describe(key)}, readMany ${describe(keys)}`,
      run: async (storage) => [await storage.read(key, listen), await storage.readMany(keys)],
    };
  }

  #tick(): Step {
    const request = {
      queue: this.#pick(...this.queues),
      ...this.#jitter(),
      hungryHere: true,
      ...this.#grace(),
    };
    return { title: `tick ${describe(request)}`, run: (storage) => storage.tick(request) };
  }

  /** Counts, and all jobs of one state, by pages of two. The order of equals is a backend's own. */
  #look(): Step {
    const queue = this.#pick(...this.queues);
    const state = this.#pick(...states);
    return {
      title: `count, list ${state} of ${queue}`,
      run: async (storage) => [await storage.count(queue), byId(await listed(storage, queue, state))],
    };
  }

  /** Half of the time it is resumed again, so that histories go on. */
  #pause(): Step {
    const queue = this.#pick(...this.queues);
    const paused = this.#random() < 0.5;
    return { title: `${paused ? "pause" : "resume"} ${queue}`, run: (storage) => storage.pause(queue, paused) };
  }

  #announce(): Step {
    const name = this.#pick("a.A", "b.B");
    const methods = [`/${name}/${this.#pick("One", "Two", "Three")}`];
    const descriptorSet = this.#pick(undefined, Buffer.from("1"), Buffer.from("2"));
    return {
      title: `announce ${methods} ${descriptorSet}`,
      run: async (storage) => [
        await storage.addService({ name, methods, ...(descriptorSet && { descriptorSet }) }),
        await storage.services(),
        await storage.service(name),
      ],
    };
  }

  #forget(): Step {
    const name = this.#pick("a.A", "b.B");
    const run = async (storage: Storage) => [await storage.forgetService(name), await storage.services()];
    return { title: `forget ${name}`, run };
  }

  #advance(): Step {
    const advanceMs = this.#pick(GRID, GRID, 2 * GRID, 3 * GRID, 5 * GRID);
    return { title: `advance ${advanceMs}`, advanceMs, run: async () => undefined };
  }

  /** Only what is durable is there afterwards: claims of before are not repeated. */
  #reopen(): Step {
    this.#repeatable.clear();
    return { title: "reopen", reopen: true, run: async () => undefined };
  }

  #jitter(): { jitter: number } {
    return { jitter: this.#pick(0, 0.5, 0.999) };
  }

  #grace(): { graceMs?: number } {
    return this.#random() < 0.1 ? { graceMs: GRID } : {};
  }
}

async function listed(storage: Storage, queue: string, state: JobState): Promise<JobSummary[]> {
  const jobs: JobSummary[] = [];
  let cursor: string | undefined;
  do {
    const page = await storage.list({ queue, state, limit: 2, ...(cursor !== undefined && { cursor }) });
    jobs.push(...page.jobs);
    cursor = page.next;
  } while (cursor !== undefined);
  return jobs;
}

function byId(jobs: JobSummary[]): JobSummary[] {
  return jobs.sort((a, b) => (a.jobId < b.jobId ? -1 : 1));
}

function describe(value: unknown): string {
  return JSON.stringify(value, (_name, inner) =>
    inner?.type === "Buffer" ? Buffer.from(inner.data).toString("hex").slice(0, 32) : inner,
  );
}
