/**
 * Every key and channel name, and nowhere else. All keys of a queue share the
 * hash tag `{queue}`, so a script finds them in one slot of a cluster; a queue
 * name holds no braces, and the prefix in front of the tag may not either. A
 * queue that outgrows one slot can later be split into `{queue#1}`, `{queue#2}`,
 * …, since no name contains "#".
 *
 *   qc:{queue}:m         hash    place in line (n), bytes of unfinished jobs (b), last look for leases that are over (l),
 *                                their grace (g), paused (p)
 *   qc:{queue}:s         zset    scheduled, by due time
 *   qc:{queue}:q         zset    queued, by -priority × 2^42 + place in line
 *   qc:{queue}:r         zset    running, by end of lease: this set is who runs
 *   qc:{queue}:f         zset    finished, by the time they are forgotten
 *   qc:{queue}:e:<state> zset    finished so, by the time they ended: for lists
 *   qc:{queue}:b         zset    never started, by the time that fails them
 *   qc:{queue}:w         zset    brokers with room, by when they said so
 *   qc:{queue}:j:<id>    hash    all of a job: record (r), payload, or the result of one that succeeded (p), what the worker
 *                                said of a failure (o), last report of progress (g), tries that failed (h): prelude.lua
 *   qc:{queue}:c:<broker>.<lane>  string  what the lane's newest claim got
 *   qc:queues:0 … 15     zset    names of queues, by when they were last said to be in use: registry.ts
 *   qc:{#brokers}:b      zset    brokers, by when what they announced is over
 *   qc:{#brokers}:a      hash    what each announced: attached.ts
 *   qc:{#services}:names set     names of announced services
 *   qc:{#services}:s:<name> hash  its methods, and "descriptors"
 *   qc:schema            string  version of all this
 */

/** Rises with every change that an older broker must not see. */
export const SCHEMA_VERSION = 2;
export const REGISTRIES = 16;

/** The zsets that jobs are in, by the names of Inspection. */
const fixed = ["scheduled", "queued", "running", "finished", "start_by"] as const;
const ended = ["succeeded", "failed", "cancelled"] as const;
export type IndexName = (typeof fixed)[number] | (typeof ended)[number];
export const indexNames: readonly IndexName[] = [...fixed, ...ended];

/** Of the keys of a queue: fixed ones by their letter, those of a job, an end or a lane by the letter in front of it. */
const types: Record<string, string> = {
  ...{ m: "hash", s: "zset", q: "zset", r: "zset", f: "zset", b: "zset", w: "zset", "e:": "zset" },
  ...{ "j:": "hash", "c:": "string" },
};

/** Text as it is, in a glob. */
const escaped = (text: string) => text.replace(/[\\*?[\]]/g, "\\$&");

/** Queues whose keys are remembered; with more, all are forgotten now and then. */
const MAX_REMEMBERED = 1_000;

export class Keys {
  readonly #prefix: string;
  readonly #remembered = new Map<string, readonly string[]>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** KEYS of every script, in the order of prelude.lua. */
  ofScript(queue: string): readonly string[] {
    return this.#remembered.get(queue) ?? this.#remember(queue);
  }

  #remember(queue: string): readonly string[] {
    const tag = this.#tag(queue);
    const keys = [this.meta(queue), `${tag}s`, `${tag}q`, `${tag}r`, `${tag}f`, `${tag}b`, `${tag}w`];
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(queue, keys);
    return keys;
  }

  /** The hash with what a queue has beside its jobs. */
  meta(queue: string): string {
    return `${this.#tag(queue)}m`;
  }

  /** KEYS of the scripts that are about brokers, not about a queue: in a slot of their own, "#" is in no queue's name. */
  ofBrokers(): string[] {
    const tag = this.#tag("#brokers");
    return [`${tag}b`, `${tag}a`];
  }

  index(queue: string, name: IndexName): string {
    const at = (fixed as readonly string[]).indexOf(name);
    return at < 0 ? `${this.#tag(queue)}e:${name}` : this.ofScript(queue)[1 + at]!;
  }

  /** A glob for all keys. */
  pattern(): string {
    return `${escaped(this.#prefix)}:*`;
  }

  /** What a key is for. `queue`: "" where it is of none. `ofJobs`: it is there because the queue has jobs. Undefined: not one of these. */
  describe(key: string): { type: string; queue: string; ofJobs: boolean } | undefined {
    const name = key.slice(this.#prefix.length + 1);
    if (name === "schema") return { type: "string", queue: "", ofJobs: false };
    if (/^queues:\d+$/.test(name)) return { type: "zset", queue: "", ofJobs: false };
    const [, tag = "", rest = ""] = /^\{([^}]*)\}:(.*)$/s.exec(name) ?? [];
    if (tag === "#services") return { type: rest === "names" ? "set" : "hash", queue: "", ofJobs: false };
    if (tag === "#brokers") return { type: rest === "a" ? "hash" : "zset", queue: "", ofJobs: false };
    const [part = ""] = rest;
    const type = types[rest.includes(":") ? `${part}:` : rest];
    return type === undefined ? undefined : { type, queue: tag, ofJobs: !["m", "w", "c:"].includes(rest.slice(0, 2)) };
  }

  job(queue: string, id: string): string {
    return `${this.#tag(queue)}j:${id}`;
  }

  /** A glob for the keys of a queue's jobs, and whose a key is that it finds. */
  jobs(queue: string): { pattern: string; idOf(key: Buffer): string } {
    const start = this.job(queue, "");
    const bytes = Buffer.byteLength(start);
    return { pattern: `${escaped(start)}*`, idOf: (key) => key.toString("utf8", bytes) };
  }

  /** The registry that a queue is named in: spread, so that no slot has them all. */
  registryOf(queue: string): string {
    let hash = 0;
    for (let i = 0; i < queue.length; i++) hash = (hash * 31 + queue.charCodeAt(i)) | 0;
    return this.registry((hash >>> 0) % REGISTRIES);
  }

  registry(index: number): string {
    return `${this.#prefix}:queues:${index}`;
  }

  services(): string {
    return `${this.#prefix}:{#services}:names`;
  }

  service(name: string): string {
    return `${this.#prefix}:{#services}:s:${name}`;
  }

  schema(): string {
    return `${this.#prefix}:schema`;
  }

  /** The channel of hints for one broker. */
  hints(broker: string): string {
    return `${this.#prefix}:hint:${broker}`;
  }

  #tag(queue: string): string {
    return `${this.#prefix}:{${queue}}:`;
  }
}
