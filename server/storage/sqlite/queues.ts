/** The names of the queues, and what is kept of each beside its jobs. */
import type { DatabaseSync, StatementSync } from "node:sqlite";

const PAGE = 1_000;

/** When leases that are over were looked for, and whether they are left alone for now: Tick.graceMs. */
export interface Look {
  /** No lease is reaped before. 0: no grace. */
  graceUntil: number;
  /** The last look while leases ran. 0: none. */
  lookedAt: number;
}

const NEVER: Look = { graceUntil: 0, lookedAt: 0 };

export class Queues {
  readonly #add: StatementSync;
  readonly #forget: StatementSync;
  readonly #known: StatementSync;
  readonly #page: StatementSync;
  readonly #look: StatementSync;
  readonly #setLook: StatementSync;
  readonly #paused: StatementSync;
  readonly #setPaused: StatementSync;

  constructor(db: DatabaseSync) {
    this.#add = db.prepare("INSERT OR IGNORE INTO queues (name, grace_until, looked_at, paused) VALUES (?, 0, 0, 0)");
    this.#forget = db.prepare(
      "DELETE FROM queues WHERE name = ? AND paused = 0 AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_key WHERE queue = queues.name)",
    );
    this.#known = db.prepare("SELECT 1 FROM queues WHERE name = ?");
    this.#page = db.prepare(`SELECT name FROM queues WHERE name > ? ORDER BY name LIMIT ${PAGE}`);
    this.#look = db.prepare("SELECT grace_until AS graceUntil, looked_at AS lookedAt FROM queues WHERE name = ?");
    this.#setLook = db.prepare("UPDATE queues SET grace_until = ?, looked_at = ? WHERE name = ?");
    this.#paused = db.prepare("SELECT 1 FROM queues WHERE name = ? AND paused = 1");
    this.#setPaused = db.prepare("UPDATE queues SET paused = ? WHERE name = ?");
  }

  add(queue: string): void {
    this.#add.run(queue);
  }

  /** A queue is its jobs: without any, and not paused, there is nothing to remember. Answers whether it is not there now. */
  forgetIfEmpty(queue: string): boolean {
    this.#forget.run(queue);
    return this.#known.get(queue) === undefined;
  }

  page(cursor = ""): { queues: string[]; next?: string } {
    const queues = (this.#page.all(cursor) as { name: string }[]).map(({ name }) => name);
    const next = queues.length === PAGE && queues.at(-1);
    return next ? { queues, next } : { queues };
  }

  paused(queue: string): boolean {
    return this.#paused.get(queue) !== undefined;
  }

  setPaused(queue: string, paused: boolean): void {
    if (paused) this.add(queue);
    this.#setPaused.run(paused ? 1 : 0, queue);
  }

  look(queue: string): Look {
    return (this.#look.get(queue) as Look | undefined) ?? NEVER;
  }

  setLook(queue: string, { graceUntil, lookedAt }: Look): void {
    this.#setLook.run(graceUntil, lookedAt, queue);
  }
}
