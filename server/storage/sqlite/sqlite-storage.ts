/**
 * The storage contract on SQLite: `memory:` and `sqlite:PATH`. Each verb loads a
 * record, asks server/job/lifecycle.ts what becomes of it, and saves it. One
 * process owns the file, so there is no other broker to wake, tell or hint.
 *
 * After a failed fsync nothing that the file says can be trusted. The storage
 * then takes no further call, `ready` is false for good, and the process must
 * exit: `StorageOptions.fatal` says so to whoever started it.
 */
import type { DatabaseSync } from "node:sqlite";
import { type Job, type JobKey, type JobSpec, type JobState, type Result, unlimited } from "../../job/job.ts";
import * as lifecycle from "../../job/lifecycle.ts";
import { type JobRecord, summaryOf } from "../../job/record.ts";
import { bytesOf } from "../blob.ts";
import type {
  Attached,
  CancelAnswer,
  Changed,
  Claim,
  ClaimAnswer,
  ClaimAtOnce,
  Enqueue,
  EnqueueAnswer,
  Extend,
  ExtendAnswer,
  InspectedJob,
  Inspection,
  List,
  Listen,
  ProgressAnswer,
  QueueCounts,
  ReportProgress,
  RetryAnswer,
  Service,
  Settle,
  SettleAnswer,
  Storage,
  StorageInfo,
  StorageOptions,
  Survey,
  Tick,
  TickAnswer,
} from "../storage.ts";
import { StorageUnavailable } from "../storage.ts";
import { Claims } from "./claims.ts";
import { GroupCommit, type Transactions } from "./group-commit.ts";
import { hex } from "./hex.ts";
import { Jobs } from "./jobs.ts";
import type { LogFile } from "./log-file.ts";
import { rollBack } from "./node-sqlite.ts";
import { type Opened, openDatabase } from "./open-file.ts";
import { Queues } from "./queues.ts";
import { Reserve } from "./reserve.ts";
import { type IndexName, indexes, type Kept } from "./rows.ts";
import { Services } from "./services.ts";
import { isFull } from "./sqlite-error.ts";
import { TimeDriven } from "./time-driven.ts";

/**
 * @param url `memory:`, `sqlite:PATH`, `sqlite:PATH?synchronous=normal`, `sqlite:PATH?max_bytes=N`
 * @throws StorageRefused (rejects) the file cannot be used as it is; it is left as it was
 */
export async function openSqlite(url: string, options: StorageOptions): Promise<Storage> {
  return new SqliteStorage(openDatabase(url, options), options);
}

class SqliteStorage implements Storage {
  readonly info: StorageInfo;
  readonly #options: StorageOptions;
  readonly #db: DatabaseSync;
  readonly #jobs: Jobs;
  readonly #queues: Queues;
  readonly #services: Services;
  readonly #timeDriven: TimeDriven;
  readonly #claims: Claims;
  readonly #commits: GroupCommit;
  readonly #listeners = new Set<(ready: boolean) => void>();
  readonly #hasRoom: () => boolean;
  readonly #reserve: Reserve | undefined;
  readonly #log: LogFile | undefined;
  #ready = true;
  #closed = false;
  #nowUs = 0;
  /** What this broker announced last: of no use to the next one, so it is not written down. */
  #announced: { attached: Attached; until: number } | undefined;

  constructor({ db, url, path, durability, maxBytes, log }: Opened, options: StorageOptions) {
    this.#options = options;
    this.#db = db;
    this.#log = log;
    this.#jobs = new Jobs(db);
    this.#queues = new Queues(db);
    this.#services = new Services(db);
    this.#timeDriven = new TimeDriven(this.#jobs, this.#queues);
    this.#claims = new Claims(this.#jobs, options.brokerId);
    this.#commits = new GroupCommit(this.#transactions(), options.clock, (error) => this.#fail(error));
    this.#hasRoom = roomOf(db, maxBytes);
    // Who only looks needs no room.
    this.#reserve = path && !options.existing ? new Reserve(path, options.clock, options.warn) : undefined;
    const { version } = db.prepare("SELECT sqlite_version() AS version").get() as { version: string };
    this.info = { kind: "sqlite", url, durability, version: `SQLite ${version}` };
  }

  get ready(): boolean {
    return this.#ready;
  }

