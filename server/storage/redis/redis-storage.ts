/**
 * The storage contract on Redis and Valkey, alone, behind sentinels, or as a cluster. Each verb is one script of lua/,
 * so it happens whole or not at all, and knows when it runs twice. This file turns requests into arguments and replies
 * into answers; what the scripts say is in lua/, what is stored in keys.ts.
 */
import type { Disposition, Job, JobKey, JobState, JobStatus, LimitName } from "../../job/job.ts";
import { encodeProgress } from "../blob.ts";
import type {
  Attached,
  CancelAnswer,
  Changed,
  Claim,
  ClaimAnswer,
  Enqueue,
  EnqueueAnswer,
  Extend,
  ExtendAnswer,
  Hint,
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
import { claimArguments, enqueueArguments, flag, settleArguments } from "./arguments.ts";
import { decodeAnnounced, encodeAttached } from "./attached.ts";
import { type Argument, connect, connectOne, type Reply } from "./client.ts";
import { HintLine } from "./hint-line.ts";
import { decodeHint, encodeHint } from "./hints.ts";
import { inspect } from "./inspect.ts";
import { Keys } from "./keys.ts";
import { CallFailed, Link } from "./link.ts";
import { type Packable, packVerb } from "./packed.ts";
import { Readiness } from "./readiness.ts";
import { Registry } from "./registry.ts";
import {
  type ChangedReply,
  type ClaimReply,
  decodeChanged,
  decodeClaim,
  decodeClaimedAtOnce,
  decodeCounts,
  decodeJob,
  decodeList,
  decodeNames,
  decodeStatus,
  type EnqueueReply,
  type JobReply,
  type ListReply,
  type SettleReply,
  type StatusReply,
} from "./replies.ts";
import { type ScriptName, script } from "./scripts.ts";
import { Services } from "./services.ts";
import { survey } from "./survey.ts";
import { parseRedisUrl, type Target } from "./url.ts";

export interface RedisOptions extends StorageOptions {
  /** Longest that a verb may take. Default 5 s. */
  callTimeoutMs?: number;
  /** For tests: how far the storage's time is ahead of the server's. Whole milliseconds. */
  clockOffsetMs?(): number;
}

const CALL_TIMEOUT_MS = 5_000;
/** A start waits this long for a server that neither answers nor refuses. Milliseconds. */
const START_PATIENCE_MS = 3_000;
/** Jobs of one call of a script: each stays below a millisecond or so. */
const MAX_JOBS_PER_SCRIPT = 100;
/** Score and id that a page ended with. */
const CURSOR = /^(-?\d+) (.+)$/s;

/**
 * @param url `redis://[:PASSWORD@]HOST:PORT[/DB][?prefix=qc]`, `rediss://`, `redis+cluster://HOST:PORT,…`, `redis+sentinel://HOST:PORT,…?name=`
 * @throws StorageRefused (rejects) the server cannot be used as it is. One that cannot be reached is waited for, with `ready` false
 */
export async function openRedis(url: string, options: RedisOptions): Promise<Storage> {
  const storage = new RedisStorage(parseRedisUrl(url), options);
  try {
    await storage.started();
  } catch (error) {
    await storage.close();
    throw error;
  }
  return storage;
}

class RedisStorage implements Storage {
  readonly #target: Target;
  readonly #options: RedisOptions;
  readonly #keys: Keys;
  readonly #readiness: Readiness;
  readonly #link: Link;
  readonly #registry: Registry;
  readonly #services: Services;
  readonly #hintLine: HintLine;
  readonly #subscribed = Promise.withResolvers<void>();
  readonly #listeners = new Set<(hint: Hint) => void>();
  /** In front of the arguments of every call. */
  #said: readonly Argument[] = [];

  constructor(target: Target, options: RedisOptions) {
    const { clock, brokerId, requireDurability, warn } = options;
    const keys = new Keys(target.prefix);
    const name = `queuecall-${brokerId}`;
    this.#target = target;
    this.#options = options;
    this.#keys = keys;
    this.#readiness = new Readiness({
      clock,
      keys,
      name: target.shown,
      failsOver: target.topology !== "single",
      requireDurability,
      warn,
      onChange: (ready) => this.#changedReadiness(ready),
    });
    this.#link = new Link({
      clock,
      name: target.shown,
      callTimeoutMs: options.callTimeoutMs ?? CALL_TIMEOUT_MS,
      connect: () => connect(target, clock, name),
      onState: (up, why) => (up ? this.#readiness.connected(this.#link.client) : this.#readiness.disconnected(why)),
    });
    this.#registry = new Registry({
      link: this.#link,
      keys,
      now: () => clock.monotonic() + this.#offsetMs,
      run: (script, of, args) => this.#run(script, of, args),
    });
    this.#services = new Services(this.#link, keys, (script, of, args) => this.#run(script, of, args));
    let turn = 0;
    this.#hintLine = new HintLine({
      clock,
      channel: keys.hints(brokerId),
      connect: () => connectOne(target, target.addresses[turn++ % target.addresses.length]!, clock, `${name}-hints`),
      onMessage: (message) => this.#hinted(message),
      onSubscribed: (again) => (again ? this.#readiness.hintsMissed() : this.#subscribed.resolve()),
    });
  }

  /** Resolves once it is known whether the server can be used, and hints come in. */
  async started(): Promise<void> {
    const patience = Promise.withResolvers<void>();
    const timer = this.#options.clock.setTimer(patience.resolve, START_PATIENCE_MS);
    await Promise.race([this.#readiness.first, patience.promise]);
    if (this.#readiness.ready) await Promise.race([this.#subscribed.promise, patience.promise]);
    timer.cancel();
  }

  get info(): StorageInfo {
    const { durability, version } = this.#readiness.health;
    return { kind: "redis", url: this.#target.shown, durability, version };
  }

  get ready(): boolean {
    return this.#readiness.ready;
  }

  onReady(listener: (ready: boolean) => void): () => void {
    return this.#readiness.onReady(listener);
  }

  async enqueue(request: Enqueue): Promise<EnqueueAnswer> {
    const { spec, claim } = request;
    const { queue } = spec;
    const args = enqueueArguments(request);
    try {
      const naming = this.#registry.add(queue);
      if (naming) await naming;
      const reply = await this.#run("enqueue", queue, args);
      const [kind, short, mismatch, tell, wake, first, leased] = reply as EnqueueReply;
      const said = kind.toString() as Disposition | "exists" | "mismatch" | "queue_full";
      if (said === "queue_full") return { kind: said, limit: String(short) as LimitName };
      const status = decodeStatus(queue, short as StatusReply, spec.jobId);
      if (said === "exists" || said === "mismatch") return { kind: said, status };
      // The first job ever: the server may have lost everything, names of queues too, since they were written.
      if (first === 1) await this.#registry.addAgain(queue);
      return {
        kind: "accepted",
        disposition: said,
        payloadMismatch: mismatch === 1,
        status,
        wake: decodeNames(wake),
        tell: decodeNames(tell),
        ...(claim && leased && { claimed: decodeClaimedAtOnce(spec, claim.leaseToken, leased) }),
      };
    } catch (error) {
      if (isFull(error)) return { kind: "full" };
      throw error;
    }
  }

  async claim(request: Claim): Promise<ClaimAnswer> {
    const { queue } = request;
    return decodeClaim(queue, (await this.#run("claim", queue, claimArguments(request))) as ClaimReply);
  }

  async extend({ queue, items, mode, lane, leaseMs }: Extend): Promise<ExtendAnswer[]> {
    const owner = `${this.#options.brokerId}.${lane}`;
    const replies = await this.#inChunks(items, (chunk) => {
      const pairs = chunk.flatMap(({ jobId, leaseToken }) => [jobId, leaseToken]);
      return this.#run("extend", queue, [mode, owner, leaseMs, ...pairs]);
    });
    return (replies as (0 | [cancelRequested: number, owner: Buffer])[]).map((reply) =>
      reply === 0
        ? { kind: "lost" }
        : { kind: "ok", cancelRequested: reply[0] === 1, previousOwner: reply[1].toString() },
    );
  }

  async settle(request: Settle): Promise<SettleAnswer> {
    const { queue, jobId, outcome, claim } = request;
    const reply = claim
      ? await this.#run("settle-claim", queue, [...claimArguments(claim), ...settleArguments(request)])
      : await this.#run("settle", queue, settleArguments(request));
    const [kind, changed, taken] = reply as SettleReply;
    const claimed = claim && { claimed: taken ? decodeClaim(queue, taken) : { jobs: [], changed: [] } };
    if (!changed) return { kind: "lost", ...claimed };
    const answer = {
      kind: kind.toString() as "settled" | "duplicate",
      ...decodeChanged(queue, changed, jobId),
      ...claimed,
    };
    // The result just stored is not sent back.
    if (answer.kind === "settled" && outcome.kind === "completed") {
      answer.status.outcome = { kind: "result", payload: outcome.payload };
    }
    return answer;
  }

  async progress({ queue, jobId, leaseToken, progress }: ReportProgress): Promise<ProgressAnswer> {
    const reply = await this.#run("progress", queue, [jobId, leaseToken, encodeProgress(progress)]);
    if (reply === null) return { kind: "lost" };
    const [short, tell] = reply as [StatusReply, Buffer];
    const status = decodeStatus(queue, short);
    return { kind: "ok", status, cancelRequested: status.cancelRequested, tell: decodeNames(tell) };
  }

  async cancel({ queue, jobId }: JobKey, { onlyIn }: { onlyIn?: JobState } = {}): Promise<CancelAnswer> {
    const reply = (await this.#run("cancel", queue, [jobId, onlyIn ?? ""])) as
      | [Buffer, Buffer, ChangedReply]
      | []
      | null;
    if (reply === null) return { kind: "not_found" };
    if (reply.length === 0) return { kind: "other_state" };
    const [owner, leaseToken, changed] = reply;
    return { kind: "ok", owner: owner.toString(), leaseToken, ...decodeChanged(queue, changed) };
  }

  async retry({ queue, jobId }: JobKey, request: { hungryHere: boolean; onlyIn?: JobState }): Promise<RetryAnswer> {
    const reply = await this.#run("retry", queue, [flag(request.hungryHere), jobId, request.onlyIn ?? ""]);
    if (reply === null) return { kind: "not_found" };
    const [kind, changed] = reply as [Buffer, ChangedReply?];
    return changed
      ? { kind: "ok", ...decodeChanged(queue, changed) }
      : { kind: kind.toString() as "succeeded" | "other_state" };
  }

  async setResultTtl({ queue, jobId }: JobKey, resultTtlMs: number): Promise<Changed | undefined> {
    const reply = await this.#run("set-result-ttl", queue, [jobId, resultTtlMs]);
    return reply === null ? undefined : decodeChanged(queue, reply as ChangedReply);
  }

  async read({ queue, jobId }: JobKey, listen?: Listen): Promise<Job | undefined> {
    const reply = await (listen ? this.#run("listen", queue, [jobId, listen]) : this.#run("read", queue, [jobId]));
    return reply === null ? undefined : decodeJob(queue, reply as JobReply);
  }

  /** Queue by queue: the keys of a queue are in one slot. */
  async readMany(keys: readonly JobKey[]): Promise<(JobStatus | undefined)[]> {
    const answers = new Array<JobStatus | undefined>(keys.length).fill(undefined);
    const byQueue = Map.groupBy(keys.keys(), (i) => keys[i]!.queue);
    const reading = [...byQueue].map(async ([queue, places]) => {
      const ids = places.map((i) => keys[i]!.jobId);
      const replies = await this.#inChunks(ids, (chunk) => this.#run("read-many", queue, chunk));
      for (const [n, reply] of replies.entries()) {
        if (reply !== null) answers[places[n]!] = decodeStatus(queue, reply as StatusReply);
      }
    });
    await Promise.all(reading);
    return answers;
  }

  async tick({ queue, jitter, hungryHere, graceMs }: Tick): Promise<TickAnswer> {
    const reply = await this.#run("tick", queue, [flag(hungryHere), jitter, graceMs ?? ""]);
    const [changed, queued, nextInMs, empty] = reply as [ChangedReply[], number, number, number];
    const gone = empty === 1 && (await this.#registry.drop(queue));
    return {
      changed: changed.map((each) => decodeChanged(queue, each)),
      queued,
      ...(nextInMs > 0 && { nextInMs }),
      ...(gone && { gone }),
    };
  }

  queues(cursor?: string): Promise<{ queues: string[]; next?: string }> {
    return this.#registry.page(cursor);
  }

  async count(queue: string): Promise<QueueCounts> {
    return decodeCounts((await this.#run("count", queue, [])) as number[]);
  }

  async list({ queue, state, limit, cursor = "" }: List) {
    const [, score = "", id = ""] = CURSOR.exec(cursor) ?? [];
    return decodeList(queue, (await this.#run("list", queue, [state, limit, score, id])) as ListReply);
  }

  async pause(queue: string, paused: boolean): Promise<{ wake: string[] }> {
    if (paused) await this.#registry.add(queue);
    return { wake: decodeNames((await this.#run("pause", queue, [flag(paused)])) as Buffer) };
  }

  async announce(attached: Attached, validMs: number): Promise<void> {
    await this.#run("announce", this.#keys.ofBrokers(), [validMs, encodeAttached(attached)]);
  }

  async announced(): Promise<Map<string, Attached>> {
    return decodeAnnounced((await this.#run("announced", this.#keys.ofBrokers(), [])) as Buffer[]);
  }

  async addService(service: Service): Promise<"added" | "full"> {
    try {
      return (await this.#services.add(service)) ? "added" : "full";
    } catch (error) {
      if (isFull(error)) return "full";
      throw error;
    }
  }

  service(name: string): Promise<Service | undefined> {
    return this.#services.find(name);
  }

  services(): Promise<string[]> {
    return this.#services.names();
  }

  forgetService(name: string): Promise<void> {
    return this.#services.forget(name);
  }

  hint(broker: string, hint: Hint): void {
    this.#link.post("publish", this.#keys.hints(broker), encodeHint(hint));
  }

  onHint(listener: (hint: Hint) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  survey(): Promise<Survey> {
    return survey(this.#link, this.#keys);
  }

  inspect(queue: string): Promise<Inspection> {
    // One after the other: a queue of any length, each call within its own time, and calls of others in between.
    const read = async (ids: string[]) => {
      const replies: Reply[] = [];
      for (let i = 0; i < ids.length; i += MAX_JOBS_PER_SCRIPT) {
        replies.push(...((await this.#run("inspect", queue, ids.slice(i, i + MAX_JOBS_PER_SCRIPT))) as Reply[]));
      }
      return replies;
    };
    return inspect(queue, this.#link, this.#keys, read);
  }

  async close(): Promise<void> {
    this.#hintLine.close();
    await this.#link.close();
    this.#readiness.close();
  }

  // ── what they share ────────────────────────────────────────────────────────

  /** @param of a queue, or the keys of a script that is about none */
  #run(name: ScriptName, of: string | readonly string[], args: Packable[]): Promise<Reply> {
    const keys = typeof of === "string" ? this.#keys.ofScript(of) : of;
    return this.#link.run({ script: script(name), keys, common: this.#common, packed: packVerb(name, args) });
  }

  get #common(): readonly Argument[] {
    const offsetMs = this.#offsetMs;
    if (this.#said[0] !== offsetMs) this.#said = [offsetMs, this.#options.brokerId];
    return this.#said;
  }

  get #offsetMs(): number {
    return this.#options.clockOffsetMs?.() ?? 0;
  }

  async #inChunks<T>(items: readonly T[], ask: (chunk: T[]) => Promise<Reply>): Promise<Reply[]> {
    const asked: Promise<Reply>[] = [];
    for (let i = 0; i < items.length; i += MAX_JOBS_PER_SCRIPT)
      asked.push(ask(items.slice(i, i + MAX_JOBS_PER_SCRIPT)));
    return (await Promise.all(asked)).flat() as Reply[];
  }

  #changedReadiness(ready: boolean): void {
    // Another server, or the same without what it had: nothing known of it counts.
    if (ready) this.#registry.forget();
    this.#link.open = ready;
  }

  #hinted(message: Buffer): void {
    const hint = decodeHint(message);
    if (hint) for (const listener of this.#listeners) listener(hint);
  }
}

/** Refused before anything was stored, and never stored by an earlier try. */
function isFull(error: unknown): boolean {
  return error instanceof CallFailed && error.code === "OOM" && error.accepted === "no";
}
