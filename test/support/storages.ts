/**
 * The backends that the contract tests and the lockstep run on. A new backend
 * is one entry here; every test of test/storage/contract then runs on it.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { ManualClock } from "../../protocol/manual-clock.ts";
import { openStorage } from "../../server/storage/open.ts";
import type { Storage, StorageOptions } from "../../server/storage/storage.ts";
import { redis, redisCluster } from "./redis-backends.ts";

export interface BackendOptions {
  /** Name of the broker that the storage is opened for. */
  brokerId: string;
}

/** One opened storage, with nothing in it. */
export interface Opened {
  readonly storage: Storage;
  /**
   * Moves the storage's time forward. Time may also move by itself (a server's clock), by less than a second per
   * test: tests use durations in whole seconds and never look at what happens less than a second before a due time.
   */
  advance(ms: number): Promise<void>;
  /** A second broker on the same storage and the same time. Undefined where a storage takes one broker. Closed with the first. */
  peer?(brokerId: string): Promise<Storage>;
  /** Closes the storage and opens it again with what it kept; `storage` is the new one. Undefined where nothing is kept. */
  reopen?(): Promise<Storage>;
  /** Closes the storage and removes what it kept. */
  close(): Promise<void>;
}

export interface Backend {
  /** "memory", "sqlite", "redis", "redis-cluster". */
  name: string;
  /** Why it cannot run here, e.g. "no redis-server on the PATH"; undefined if it can. The tests are then skipped with this reason. */
  unavailable?: string;
  open(options?: Partial<BackendOptions>): Promise<Opened>;
}

/** Storage options on virtual time. A warning is nothing to a test unless it asks. */
export function testOptions(clock: ManualClock, more: Partial<StorageOptions> = {}): StorageOptions {
  return { brokerId: "b1", clock, warn: () => {}, ...more };
}

const memory: Backend = {
  name: "memory",
  async open(options = {}) {
    const clock = new ManualClock();
    const storage = await openStorage("memory:", testOptions(clock, options));
    return { storage, advance: (ms) => clock.advance(ms), close: () => storage.close() };
  },
};

/** The folders of a test file's databases: what is not in use is taken again, with the room that SQLite keeps beside its file. */
const folders: string[] = [];
const free: string[] = [];
afterAll(async () => {
  free.length = 0;
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

async function emptyFolder(): Promise<string> {
  const folder = free.pop() ?? (await mkdtemp(join(tmpdir(), "queuecall-")));
  if (!folders.includes(folder)) folders.push(folder);
  for (const end of ["", "-wal", "-shm"]) await rm(join(folder, `jobs.db${end}`), { force: true });
  return folder;
}

const sqlite: Backend = {
  name: "sqlite",
  async open(options = {}) {
    const clock = new ManualClock();
    const folder = await emptyFolder();
    const open = () => openStorage(`sqlite:${join(folder, "jobs.db")}`, testOptions(clock, options));
    let storage = await open();
    return {
      get storage() {
        return storage;
      },
      advance: (ms) => clock.advance(ms),
      async reopen() {
        await storage.close();
        storage = await open();
        return storage;
      },
      async close() {
        await storage.close();
        free.push(folder);
      },
    };
  },
};

export const backends: readonly Backend[] = [memory, sqlite, redis, redisCluster];
