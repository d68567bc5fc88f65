/** The waits between tries. The only place that computes them in TypeScript; storage/redis has the same arithmetic in Lua. */

export interface Backoff {
  /** Upper bound of the first wait. Milliseconds. */
  initialMs: number;
  /** Growth per attempt. */
  multiplier: number;
  /** Upper bound of any wait. Milliseconds. */
  maxMs: number;
}

/**
 * Full jitter: a random part of min(max, initial × multiplier^(attempt − 1)), in whole milliseconds.
 * Multiplied step by step, not by a power, so that Lua and JavaScript agree to the last bit.
 * @param attempt the try that failed, from 1
 * @param jitter from 0 (inclusive) to 1 (exclusive)
 */
export function backoffMs(backoff: Backoff, attempt: number, jitter: number): number {
  let bound = backoff.initialMs;
  for (let i = 1; i < attempt && bound < backoff.maxMs; i++) bound *= backoff.multiplier;
  return Math.floor(Math.min(bound, backoff.maxMs) * jitter);
}

/** The same for connections: doubles from `initialMs` to `maxMs`, never below half, so that retries spread but do not spin. */
export function reconnectMs(attempt: number, jitter: number, initialMs = 100, maxMs = 5_000): number {
  const bound = Math.min(maxMs, initialMs * 2 ** Math.min(attempt, 20));
  return Math.floor(bound / 2 + (bound / 2) * jitter);
}
