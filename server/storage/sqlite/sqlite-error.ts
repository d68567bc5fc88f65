/** What SQLite's result codes mean to a broker: https://sqlite.org/rescode.html */

export const SQLITE = {
  BUSY: 5,
  READ_ONLY: 8,
  IO_ERROR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANNOT_OPEN: 14,
  NOT_A_DATABASE: 26,
} as const;

/** The primary result code, 0 where the error is not SQLite's. */
export function codeOf(error: unknown): number {
  const code = error instanceof Error && "errcode" in error ? error.errcode : 0;
  return typeof code === "number" ? code & 0xff : 0;
}

/** No room: the transaction is undone, nothing else is wrong. */
export function isFull(error: unknown): boolean {
  return codeOf(error) === SQLITE.FULL;
}

const fatal: readonly number[] = [
  SQLITE.IO_ERROR,
  SQLITE.CORRUPT,
  SQLITE.NOT_A_DATABASE,
  SQLITE.READ_ONLY,
  SQLITE.CANNOT_OPEN,
];

/**
 * What is on disk is unknown from here on. Above all after a failed fsync: the system may have dropped the dirty
 * pages and report success the next time, so trying again would lie.
 */
export function isFatal(error: unknown): boolean {
  return fatal.includes(codeOf(error));
}
