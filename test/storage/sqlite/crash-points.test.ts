/**
 * Power loss at every point of a commit. A random history runs on a real file; after each step the files are copied, and
 * what a disk may hold if the power goes during the next step is opened as a broker would. CRASH_SEED=n runs one history,
 * CRASH_RUNS=n that many.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ManualClock } from "../../../protocol/manual-clock.ts";
import { findingsIn } from "../../../server/storage/fsck.ts";
import { openStorage } from "../../../server/storage/open.ts";
import type { Storage } from "../../../server/storage/storage.ts";
import { testOptions } from "../../support/storages.ts";
import { History, randomOf, type Step } from "../histories.ts";
import { payload, specOf, unique } from "../specs.ts";
import { type Files, imagesBetween } from "./disk.ts";

const STEPS = 36;
const RUNS = Number(process.env.CRASH_RUNS ?? 1);
const SEEDS = process.env.CRASH_SEED ? [Number(process.env.CRASH_SEED)] : Array.from({ length: RUNS }, (_, i) => i + 1);
/** Images of one step that are opened, a sample of all: CRASH_IMAGES=n. */
const IMAGES = Number(process.env.CRASH_IMAGES ?? 10);
/** Every so often a job so large that a few of them make SQLite copy its log into the main file. */
const LARGE_EVERY = 4;
const LARGE_BYTES = 600_000;

let folder: string;
beforeAll(() => {
  // In memory where that can be: no power is lost for real, and a disk would be asked for thousands of syncs.
  folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "queuecall-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each(SEEDS)(
  "history %i: what was answered is there, the rest whole or not at all",
  async (seed) => {
    const run = await CrashRun.begin(seed, join(folder, `history-${seed}`));
    for (let n = 1; n <= STEPS; n++) await run.step(n);
    await run.end();
    console.log(`history ${seed}: ${JSON.stringify(run.seen)}`);
    // It was no walk in the park: commits were lost and kept, the log was copied, and started again.
    expect(run.seen.before).toBeGreaterThan(STEPS);
    expect(run.seen.after).toBeGreaterThan(STEPS / 2);
    expect(run.seen.checkpoints).toBeGreaterThan(0);
    expect(run.seen.restarts).toBeGreaterThan(0);
  },
  120_000,
);

class CrashRun {
  readonly seen = { before: 0, after: 0, checkpoints: 0, restarts: 0 };
  readonly #path: string;
  readonly #history: History;
  readonly #random: () => number;
  readonly #clock: ManualClock;
  readonly #storage: Storage;
  readonly #seed: number;
  #files: Files;
  #state: unknown;

  static async begin(seed: number, path: string): Promise<CrashRun> {
    const clock = new ManualClock();
    const storage = await openStorage(`sqlite:${path}`, testOptions(clock));
    return new CrashRun(seed, path, clock, storage, await stateOf(storage));
  }

  private constructor(seed: number, path: string, clock: ManualClock, storage: Storage, state: unknown) {
    this.#seed = seed;
    this.#path = path;
    this.#clock = clock;
    this.#storage = storage;
    this.#history = new History(seed);
    this.#random = randomOf(seed);
    this.#files = filesOf(path);
    this.#state = state;
  }

  async step(n: number): Promise<void> {
    const step = n % LARGE_EVERY === 0 ? largeJob(n) : this.#history.next();
    if (step.reopen) return;
    if (step.advanceMs !== undefined) await this.#clock.advance(step.advanceMs);
    const answer = await step.run(this.#storage);
    step.saw?.(answer);
    const before = { files: this.#files, state: this.#state };
    this.#files = filesOf(this.#path);
    this.#state = await stateOf(this.#storage);
    if (!before.files.db.equals(this.#files.db)) this.seen.checkpoints++;
    if (!before.files.wal.subarray(0, 32).equals(this.#files.wal.subarray(0, 32))) this.seen.restarts++;
    await this.#crashes(before, `seed ${this.#seed}, step ${n} (${step.title})`);
  }

  async end(): Promise<void> {
    await this.#storage.close();
  }

  async #crashes(before: { files: Files; state: unknown }, message: string): Promise<void> {
    const images = [...imagesBetween(before.files, this.#files, this.#random)];
    const share = IMAGES / images.length;
    for (const { title, synced, files } of images) {
      if (this.#random() > share && title !== "log whole") continue;
      const path = `${this.#path}-image`;
      const { db, wal } = files();
      writeFileSync(path, db);
      writeFileSync(`${path}-wal`, wal);
      const storage = await openStorage(`sqlite:${path}`, testOptions(this.#clock, { existing: true }));
      const found = await stateOf(storage);
      await storage.close();
      // Compared as a whole: what is half there is neither of the two. Not by vitest, which takes seconds for large payloads.
      const kept = isDeepStrictEqual(found, this.#state);
      if (!kept && (synced || !isDeepStrictEqual(found, before.state)))
        expect.fail(`${message}, ${title}: ${what(found)}`);
      this.seen[kept ? "after" : "before"]++;
    }
  }
}

function what(state: unknown): string {
  return inspect(state, { depth: 6, maxStringLength: 60, maxArrayLength: 20 });
}

function largeJob(n: number): Step {
  // The same few ids, so that the file does not grow for ever.
  const spec = specOf(`large ${n % 3}`, {
    payload: payload(`${n}`.repeat(LARGE_BYTES / `${n}`.length)),
    onDuplicate: "rerun_if_finished",
  });
  // Together, so that one commit has both.
  const run = (storage: Storage) =>
    Promise.all([storage.cancel(spec), storage.enqueue({ spec, requestId: unique(), hungryHere: false })]);
  return { title: `cancel and enqueue ${spec.jobId}`, run };
}

/** All that a storage holds; sound in itself. */
async function stateOf(storage: Storage): Promise<unknown> {
  const { queues } = await storage.queues();
  const state = queues.map(async (queue) => {
    const inspection = await storage.inspect(queue);
    expect(findingsIn(inspection)).toEqual([]);
    return { queue, paused: (await storage.count(queue)).paused, ...inspection };
  });
  return await Promise.all(state);
}

function filesOf(path: string): Files {
  return { db: readFileSync(path), wal: readFileSync(`${path}-wal`) };
}
