/** Closed loops: so many calls in flight, each slot makes its next call when the last one has its answer. */
import { monitorEventLoopDelay } from "node:perf_hooks";

export interface Load {
  /** Calls in flight. */
  inFlight: number;
  /** How long calls are begun. */
  seconds: number;
}

/** What a loop saw. */
export interface Seen {
  calls: number;
  /** From the first call to the last answer. */
  seconds: number;
  p50Ms: number;
  p99Ms: number;
  /** Event-loop delay of the process that called. */
  callerLoopP99Ms: number;
}

/** @param call one call; `n` counts up over all slots */
export async function closedLoop({ inFlight, seconds }: Load, call: (n: number) => Promise<unknown>): Promise<Seen> {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const took: number[] = [];
  const began = performance.now();
  const until = began + seconds * 1_000;
  let n = 0;
  const slot = async () => {
    for (let now = performance.now(); now < until; ) {
      await call(n++);
      const then = performance.now();
      took.push(then - now);
      now = then;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, slot));
  const elapsed = (performance.now() - began) / 1_000;
  delay.disable();
  took.sort((a, b) => a - b);
  return {
    calls: took.length,
    seconds: elapsed,
    p50Ms: at(took, 0.5),
    p99Ms: at(took, 0.99),
    callerLoopP99Ms: delay.percentile(99) / 1e6,
  };
}

function at(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** JSON of about this many bytes. */
export function payloadOf(bytes: number): { text: string } {
  return { text: "x".repeat(Math.max(0, bytes - 11)) };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