  onReady(listener: (ready: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async enqueue(request: Enqueue): Promise<EnqueueAnswer> {
    try {
      return await this.#commits.submit(() => this.#enqueue(request, this.#now()));
    } catch (error) {
      if (error instanceof StorageUnavailable && isFull(error.cause)) return { kind: "full" };
      throw error;
    }
  }

  claim(request: Claim): Promise<ClaimAnswer> {
    return this.#commits.submit(() => this.#claim(request, this.#now()));
  }

  extend({ queue, items, mode, lane, leaseMs }: Extend): Promise<ExtendAnswer[]> {
    return this.#commits.submit(() => {
      const now = this.#now();
      return items.map(({ jobId, leaseToken }): ExtendAnswer => {
        const kept = this.#jobs.leased({ queue, jobId, leaseToken: hex(leaseToken) }, now);
        const owner = this.#owner(lane);
        if (!kept || (mode === "shorten" && kept.job.owner !== owner)) return { kind: "lost" };
        const { job } = kept;
        if (mode === "shorten") this.#jobs.change(kept, lifecycle.shorten(job, leaseMs, now));
        else this.#jobs.change(kept, lifecycle.extend(job, mode === "adopt" ? owner : job.owner, leaseMs, now));
        const previousOwner = mode === "adopt" ? job.owner : "";
        return { kind: "ok", cancelRequested: job.cancelRequested, previousOwner };
      });
    });
  }

  settle(request: Settle): Promise<SettleAnswer> {
    return this.#commits.submit(() => {
      const now = this.#now();
      const answer = this.#settle(request, now);
      return request.claim ? { ...answer, claimed: { ...this.#lease(request.claim, now), changed: [] } } : answer;
    });
  }

