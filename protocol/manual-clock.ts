/** A clock that stands still until a test moves it. */
import { randomBytes } from "node:crypto";
import type { Clock, Timer } from "./clock.ts";

interface Pending {
  at: number;
  order: number;
  fn: () => void;
}

export class ManualClock implements Clock {
  readonly #pending = new Set<Pending>();
  readonly #start: number;
  readonly #settle: () => Promise<void>;
  #elapsed = 0;
  #order = 0;

  /**
   * @param start wall clock at the start; milliseconds since 1970
   * @param settle awaited after each timer, so that what it set in motion comes to rest before time moves on
   */
  constructor(start = 1_800_000_000_000, settle: () => Promise<void> = turns(4)) {
    this.#start = start;
    this.#settle = settle;
  }

  now(): number {
    return this.#start + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  setTimer(fn: () => void, ms: number): Timer {
    const entry: Pending = { at: this.#elapsed + Math.max(0, ms), order: this.#order++, fn };
    this.#pending.add(entry);
    return { cancel: () => void this.#pending.delete(entry) };
  }

  soon(fn: () => void): void {
    process.nextTick(fn);
  }

  defer(fn: () => void): void {
    setImmediate(fn);
  }

  random(): number {
    return 0.5;
  }

  randomBytes(length: number): Uint8Array {
    return randomBytes(length);
  }

  /** Timers that have not fired. */
  get timers(): number {
    return this.#pending.size;
  }

  /** Moves time, firing each timer at its own moment, in order. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await this.#settle();
    for (let next = this.#due(end); next !== undefined; next = this.#due(end)) {
      this.#pending.delete(next);
      this.#elapsed = Math.max(this.#elapsed, next.at);
      next.fn();
      await this.#settle();
    }
    this.#elapsed = end;
  }

  #due(end: number): Pending | undefined {
    let first: Pending | undefined;
    for (const entry of this.#pending) {
      if (entry.at > end) continue;
      if (first === undefined || entry.at < first.at || (entry.at === first.at && entry.order < first.order))
        first = entry;
    }
    return first;
  }
}

/** Lets the event loop turn `n` times. */
export function turns(n: number): () => Promise<void> {
  return async () => {
    for (let i = 0; i < n; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  };
}
