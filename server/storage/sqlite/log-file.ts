/**
 * SQLite's write-ahead log, synced from beside it. A commit only writes the log (`synchronous = NORMAL`); that it lasts is
 * a sync of the log, which takes from a fraction of a millisecond to many: not on the event loop, and not one for each
 * commit. What was not synced when the power goes is a torn tail of the log, which SQLite leaves out.
 */
import { closeSync, fdatasync, openSync } from "node:fs";

export class LogFile {
  readonly #path: string;
  #descriptor: number | undefined;

  /** @param database its path */
  constructor(database: string) {
    this.#path = `${database}-wal`;
  }

  /** Resolves once everything that was written before the call is on the disk. */
  sync(): Promise<void> {
    // There from the first write on, and the same file until the database is closed. SQLite keeps no lock on it, which
    // closing another descriptor would drop.
    this.#descriptor ??= openSync(this.#path, "r+");
    const descriptor = this.#descriptor;
    return new Promise((resolve, reject) => {
      fdatasync(descriptor, (error) => {
        if (error) reject(new Error(`disk I/O error: the log cannot be synced (${error.code})`, { cause: error }));
        else resolve();
      });
    });
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
