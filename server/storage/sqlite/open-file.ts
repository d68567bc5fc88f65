/** Opens the database, or says in one line why not. Whatever is found is never deleted and never repaired. */
import { mkdirSync, type Stats, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Durability, durabilityOrder, type StorageOptions, StorageRefused } from "../storage.ts";
import { LogFile } from "./log-file.ts";
import { openToLook } from "./node-sqlite.ts";
import { APPLICATION_ID, createSchema, SCHEMA_VERSION } from "./schema.ts";
import { codeOf, SQLITE } from "./sqlite-error.ts";

/** How long a start waits for the broker before it to let go of the file. Milliseconds. */
const LOCK_PATIENCE_MS = 500;
/** Files up to this size are checked whole at each start (about a second); larger ones by their header and schema. */
const FULL_CHECK_BYTES = 256 * 1024 * 1024;
/** Pages kept in memory; SQLite's own default of 2 MiB is less than the indexes of a few thousand jobs. */
const CACHE_KIB = 64 * 1024;
/** SQLite's smallest page. */
const MIN_BYTES = 512;

export interface Opened {
  db: DatabaseSync;
  url: string;
  /** undefined: in memory. */
  path?: string;
  durability: Durability;
  /** To be synced before anything is answered. undefined: nothing is. */
  log?: LogFile;
  /** Above this the file takes no new jobs; what is in it can still be worked off. Bytes. */
  maxBytes: number;
}

interface Place {
  /** undefined: in memory. */
  path?: string;
  synchronous: "FULL" | "NORMAL";
  maxBytes: number;
}

export function openDatabase(url: string, options: StorageOptions): Opened {
  const { path, synchronous, maxBytes } = parse(url);
  const durability = path === undefined ? "memory" : synchronous === "FULL" ? "file" : "file-relaxed";
  requireDurability(durability, options.requireDurability);
  if (path === undefined && options.existing) {
    throw new StorageRefused("storage memory: ends with its process, a file or a server is required; give its URL");
  }
  if (path === undefined) return { db: inMemory(), url: "memory:", durability, maxBytes };
  const db = openFile(path, options.existing);
  const log = synchronous === "FULL" ? new LogFile(path) : undefined;
  return { db, url: `sqlite:${path}`, path, durability, maxBytes, ...(log && { log }) };
}

/** `memory:`, `sqlite:PATH`, `sqlite:PATH?synchronous=normal&max_bytes=10000000`. */
function parse(url: string): Place {
  const place: Place = { synchronous: "FULL", maxBytes: Number.POSITIVE_INFINITY };
  if (url === "memory:") return place;
  if (!url.startsWith("sqlite:")) throw new StorageRefused(`storage URL "${url}": memory: takes nothing after it`);
  const [path = "", query = ""] = url.slice("sqlite:".length).split("?", 2);
  if (path === "") throw new StorageRefused(`storage URL "${url}": a path is required, as in sqlite:/var/lib/queue.db`);
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === "synchronous" && value === "full") place.synchronous = "FULL";
    else if (name === "synchronous" && value === "normal") place.synchronous = "NORMAL";
    else if (name === "max_bytes" && /^[1-9]\d{0,14}$/.test(value)) place.maxBytes = Number(value);
    else {
      throw new StorageRefused(
        `storage URL "${url}": unknown option "${name}=${value}"; use synchronous=full|normal or max_bytes=BYTES`,
      );
    }
  }
  return { ...place, path: resolve(path) };
}

function requireDurability(found: Durability, required: Durability | undefined): void {
  if (required === undefined || durabilityOrder.indexOf(found) >= durabilityOrder.indexOf(required)) return;
  throw new StorageRefused(
    `storage: durability class ${found} found, ${required} required; use another storage or lower --require-durability`,
  );
}

function inMemory(): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  createSchema(db);
  return db;
}

