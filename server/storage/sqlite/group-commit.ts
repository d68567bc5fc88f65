/**
 * Many verbs, one transaction, one fsync. What is submitted while the event loop
 * reads its input, or while a commit runs, goes into the next transaction
 * together; each answer leaves after the commit, never before.
 */
import type { Clock } from "../../../protocol/clock.ts";
import { StorageUnavailable } from "../storage.ts";
import { isFatal } from "./sqlite-error.ts";

/** Verbs that may wait for a commit. Callers above are bounded well below; this is the last line. */
const MAX_WAITING = 100_000;
/** A transaction takes no further verb after this long, so that the event loop gets its turn. Milliseconds. */
const MAX_BATCH_MS = 10;

/** The database, as far as transactions go. */
export interface Transactions {
  begin(): void;
  commit(): void;
  /** Also undoes what verbs keep in memory, and makes room where `error` says that there is none. Called with or without an open transaction. */
  rollback(error: unknown): void;
}

interface Verb {
  run(): unknown;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

export class GroupCommit {
  readonly #db: Transactions;
  readonly #clock: Clock;
  readonly #onFatal: (error: Error) => void;
  #waiting: Verb[] = [];
  #scheduled = false;
  #over: string | undefined;

  /** @param onFatal told once of an error after which the storage cannot be trusted */
  constructor(db: Transactions, clock: Clock, onFatal: (error: Error) => void) {
    this.#db = db;
    this.#clock = clock;
    this.#onFatal = onFatal;
  }

  /**
   * Runs the verb in the next transaction. It may run twice, the first time undone.
   * @throws StorageUnavailable (rejects)
   */
  submit<T>(run: () => T): Promise<T> {
    if (this.#over !== undefined) return Promise.reject(new StorageUnavailable(this.#over, "no"));
    if (this.#waiting.length >= MAX_WAITING) {
      return Promise.reject(new StorageUnavailable("too many calls wait for the storage", "no"));
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run, resolve: resolve as (answer: unknown) => void, reject });
      this.#schedule();
    });
  }

  /** Commits what waits; then nothing is taken any more. */
  close(): void {
    while (this.#waiting.length > 0) this.#flush();
    this.#over ??= "the storage is closed";
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.defer(() => {
      this.#scheduled = false;
      if (this.#waiting.length > 0) this.#flush();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    const began = this.#clock.monotonic();
    const answers: unknown[] = [];
    try {
      this.#db.begin();
      for (const verb of this.#waiting) {
        answers.push(verb.run());
        if (this.#clock.monotonic() - began > MAX_BATCH_MS) break;
      }
      this.#db.commit();
    } catch (error) {
      // The verb that threw is in the batch too: alone, only that one fails.
      return this.#failed(error, this.#waiting.splice(0, Math.max(answers.length + 1, 1)));
    }
    const batch = this.#waiting.splice(0, answers.length);
    for (const [i, verb] of batch.entries()) verb.resolve(answers[i]);
  }

  #failed(error: unknown, batch: Verb[]): void {
    if (!this.#undo(error, batch)) return;
    while (batch.length > 0) {
      const verb = batch.shift() as Verb;
      try {
        this.#db.begin();
        const answer = verb.run();
        this.#db.commit();
        verb.resolve(answer);
      } catch (alone) {
        if (!this.#undo(alone, [verb, ...batch])) return;
        verb.reject(new StorageUnavailable(messageOf(alone), "no", alone));
      }
    }
  }

  /** Whether the storage can go on. If not, all are told that their fate is unknown. */
  #undo(error: unknown, batch: Verb[]): boolean {
    let fatal = isFatal(error);
    try {
      this.#db.rollback(error);
    } catch {
      fatal = true;
    }
    if (!fatal) return true;
    this.#over = `the storage failed: ${messageOf(error)}`;
    for (const verb of [...batch, ...this.#waiting.splice(0)]) {
      verb.reject(new StorageUnavailable(this.#over, "unknown", error));
    }
    this.#onFatal(error instanceof Error ? error : new Error(messageOf(error)));
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