  progress({ progress, leaseToken, ...key }: ReportProgress): Promise<ProgressAnswer> {
    return this.#commits.submit(() => {
      const kept = this.#jobs.leased({ ...key, leaseToken: hex(leaseToken) }, this.#now());
      if (!kept) return { kind: "lost" };
      this.#jobs.rows.setProgress(kept, progress);
      const status = this.#jobs.status(this.#jobs.change(kept, lifecycle.reportProgress(kept.job)));
      return { kind: "ok", status, cancelRequested: status.cancelRequested, tell: [] };
    });
  }

  cancel(key: JobKey, { onlyIn }: { onlyIn?: JobState } = {}): Promise<CancelAnswer> {
    return this.#commits.submit(() => {
      const now = this.#now();
      const kept = this.#jobs.find(key, now);
      if (!kept) return { kind: "not_found" };
      if (onlyIn && kept.job.state !== onlyIn) return { kind: "other_state" };
      const after = this.#jobs.change(kept, lifecycle.cancel(kept.job, now));
      const { owner, leaseToken } = after.job;
      return { kind: "ok", owner, leaseToken: Buffer.from(leaseToken, "hex"), ...this.#jobs.changed(after, now) };
    });
  }

  retry(key: JobKey, { onlyIn }: { onlyIn?: JobState }): Promise<RetryAnswer> {
    return this.#commits.submit(() => {
      const now = this.#now();
      const kept = this.#jobs.find(key, now);
      if (!kept) return { kind: "not_found" };
      if (onlyIn && kept.job.state !== onlyIn) return { kind: "other_state" };
      if (kept.job.state === "succeeded") return { kind: "succeeded" };
      const ended = kept.job.state === "failed" || kept.job.state === "cancelled";
      if (!ended) return { kind: "ok", ...this.#jobs.changed(kept, now) };
      this.#jobs.rows.dropTraces(kept);
      const again = this.#jobs.change(kept, lifecycle.retry(kept.job, this.#jobs.memory.nextSeq(), now));
      return { kind: "ok", ...this.#jobs.changed(again, now) };
    });
  }

  setResultTtl(key: JobKey, resultTtlMs: number): Promise<Changed | undefined> {
    return this.#commits.submit(() => {
      const now = this.#now();
      const kept = this.#jobs.find(key, now);
      if (!kept) return undefined;
      const after = this.#jobs.change(kept, lifecycle.setResultTtl(kept.job, resultTtlMs, now));
      return this.#jobs.changed(after, now);
    });
  }

  read(key: JobKey, listen?: Listen): Promise<Job | undefined> {
    return this.#commits.submit(() => {
      const kept = this.#jobs.find(key, this.#now());
      return kept && this.#jobs.whole(this.#listen(kept, listen));
    });
  }

  readMany(keys: readonly JobKey[]) {
    return this.#commits.submit(() => {
      const now = this.#now();
      return keys.map((key) => {
        const kept = this.#jobs.find(key, now);
        return kept && this.#jobs.status(kept);
      });
    });
  }

  tick({ queue, jitter, graceMs }: Tick): Promise<TickAnswer> {
    return this.#commits.submit(() => {
      const now = this.#now();
      const changed = this.#timeDriven.run(queue, jitter, graceMs, now);
      this.#timeDriven.looked(queue, graceMs, now);
      const gone = this.#queues.forgetIfEmpty(queue) && { gone: true as const };
      const { queued } = this.#jobs.memory.counts(queue).jobs;
      return { changed, queued, ...this.#timeDriven.next(queue, now), ...gone };
    });
  }

  queues(cursor?: string): Promise<{ queues: string[]; next?: string }> {
    return this.#commits.submit(() => this.#queues.page(cursor));
  }

  count(queue: string): Promise<QueueCounts> {
    return this.#commits.submit(() => {
      const first = this.#jobs.rows.best(queue);
      const age = first && Math.max(0, lifecycle.msOf(this.#now()) - first.job.createTime);
      const oldest = age !== undefined && { oldestWaitMs: age };
      const { jobs, bytes } = this.#jobs.memory.counts(queue);
      return { jobs: { ...jobs }, bytes, paused: this.#queues.paused(queue), ...oldest };
    });
  }

  list({ queue, state, limit, cursor }: List) {
    return this.#commits.submit(() => {
      const now = this.#now();
      const { kept, ...next } = this.#jobs.pages.page(queue, state, limit, cursor);
      const jobs = kept.map(({ job }) => job).filter((job) => !lifecycle.isForgotten(job, now));
      return { jobs: jobs.map(summaryOf), ...next };
    });
  }

  pause(queue: string, paused: boolean): Promise<{ wake: string[] }> {
    return this.#commits.submit(() => {
      this.#queues.setPaused(queue, paused);
      return { wake: [] };
    });
  }

  /** The one broker of a file is also the one that is told. */
  async announce(attached: Attached, validMs: number): Promise<void> {
    this.#announced = { attached, until: this.#options.clock.now() + validMs };
  }

  async announced(): Promise<Map<string, Attached>> {
    const last = this.#announced;
    const valid = last !== undefined && last.until > this.#options.clock.now();
    return new Map(valid ? [[this.#options.brokerId, last.attached]] : []);
  }

  async addService(service: Service): Promise<"added" | "full"> {
    try {
      return await this.#commits.submit(() => this.#services.add(service));
    } catch (error) {
      if (error instanceof StorageUnavailable && isFull(error.cause)) return "full";
      throw error;
    }
  }

  service(name: string): Promise<Service | undefined> {
    return this.#commits.submit(() => this.#services.find(name));
  }

  services(): Promise<string[]> {
    return this.#commits.submit(() => this.#services.names());
  }

  forgetService(name: string): Promise<void> {
    return this.#commits.submit(() => this.#services.forget(name));
  }

  hint(): void {}

  onHint(): () => void {
    return () => {};
  }

  survey(): Promise<Survey> {
    return this.#commits.submit(() => ({ queues: this.#jobs.rows.queues(), wrongTypes: [] }));
  }

  inspect(queue: string): Promise<Inspection> {
    return this.#commits.submit(() => {
      const jobs = this.#jobs.rows.all(queue).map((kept) => this.#inspected(kept));
      const names = Object.keys(indexes) as IndexName[];
      const entries = names.map((name) => [name, this.#jobs.rows.entries(name, queue)]);
      const orphans = this.#jobs.rows.orphans();
      const { bytes } = this.#jobs.memory.counts(queue);
      return { jobs, indexes: Object.fromEntries(entries) as Inspection["indexes"], bytes, orphans };
    });
  }

  async close(): Promise<void> {
    const settled = this.#commits.close();
    this.#becomeUnready();
    await settled;
    if (this.#closed) return;
    this.#closed = true;
    this.#db.close();
    this.#log?.close();
  }

  // ── the larger verbs ───────────────────────────────────────────────────────

  #enqueue({ spec, requestId, listen, limits = unlimited, claim }: Enqueue, now: number): EnqueueAnswer {
    const kept = this.#jobs.stored(spec);
    const request = { id: hex(requestId), digest: hex(spec.digest) };
    const question = { ...spec, requestId: request.id, digest: request.digest };
    const decision = lifecycle.decideEnqueue(kept?.job, question, now);
    const others = { wake: [], tell: [] };
    switch (decision.kind) {
      case "create": {
        const limit = lifecycle.overLimit(this.#jobs.memory.unfinished(spec.queue), bytesOf(spec), limits);
        if (limit) return { kind: "queue_full", limit };
        if (this.#reserve?.held === false || !this.#hasRoom()) return { kind: "full" };
        const previous = this.#jobs.orCollect(kept, now);
        const seq = this.#jobs.memory.nextSeq();
        const made = lifecycle.create(spec, request.id, request.digest, seq, now, previous?.job);
        const job = listen ? this.#listening(made, listen) : made;
        const status = lifecycle.statusOf(job);
        const claimed = this.#keep(job, spec, previous, claim, now);
        return { kind: "accepted", disposition: "created", payloadMismatch: false, status, ...others, ...claimed };
      }
      case "answer": {
        const { disposition, payloadMismatch, rememberRequest } = decision;
        const joined = rememberRequest
          ? this.#jobs.change(kept!, lifecycle.rememberJoin(kept!.job, request.id))
          : kept!;
        const after = this.#listen(joined, listen);
        const held = claim && this.#jobs.leased({ ...spec, leaseToken: hex(claim.leaseToken) }, now);
        const claimed = held && { claimed: this.#claims.claimed(held, now) };
        return {
          kind: "accepted",
          disposition,
          payloadMismatch,
          status: this.#jobs.status(after),
          ...others,
          ...claimed,
        };
      }
      default:
        return { kind: decision.kind, status: this.#jobs.status(kept!) };
    }
  }

  /** Keeps a job that was made, leased at once if that was asked for and nothing is ahead of it. */
  #keep(job: JobRecord, spec: JobSpec, previous: Kept | undefined, claim: ClaimAtOnce | undefined, now: number) {
    this.#queues.add(spec.queue);
    const first = job.state === "queued" && this.#jobs.memory.counts(spec.queue).jobs.queued === 0;
    const atOnce = claim && first && !this.#queues.paused(spec.queue);
    const record = atOnce ? lifecycle.claim(job, this.#claims.terms(claim, claim.leaseToken), now) : job;
    const kept = this.#save(record, spec, previous);
    return atOnce && { claimed: this.#claims.claimed(kept, now, spec) };
  }

  #save(job: JobRecord, spec: JobSpec, previous: Kept | undefined): Kept {
    if (!previous) return this.#jobs.add(job, spec);
    this.#jobs.rows.dropTraces(previous);
    return this.#jobs.change(this.#jobs.rows.changeSpec(previous, spec), job);
  }

  #claim(request: Claim, now: number): ClaimAnswer {
    const changed = this.#timeDriven.run(request.queue, request.jitter, request.graceMs, now);
    const leased = this.#lease(request, now);
    this.#timeDriven.looked(request.queue, request.graceMs, now);
    return { ...leased, changed };
  }

  #lease(request: Claim, now: number): Omit<ClaimAnswer, "changed"> {
    const paused = this.#queues.paused(request.queue) && { paused: true as const };
    return { jobs: this.#claims.claim(paused ? { ...request, max: 0 } : request, now), ...paused };
  }

  #settle(request: Settle, now: number): SettleAnswer {
    const leaseToken = hex(request.leaseToken);
    const leased = this.#jobs.leased({ ...request, leaseToken }, now);
    if (leased && this.#receivedElsewhere(leased, request.outcome)) return { kind: "lost" };
    if (leased)
      return { kind: "settled", ...this.#jobs.changed(this.#ended(leased, request, now), now, resultOf(request)) };
    const kept = this.#jobs.find(request, now);
    // An empty token would match a job that was never settled.
    if (leaseToken === "" || kept?.job.settledToken !== leaseToken) return { kind: "lost" };
    return { kind: "duplicate", ...this.#jobs.changed(kept, now) };
  }

  /** What another stream has adopted was received, whatever the one that it was sent to heard of it. */
  #receivedElsewhere({ job }: Kept, outcome: Settle["outcome"]): boolean {
    return outcome.kind === "undelivered" && job.owner !== this.#owner(outcome.lane);
  }

  #ended(kept: Kept, { outcome, jitter }: Settle, now: number): Kept {
    const { job } = kept;
    switch (outcome.kind) {
      case "completed":
        this.#jobs.rows.setResult(kept, outcome.payload);
        this.#jobs.rows.dropPayload(kept);
        return this.#jobs.change(kept, lifecycle.complete(job, now));
      case "failed":
        return this.#jobs.change(kept, lifecycle.fail(job, { ...outcome, kind: outcome.failureKind, jitter }, now));
      case "released":
        return this.#jobs.change(kept, lifecycle.release(job, now));
      case "cancelled":
        return this.#jobs.change(kept, lifecycle.stop(job, now));
      case "undelivered":
        return this.#jobs.change(kept, lifecycle.undelivered(job, outcome.sent, now));
    }
  }

  // ── what they share ────────────────────────────────────────────────────────

  /** As leases name their holder. */
  #owner(lane: string): string {
    return `${this.#options.brokerId}.${lane}`;
  }

  #listen(kept: Kept, listen: Listen | undefined): Kept {
    return listen ? this.#jobs.change(kept, this.#listening(kept.job, listen)) : kept;
  }

  #listening(job: JobRecord, listen: Listen): JobRecord {
    const { brokerId } = this.#options;
    if (job[listen].includes(brokerId)) return job;
    return { ...job, [listen]: lifecycle.listen(job[listen], brokerId) };
  }

  #inspected(kept: Kept): InspectedJob {
    const { rows } = this.#jobs;
    const [payload, result, progress] = [rows.payload(kept), rows.result(kept), rows.progress(kept)];
    return {
      record: kept.job,
      ...rows.envelope(kept),
      ...(payload && { payload }),
      ...(result && { result }),
      ...(progress && { progress }),
    };
  }

  /** The broker's clock in whole microseconds, made never to go back. */
  #now(): number {
    this.#nowUs = Math.max(this.#nowUs, Math.floor(this.#options.clock.now() * 1000));
    return this.#nowUs;
  }

  #fail(error: Error): void {
    this.#options.warn(
      `storage ${this.info.url}: ${error.message}; what is on disk is unknown, so the process must exit`,
    );
    this.#becomeUnready();
    this.#options.fatal?.(error);
  }

  #transactions(): Transactions {
    const [begin, commit, rollback] = ["BEGIN", "COMMIT", "ROLLBACK"].map((sql) => this.#db.prepare(sql));
    return {
      begin: () => void begin!.run(),
      commit: () => {
        commit!.run();
        this.#jobs.memory.committed();
      },
      rollback: (error) => {
        rollBack(rollback!);
        this.#jobs.memory.rolledBack();
        if (isFull(error)) this.#reserve?.giveUp();
      },
      ...(this.#log && { sync: () => this.#log!.sync(), wrote: this.#wrote() }),
    };
  }

  /** Whether anything was written since the last call. */
  #wrote(): () => boolean {
    const count = this.#db.prepare("SELECT total_changes() AS changes");
    const changes = () => (count.get() as { changes: number }).changes;
    let before = changes();
    return () => {
      const now = changes();
      const wrote = now !== before;
      before = now;
      return wrote;
    };
  }

  #becomeUnready(): void {
    if (!this.#ready) return;
    this.#ready = false;
    for (const listener of this.#listeners) listener(false);
  }
}

/** Whether the file may take another job. Asked of SQLite only where there is a bound. */
function roomOf(db: DatabaseSync, maxBytes: number): () => boolean {
  if (maxBytes === Number.POSITIVE_INFINITY) return () => true;
  const used = db.prepare(
    `SELECT (page_count - freelist_count) * page_size AS bytes
     FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()`,
  );
  return () => (used.get() as { bytes: number }).bytes < maxBytes;
}

function resultOf({ outcome }: Settle): Result | undefined {
  return outcome.kind === "completed" ? outcome.payload : undefined;
}
