/** Jobs of one state, page by page, the last of their index first. A page goes on where the one before ended, also when that job has gone. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { JobState } from "../../job/job.ts";
import { asArrays } from "./node-sqlite.ts";
import { all, fromRow, indexes, type Kept, select } from "./rows.ts";

const CURSOR = /^(-?\d+) (\d+)$/;

/** What an index is ordered by: its own column, then what tells equals apart. Both backwards. */
interface Order {
  by: "priority" | "dueTime" | "leaseUntil" | "endTime";
  column: string;
  /** The line starts with the highest priority, so backwards it goes up. */
  up: boolean;
  tie: "seq" | "id";
}

const ended: Order = { by: "endTime", column: "end_time", up: false, tie: "id" };
const orders: Record<JobState, Order> = {
  scheduled: { by: "dueTime", column: "due_time", up: false, tie: "id" },
  queued: { by: "priority", column: "priority", up: true, tie: "seq" },
  running: { by: "leaseUntil", column: "lease_until", up: false, tie: "id" },
  succeeded: ended,
  failed: ended,
  cancelled: ended,
};

export class Pages {
  /** Of each state: jobs equal to where the page before ended, and those behind them. */
  readonly #statements = new Map<JobState, { equals: StatementSync; behind: StatementSync }>();

  constructor(db: DatabaseSync) {
    for (const [state, { column, up, tie }] of Object.entries(orders) as [JobState, Order][]) {
      const { index, holds } = indexes[state];
      const from = `${select} INDEXED BY ${index} WHERE queue = ? AND ${holds}`;
      this.#statements.set(state, {
        equals: asArrays(db.prepare(`${from} AND ${column} = ? AND ${tie} < ? ORDER BY ${tie} DESC LIMIT ?`)),
        behind: asArrays(
          db.prepare(
            `${from} AND ${column} ${up ? ">" : "<"} ? ORDER BY ${column} ${up ? "ASC" : "DESC"}, ${tie} DESC LIMIT ?`,
          ),
        ),
      });
    }
  }

  page(queue: string, state: JobState, limit: number, cursor = ""): { kept: Kept[]; next?: string } {
    const { by, up, tie } = orders[state];
    const { equals, behind } = this.#statements.get(state)!;
    const start = up ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    const [, after = start, place = 0] = CURSOR.exec(cursor) ?? [];
    const rows = all(equals, queue, Number(after), Number(place), limit);
    if (rows.length < limit) rows.push(...all(behind, queue, Number(after), limit - rows.length));
    const kept = rows.map(fromRow);
    const last = kept.length === limit && kept.at(-1);
    return { kept, ...(last && { next: `${last.job[by]} ${tie === "id" ? last.id : last.job.seq}` }) };
  }
}
