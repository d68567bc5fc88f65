/** How deadlines are said in gRPC. */
import { MAX_TIMER_MS } from "../protocol/limits.ts";

/** In milliseconds up to eight digits, beyond in seconds. Never above what a timer holds, for servers exist that wrap it. */
export function grpcTimeout(ms: number): string {
  return ms < 1e8 ? `${Math.ceil(ms)}m` : `${Math.floor(Math.min(ms, MAX_TIMER_MS) / 1_000)}S`;
}
