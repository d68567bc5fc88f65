/**
 * Random histories in lockstep: every backend gets the same verbs and the same moves of time as `memory:`, and after
 * each step the answer and the whole state must be the same. LOCKSTEP_SEED=n runs one history, LOCKSTEP_RUNS=n that many;
 * `npm run torture` runs 200.
 */
import { describe, expect, test } from "vitest";
import type { Inspection, Storage } from "../../server/storage/storage.ts";
import { backends, type Opened } from "../support/storages.ts";
import { assertSound, specOf, unique } from "./contract/rig.ts";
import { GRID, History } from "./histories.ts";

const STEPS = 100;
const RUNS = Number(process.env.LOCKSTEP_RUNS ?? 8);
const SEEDS = process.env.LOCKSTEP_SEED
  ? [Number(process.env.LOCKSTEP_SEED)]
  : Array.from({ length: RUNS }, (_, i) => i + 1);

const [reference, ...others] = backends;

for (const backend of others) {
  const reason = backend.unavailable;
  const title = `lockstep of ${reference!.name} and ${backend.name}${reason ? ` (skipped: ${reason})` : ""}`;
  describe.skipIf(reason !== undefined)(title, () => {
    test.each(SEEDS)("seed %i", async (seed) => {
      const opened = await Promise.all([reference!.open(), backend.open()]);
      try {
        await walk(seed, opened as [Opened, Opened]);
      } finally {
        await Promise.all(opened.map((storage) => storage.close()));
      }
    });
  });
}

async function walk(seed: number, opened: readonly [Opened, Opened]): Promise<void> {
  const history = new History(seed);
  const views = await Promise.all(opened.map(async ({ storage }) => new View(await timeOf(storage))));
  for (let n = 1; n <= STEPS; n++) {
    const step = history.next();
    const message = `seed ${seed}, step ${n}: ${step.title}`;
    if (step.advanceMs !== undefined) await Promise.all(opened.map(({ advance }) => advance(step.advanceMs!)));
    if (step.reopen) await Promise.all(opened.map((one) => one.reopen?.()));
    const raw = await Promise.all(opened.map(({ storage }) => step.run(storage)));
    step.saw?.(raw[0]);
    const [expected, answer] = raw.map((value, i) => views[i]!.seen(value));
    expect(answer, `${message}: answer`).toEqual(expected);
    for (const queue of history.queues) {
      const states = await Promise.all(opened.map(({ storage }) => storage.inspect(queue)));
      for (const state of states) assertSound(state);
      const [before, now] = states.map((state, i) => views[i]!.state(state));
      expect(now, `${message}: state of ${queue}`).toEqual(before);
    }
  }
}

/** The storage's time, in milliseconds. */
async function timeOf(storage: Storage): Promise<number> {
  const spec = specOf("what time is it", { queue: "clock" });
  await storage.enqueue({ spec, requestId: unique(), hungryHere: true });
  return (await storage.read({ queue: "clock", jobId: spec.jobId }))!.createTime;
}

const times = new Set(["createTime", "startTime", "endTime", "expireTime", "dueTime", "leaseUntil", "runUntil"]);
const spans = new Set(["tickInMs", "nextInMs", "runTimeoutLeftMs", "oldestWaitMs"]);

/**
 * What a backend shows, less what is its own: times become steps of the grid since the start; versions and fences,
 * which come from the clock, become the order in which they were seen; places in line become ranks.
 */
class View {
  readonly #start: number;
  readonly #ranks = new Map<string, { last: number; rank: number }>();

  constructor(start: number) {
    this.#start = start;
  }

  state({ jobs, indexes, bytes }: Inspection): unknown {
    const line = jobs.map(({ record }) => record.seq).sort((a, b) => a - b);
    const byId = [...jobs].sort((a, b) => (a.record.jobId < b.record.jobId ? -1 : 1));
    return {
      jobs: byId.map((job) => this.seen({ ...job, record: { ...job.record, seq: line.indexOf(job.record.seq) } })),
      // The order of entries of one time is a backend's own; assertSound checks the order of the line.
      indexes: Object.fromEntries(Object.entries(indexes).map(([name, ids]) => [name, [...ids].sort()])),
      bytes,
    };
  }

  seen(value: unknown, name = "", owner = ""): unknown {
    if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString("hex")}`;
    if (Array.isArray(value)) return this.#list(value, name, owner);
    if (typeof value === "number") return this.#number(value, name, owner);
    if (typeof value !== "object" || value === null) return value;
    const { queue, jobId } = value as Record<string, unknown>;
    const job = typeof jobId === "string" ? `${queue} ${jobId}` : owner;
    // `changed` happened before `jobs` were claimed.
    const fields = Object.entries(value)
      // When an empty queue is forgotten is a backend's own.
      .filter(([field]) => field !== "gone")
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(fields.map(([field, inner]) => [field, this.seen(inner, field, job)]));
  }

  #list(list: unknown[], name: string, owner: string): unknown[] {
    const seen = list.map((item) => this.seen(item, name, owner));
    if (name !== "changed") return seen;
    return seen.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }

  #number(value: number, name: string, owner: string): unknown {
    if (times.has(name)) return value === 0 ? "never" : Math.round((value - this.#start) / GRID);
    if (spans.has(name)) return Math.round(value / GRID);
    if (name === "version" || name === "fence") return this.#rank(`${name} ${owner}`, value);
    return value;
  }

  #rank(what: string, value: number): unknown {
    if (value === 0) return 0;
    const { last, rank } = this.#ranks.get(what) ?? { last: 0, rank: 0 };
    if (value < last) return `fell after ${rank}`;
    const now = value > last ? rank + 1 : rank;
    this.#ranks.set(what, { last: value, rank: now });
    return now;
  }
}
