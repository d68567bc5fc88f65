/**
 * Time and chance come in from outside, so that tests can move the one and fix
 * the other. Core code calls no Date.now, setTimeout or Math.random.
 */
import { randomBytes, randomFillSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import { MAX_TIMER_MS } from "./limits.ts";

export interface Timer {
  /** Safe to call at any time, any number of times. */
  cancel(): void;
}

export interface Clock {
  /** Wall clock. Milliseconds since 1970, may be fractional. */
  now(): number;
  /** Never goes back. Milliseconds from any origin. */
  monotonic(): number;
  /** Calls `fn` once after `ms` (any length; below zero counts as zero). `unref`: the timer alone keeps no process alive. */
  setTimer(fn: () => void, ms: number, options?: { unref?: boolean }): Timer;
  /** Calls `fn` once all is done that follows from the event at hand, promises included: the point where batches leave. */
  soon(fn: () => void): void;
  /** Calls `fn` once the current turn of the event loop has read its input, and what it wrote is on its way. */
  defer(fn: () => void): void;
  /** From 0 (inclusive) to 1 (exclusive). */
  random(): number;
  /** Unpredictable bytes. */
  randomBytes(length: number): Uint8Array;
}

/** One object and no closures: a broker has some for each call that waits. Longer waits than setTimeout can take are taken in steps. */
class SystemTimer implements Timer {
  readonly #fn: () => void;
  readonly #unref: boolean;
  #left: number;
  #handle: NodeJS.Timeout | undefined;

  constructor(fn: () => void, ms: number, unref: boolean) {
    this.#fn = fn;
    this.#unref = unref;
    this.#left = Math.max(ms, 0);
    this.#arm();
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  #arm(): void {
    const step = Math.min(this.#left, MAX_TIMER_MS);
    this.#left -= step;
    this.#handle = setTimeout(SystemTimer.#fire, step, this);
    if (this.#unref) this.#handle.unref();
  }

  static #fire(timer: SystemTimer): void {
    if (timer.#left > 0) timer.#arm();
    else timer.#fn();
  }
}

/** The real thing. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer: (fn, ms, options) => new SystemTimer(fn, ms, options?.unref === true),
  soon: (fn) => process.nextTick(fn),
  defer: (fn) => void setImmediate(fn),
  random: () => Math.random(),
  randomBytes: (length) => (length > POOLED_BYTES ? randomBytes(length) : pooled(length)),
};

/** Ids and tokens come from a stock: asking the system for each would cost more than all else that is done with it. */
const STOCK_BYTES = 4_096;
const POOLED_BYTES = 256;
const stock = new Uint8Array(STOCK_BYTES);
let used = STOCK_BYTES;

/** No byte is given out twice, and none stays behind. */
function pooled(length: number): Uint8Array {
  if (used + length > STOCK_BYTES) {
    randomFillSync(stock);
    used = 0;
  }
  const bytes = Buffer.from(stock.subarray(used, used + length));
  stock.fill(0, used, used + length);
  used += length;
  return bytes;
}