function openFile(path: string, existing = false): DatabaseSync {
  const found = look(path);
  if (!found && existing) {
    throw new StorageRefused(`storage sqlite:${path}: found no file, one is required; give another path`);
  }
  if (found) probe(path);
  let db: DatabaseSync | undefined;
  try {
    if (!found) mkdirSync(dirname(path), { recursive: true });
    db = new DatabaseSync(path);
    db.exec(`PRAGMA busy_timeout = ${LOCK_PATIENCE_MS}`);
    // EXCLUSIVE: the lock is kept from the first read to the end, so a second broker cannot get in between.
    db.exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE; COMMIT;`);
    db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
    if (!isOurs(db, path)) createSchema(db);
    db.exec("PRAGMA journal_mode = WAL");
    // A commit writes the log, a checkpoint syncs it and the file; that a commit lasts is LogFile's to see to.
    db.exec("PRAGMA synchronous = NORMAL");
    if (found && found.size <= FULL_CHECK_BYTES) check(db, path);
    return db;
  } catch (error) {
    db?.close();
    throw refusal(path, error);
  }
}

function look(path: string): Stats | undefined {
  let stats: Stats | undefined;
  try {
    stats = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw refusal(path, error);
  }
  if (stats && !stats.isFile()) {
    throw new StorageRefused(`storage sqlite:${path}: found a ${kindOf(stats)}, a file is required; give another path`);
  }
  // SQLite takes a file of one byte for an empty one, and would write over it.
  if (stats && stats.size > 0 && stats.size < MIN_BYTES) throw notADatabase(path);
  return stats;
}

function kindOf(stats: Stats): string {
  return stats.isDirectory() ? "directory" : "device or socket";
}

/**
 * Whose file it is, before anything can touch it. Through SQLite, since closing a plain descriptor of the file would drop the
 * locks of a broker that has it open in this process.
 */
function probe(path: string): void {
  let db: DatabaseSync | undefined;
  try {
    db = openToLook(path);
    isOurs(db, path);
  } catch (error) {
    throw refusal(path, error);
  } finally {
    db?.close();
  }
}

/** Whether the schema is there; false for a new, empty database. Anything else is refused. */
function isOurs(db: DatabaseSync, path: string): boolean {
  const application = pragma(db, "application_id");
  const version = pragma(db, "user_version");
  const objects = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
  if (application === 0 && version === 0 && objects.n === 0) return false;
  if (application !== APPLICATION_ID) {
    throw new StorageRefused(
      `storage sqlite:${path}: found a SQLite database of another application, a queuecall file is required; give another path`,
    );
  }
  if (version > SCHEMA_VERSION) {
    throw new StorageRefused(
      `storage sqlite:${path}: found schema ${version}, at most ${SCHEMA_VERSION} is known here; start a newer queuecall`,
    );
  }
  if (version < SCHEMA_VERSION) {
    throw new StorageRefused(
      `storage sqlite:${path}: found schema ${version} of before the first release, ${SCHEMA_VERSION} is required; give another path`,
    );
  }
  return true;
}

function pragma(db: DatabaseSync, name: string): number {
  return Object.values(db.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[0] as number;
}

function check(db: DatabaseSync, path: string): void {
  const [first] = db.prepare("PRAGMA quick_check(1)").all() as { quick_check: string }[];
  if (first?.quick_check !== "ok") throw corrupt(path, first?.quick_check ?? "no answer");
}

function corrupt(path: string, what: string): StorageRefused {
  return new StorageRefused(
    `storage sqlite:${path}: found a damaged database (${what.replace(/\s+/g, " ")}), an intact one is required; restore a backup or give another path (the file was left as it is)`,
  );
}

function notADatabase(path: string): StorageRefused {
  return new StorageRefused(
    `storage sqlite:${path}: found a file that is no SQLite database, a queuecall file is required; give another path (the file was left as it is)`,
  );
}

function refusal(path: string, error: unknown): StorageRefused {
  if (error instanceof StorageRefused) return error;
  const message = error instanceof Error ? error.message : String(error);
  switch (codeOf(error)) {
    case SQLITE.BUSY:
      return new StorageRefused(
        `storage sqlite:${path}: found it in use by another process, sole use is required; stop the broker that holds it or give another path`,
      );
    case SQLITE.NOT_A_DATABASE:
      return notADatabase(path);
    case SQLITE.CORRUPT:
      return corrupt(path, message);
    default:
      return new StorageRefused(
        `storage sqlite:${path}: cannot be opened (${message}), a readable and writable file is required; check the path and its permissions`,
      );
  }
}
