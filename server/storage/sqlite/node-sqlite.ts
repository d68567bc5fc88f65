/**
 * What this backend does without, because node:sqlite of Node 22.13 has not got it: `setReturnArrays`, `isTransaction`
 * and the option `timeout` came with 22.16, `isOpen` and databases named by URL with 22.15. Fallbacks go when the
 * oldest supported Node needs them no more.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { pathToFileURL } from "node:url";

/** What a row is made of: Node types the rows of {@link asArrays} as objects. */
type Row = Record<string, unknown>;

/** Makes the statement answer rows as arrays, in the order of its columns. Column names must differ. */
export function asArrays(statement: StatementSync): StatementSync {
  if ("setReturnArrays" in statement) {
    statement.setReturnArrays(true);
    return statement;
  }
  return arraysOfObjects(statement);
}

/** Rows as objects have their columns in order, too. */
function arraysOfObjects(statement: StatementSync): StatementSync {
  const get = statement.get.bind(statement) as (...values: unknown[]) => Row | undefined;
  const all = statement.all.bind(statement) as (...values: unknown[]) => Row[];
  return Object.assign(statement, {
    get: (...values: unknown[]) => {
      const row = get(...values);
      return row && Object.values(row);
    },
    all: (...values: unknown[]) => all(...values).map((row) => Object.values(row)),
  });
}

/** Ends the open transaction, if there is one: after some errors SQLite has rolled back already. */
export function rollBack(rollback: StatementSync): void {
  try {
    rollback.run();
  } catch (error) {
    if (!/no transaction is active/.test(String(error))) throw error;
  }
}

/**
 * Opens a file to look at it. `immutable` reads the main file alone, takes no lock and never writes, not even to
 * recover a journal. Where Node cannot say so, the file is opened read-only: one that is in use is refused here, and a
 * -wal and -shm of SQLite's may stay beside one that is refused.
 */
export function openToLook(path: string): DatabaseSync {
  const url = pathToFileURL(path);
  url.search = "?mode=ro&immutable=1";
  try {
    return new DatabaseSync(url, { readOnly: true });
  } catch (error) {
    if (!isWrongType(error)) throw error;
    return new DatabaseSync(path, { readOnly: true });
  }
}

function isWrongType(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_INVALID_ARG_TYPE";
}
