/**
 * Room that is kept on the disk for finishing what is there. To end a job SQLite needs some: its log grows, until it is
 * copied into the main file and begins anew. So that a full disk can always be worked off, a file beside the database
 * holds the room; it is given up when SQLite finds none, and until it could be made again no new job is taken.
 */
import { rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../../../protocol/clock.ts";

/** The log is copied at 4 MiB (1,000 pages), and the main file may grow by as much. */
const RESERVE_BYTES = 8 * 1024 * 1024;
/** Taken again only when there is room for it twice, so that it does not come and go. */
const ROOM_BYTES = 2 * RESERVE_BYTES;
/** How often a disk that was full is looked at. Milliseconds. */
const LOOK_EVERY_MS = 1_000;

export class Reserve {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #warn: (message: string) => void;
  #held: boolean;
  #lookedAt: number;

  /** @param path of the database */
  constructor(path: string, clock: Clock, warn: (message: string) => void) {
    this.#path = `${path}-reserve`;
    this.#clock = clock;
    this.#warn = warn;
    this.#lookedAt = clock.monotonic();
    this.#held = sizeOf(this.#path) === RESERVE_BYTES || this.#make(RESERVE_BYTES);
    if (!this.#held) warn(`${this.#path}: the disk is full; no new jobs are taken until it has room`);
  }

  /** Whether there is room beside it, so that new jobs may be taken. */
  get held(): boolean {
    return this.#held || this.#lookAgain();
  }

  /** SQLite found no room: there is some from here on. */
  giveUp(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#lookedAt = this.#clock.monotonic();
    rmSync(this.#path, { force: true });
    this.#warn(`${this.#path}: the disk is full; no new jobs are taken, and those that are there may end in this room`);
  }

  #lookAgain(): boolean {
    const now = this.#clock.monotonic();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return false;
    this.#lookedAt = now;
    this.#held = this.#make(ROOM_BYTES);
    if (this.#held) this.#warn(`${this.#path}: the disk has room again; new jobs are taken`);
    return this.#held;
  }

  #make(needed: number): boolean {
    try {
      const { bavail, bsize } = statfsSync(dirname(this.#path));
      if (bavail * bsize < needed) return false;
      writeFileSync(this.#path, Buffer.alloc(RESERVE_BYTES));
      return true;
    } catch {
      // Between the look and the write somebody else took it, or a quota says no: a part of it is of no use.
      rmSync(this.#path, { force: true });
      return false;
    }
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
