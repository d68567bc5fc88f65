/** Whether the server can be used now: looked at on every connection, then each minute. Refuses at the start only; later it waits. */
import { Cluster, type Redis } from "ioredis";
import type { Clock, Timer } from "../../../protocol/clock.ts";
import { type Durability, StorageRefused } from "../storage.ts";
import { type Client, send as sendTo } from "./client.ts";
import { examine, type Facts, type Health, worst } from "./health.ts";
import { type Keys, SCHEMA_VERSION } from "./keys.ts";
import { judge } from "./redis-error.ts";

export interface ReadinessOptions {
  clock: Clock;
  keys: Keys;
  /** For messages: without credentials. */
  name: string;
  /** Who is the master changes by itself: sentinels, a cluster. */
  failsOver: boolean;
  requireDurability: Durability | undefined;
  warn(message: string): void;
  /** Verbs may go out, or not. */
  onChange(ready: boolean): void;
}

const CHECK_EVERY_MS = 60_000;
/** While it cannot be used: an operator is at it. */
const CHECK_AGAIN_MS = 2_000;
const CHECK_TIMEOUT_MS = 5_000;

/** Histories of masters that are remembered. */
const MAX_HISTORIES = 1_000;

export class Readiness {
  readonly #o: ReadinessOptions;
  readonly #listeners = new Set<(ready: boolean) => void>();
  readonly #warned = new Set<string>();
  readonly #first = Promise.withResolvers<void>();
  #ready = false;
  #settled = false;
  #closed = false;
  /** Rises with every connection and check: an older check has nothing to say. */
  #round = 0;
  #timer: Timer | undefined;
  /** The histories that the servers wrote when they were last looked at, as replication names them. */
  #histories: ReadonlySet<string> = new Set();
  health: Health = { loading: false, durability: "redis-volatile", version: "Redis", warnings: new Map() };

  constructor(options: ReadinessOptions) {
    this.#o = options;
    this.#first.promise.catch(() => {});
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Once it is known how the start went; with a server that cannot be reached, at the first failure. Rejects with StorageRefused. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  onReady(listener: (ready: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  connected(client: Client): void {
    this.#timer?.cancel();
    void this.#check(client, ++this.#round);
  }

  disconnected(why: string): void {
    this.#timer?.cancel();
    this.#round++;
    this.#become(false);
    if (!this.#settled) this.#warnOnce("unreachable", `cannot be reached (${why}); trying again until it can`);
    this.#started();
  }

  /** Hints may be missing: listeners read again. */
  hintsMissed(): void {
    if (this.#ready) this.#tell(true);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#round++;
    this.#become(false);
  }

  async #check(client: Client, round: number): Promise<void> {
    let again = CHECK_AGAIN_MS;
    try {
      const health = await this.#within(CHECK_TIMEOUT_MS, this.#look(client));
      if (round !== this.#round) return;
      this.health = health;
      for (const [name, message] of health.warnings) this.#warnOnce(name, message);
      if (health.refusal) this.#refuse(health.refusal);
      else if (!health.loading) again = CHECK_EVERY_MS;
      this.#become(!health.refusal && !health.loading);
    } catch (error) {
      if (round !== this.#round) return;
      this.#warnOnce("check", `cannot be examined (${judge(error).code}); trying again until it can`);
      this.#become(false);
    }
    this.#started();
    this.#timer = this.#o.clock.setTimer(() => void this.#check(client, ++this.#round), again, { unref: true });
  }

  async #look(client: Client): Promise<Health> {
    const schemaKey = this.#o.keys.schema();
    const schema = (await sendTo(client, "get", [schemaKey])) as Buffer | null;
    const nodes = client instanceof Cluster ? client.nodes("master") : [client];
    const found = await Promise.all(nodes.map((node) => this.#factsOf(node, schema?.toString())));
    this.#noteFailover(found);
    const health = worst(found.map((facts) => examine(facts, this.#o.requireDurability)));
    // Written once; refused on a full server, which is as well.
    if (!health.refusal && schema === null)
      await sendTo(client, "set", [schemaKey, SCHEMA_VERSION, "NX"]).catch(() => {});
    return health;
  }

  /** A replica that was promoted says whose history it goes on with. What it had not heard of that is gone, and nobody knows what it was. */
  #noteFailover(found: readonly Facts[]): void {
    const before = this.#histories;
    const histories = found.map(
      ({ info }) => [info.get("master_replid") ?? "", info.get("master_replid2") ?? ""] as const,
    );
    // Not only the last: a master that comes back before it is demoted has a history of its own, and comes in between.
    this.#histories = new Set([...before, ...histories.map(([history]) => history)].slice(-MAX_HISTORIES));
    if (!histories.some(([history, continued]) => !before.has(history) && before.has(continued))) return;
    const unplanned =
      "unless that was planned, the last that was confirmed before may be missing; queuecall fsck checks the rest";
    this.#o.warn(`storage ${this.#o.name}: a replica took over from its master; ${unplanned}`);
  }

  async #factsOf(node: Redis, schema: string | undefined): Promise<Facts> {
    const { clock } = this.#o;
    const before = clock.now();
    const [seconds, micros] = await node.time();
    const clockAheadMs = Number(seconds) * 1000 + Number(micros) / 1000 - (before + clock.now()) / 2;
    const info = parseInfo(await node.info());
    const config = await node.config("GET", "append*", "no-appendfsync-on-rewrite", "timeout").catch(() => []);
    return { info, config: parsePairs(config as string[]), schema, clockAheadMs, failsOver: this.#o.failsOver };
  }

  #refuse(refusal: string): void {
    const message = `storage ${this.#o.name}: ${refusal}`;
    if (this.#settled) return this.#warnOnce(refusal, `${refusal} (not ready until then)`);
    this.#settled = true;
    this.#first.reject(new StorageRefused(message));
  }

  #become(ready: boolean): void {
    const before = this.#ready;
    this.#ready = ready && !this.#closed;
    if (before === this.#ready) return;
    this.#o.onChange(this.#ready);
    this.#tell(this.#ready);
  }

  #tell(ready: boolean): void {
    for (const listener of this.#listeners) listener(ready);
  }

  #started(): void {
    this.#settled = true;
    this.#first.resolve();
  }

  #warnOnce(name: string, message: string): void {
    if (this.#warned.has(name)) return;
    this.#warned.add(name);
    this.#o.warn(`storage ${this.#o.name}: ${message}`);
  }

  #within<T>(ms: number, promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#o.clock.setTimer(() => reject(new Error("no answer")), ms);
      promise.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}

/** "field:value" a line. */
function parseInfo(text: string): Map<string, string> {
  const lines = text.split("\r\n").filter((line) => line.includes(":") && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));
}

function parsePairs(flat: readonly string[]): Map<string, string> {
  const pairs = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.set(flat[i]!, flat[i + 1]!);
  return pairs;
}
