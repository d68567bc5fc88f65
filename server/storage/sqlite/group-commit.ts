/**
 * Many verbs, one transaction; many transactions, one fsync. What is submitted
 * while the event loop reads its input goes into the next transaction together;
 * what is committed while the disk syncs goes into the next sync together. Each
 * answer leaves after the sync of all that it may have seen, never before.
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
  /** Makes what was committed before the call durable. Absent: a commit does, or nothing has to be. */
  sync?(): Promise<void>;
  /** Whether anything was written since the last time it was asked. */
  wrote?(): boolean;
}

interface Verb {
  run(): unknown;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/** A verb whose transaction is committed. */
interface Answered {
  verb: Verb;
  answer: unknown;
}

export class GroupCommit {
  readonly #db: Transactions;
  readonly #clock: Clock;
  readonly #onFatal: (error: Error) => void;
  #waiting: Verb[] = [];
  /** Answered once it is durable: what the sync under way does not cover, and what it does. */
  #committed: Answered[] = [];
  #beingSynced: Answered[] = [];
  #syncing: Promise<void> | undefined;
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
    if (this.#waiting.length + this.#committed.length >= MAX_WAITING) {
      return Promise.reject(new StorageUnavailable("too many calls wait for the storage", "no"));
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run, resolve: resolve as (answer: unknown) => void, reject });
      this.#schedule();
    });
  }

  /** Commits what waits; then nothing is taken any more. Resolves once it is durable. */
  async close(): Promise<void> {
    while (this.#waiting.length > 0) this.#flush();
    this.#over ??= "the storage is closed";
    while (this.#syncing) await this.#syncing;
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
    this.#tell(batch.map((verb, i) => ({ verb, answer: answers[i] })));
  }

  /** Once all that was committed so far is durable: at once, where it is. */
  #tell(answered: Answered[]): void {
    const wrote = this.#db.wrote?.() ?? true;
    if (!this.#db.sync || !(wrote || this.#syncing || this.#committed.length > 0)) return resolveAll(answered);
    this.#committed.push(...answered);
    this.#sync();
  }

  /** One at a time: what is committed meanwhile goes into the next. */
  #sync(): void {
    if (this.#syncing || this.#committed.length === 0) return;
    this.#beingSynced = this.#committed;
    this.#committed = [];
    this.#syncing = this.#db.sync!().then(
      () => {
        this.#syncing = undefined;
        resolveAll(this.#beingSynced.splice(0));
        this.#sync();
      },
      (error) => {
        this.#syncing = undefined;
        this.#die(error, []);
      },
    );
  }

  #failed(error: unknown, batch: Verb[]): void {
    if (!this.#undo(error, batch)) return;
    while (batch.length > 0) {
      const verb = batch.shift() as Verb;
      try {
        this.#db.begin();
        const answer = verb.run();
        this.#db.commit();
        this.#tell([{ verb, answer }]);
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
    this.#die(error, batch);
    return false;
  }

  /** What is on disk is unknown: so is the fate of everything that was not answered. */
  #die(error: unknown, batch: Verb[]): void {
    const first = this.#over === undefined;
    const over = `the storage failed: ${messageOf(error)}`;
    this.#over = over;
    const committed = [...this.#beingSynced.splice(0), ...this.#committed.splice(0)].map(({ verb }) => verb);
    for (const verb of [...committed, ...batch, ...this.#waiting.splice(0)]) {
      verb.reject(new StorageUnavailable(over, "unknown", error));
    }
    if (first) this.#onFatal(error instanceof Error ? error : new Error(messageOf(error)));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function resolveAll(answered: Answered[]): void {
  for (const { verb, answer } of answered) verb.resolve(answer);
}
