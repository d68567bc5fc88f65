/** The names of the queues, and what is kept of each beside its jobs. */
import type { DatabaseSync, StatementSync } from "node:sqlite";

const PAGE = 1_000;

/** Leases of the queue are not reaped for now: Tick.graceMs. */
export interface Grace {
  /** No lease is reaped before. */
  until: number;
  /** What further requests in the same row cannot pass. 0: no row. */
  limit: number;
}

export const NO_GRACE: Grace = { until: 0, limit: 0 };

export class Queues {
  readonly #add: StatementSync;
  readonly #forget: StatementSync;
  readonly #page: StatementSync;
  readonly #grace: StatementSync;
  readonly #setGrace: StatementSync;
  readonly #paused: StatementSync;
  readonly #setPaused: StatementSync;

  constructor(db: DatabaseSync) {
    this.#add = db.prepare("INSERT OR IGNORE INTO queues (name, grace_until, grace_limit, paused) VALUES (?, 0, 0, 0)");
    this.#forget = db.prepare(
      "DELETE FROM queues WHERE name = ? AND paused = 0 AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_key WHERE queue = queues.name)",
    );
    this.#page = db.prepare(`SELECT name FROM queues WHERE name > ? ORDER BY name LIMIT ${PAGE}`);
    this.#grace = db.prepare("SELECT grace_until AS until, grace_limit AS 'limit' FROM queues WHERE name = ?");
    this.#setGrace = db.prepare("UPDATE queues SET grace_until = ?, grace_limit = ? WHERE name = ?");
    this.#paused = db.prepare("SELECT 1 FROM queues WHERE name = ? AND paused = 1");
    this.#setPaused = db.prepare("UPDATE queues SET paused = ? WHERE name = ?");
  }

  add(queue: string): void {
    this.#add.run(queue);
  }

  /** A queue is its jobs: without any, and not paused, there is nothing to remember. */
  forgetIfEmpty(queue: string): void {
    this.#forget.run(queue);
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

  grace(queue: string): Grace {
    return (this.#grace.get(queue) as Grace | undefined) ?? NO_GRACE;
  }

  setGrace(queue: string, { until, limit }: Grace): void {
    this.#setGrace.run(until, limit, queue);
  }
}
