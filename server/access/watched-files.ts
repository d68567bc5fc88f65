/**
 * Some small files that belong together, read again when they change: at a hint
 * from the system, and by a slow poll, since hints get lost on network drives
 * and where a directory is swapped as a whole, as Kubernetes does.
 */
import { type FSWatcher, readFileSync, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock, Timer } from "../../protocol/clock.ts";
import { AccessRefused } from "./refused.ts";

const POLL_MS = 10_000;
/** Several files are not written in one moment. */
const SETTLE_MS = 100;

/** Where a change of the files is told. */
export interface ReloadLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface WatchedFilesOptions {
  clock: Clock;
  /** The files have changed. What it throws is told to `failed`, and the old content stands. */
  changed(contents: Buffer[]): void;
  failed(error: Error): void;
}

export class WatchedFiles {
  readonly #files: readonly string[];
  readonly #options: WatchedFilesOptions;
  readonly #watchers: FSWatcher[] = [];
  #seen: Buffer[];
  #poll: Timer | undefined;
  #soon: Timer | undefined;
  #trouble = "";
  #closed = false;

  /** @param seen what the files held when they were read first */
  constructor(files: readonly string[], seen: Buffer[], options: WatchedFilesOptions) {
    this.#files = files;
    this.#seen = seen;
    this.#options = options;
  }

  start(): void {
    for (const folder of new Set(this.#files.map((file) => dirname(file)))) this.#watch(folder);
    this.#pollLater();
  }

  /** Reads them now. Never rejects. */
  async look(): Promise<void> {
    try {
      const contents = await Promise.all(this.#files.map((file) => readFile(file)));
      if (this.#closed || contents.every((each, i) => each.equals(this.#seen[i] as Buffer))) return;
      // What was refused is not looked at again until it changes.
      this.#seen = contents;
      this.#options.changed(contents);
      this.#trouble = "";
    } catch (error) {
      if (this.#closed) return;
      // Said once, not at every poll.
      if ((error as Error).message !== this.#trouble) this.#options.failed(error as Error);
      this.#trouble = (error as Error).message;
    }
  }

  close(): void {
    this.#closed = true;
    this.#poll?.cancel();
    this.#soon?.cancel();
    for (const watcher of this.#watchers) watcher.close();
  }

  /** The folder, not the file: what is replaced by renaming is another file. */
  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#lookSoon());
      watcher.on("error", () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // No hints here; the poll finds out.
    }
  }

  #lookSoon(): void {
    this.#soon?.cancel();
    this.#soon = this.#options.clock.setTimer(() => void this.look(), SETTLE_MS, { unref: true });
  }

  #pollLater(): void {
    const next = () => void this.look().then(() => this.#closed || this.#pollLater());
    this.#poll = this.#options.clock.setTimer(next, POLL_MS, { unref: true });
  }
}

/** @throws AccessRefused */
export function readNow(file: string, what: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : `${code}`;
    throw new AccessRefused(`${what}: cannot read ${file}: ${why}`, { cause: error });
  }
}
