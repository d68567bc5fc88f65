/** What callers send as timeouts, made to fit a timer before anybody reads it: longer ones would fire at once. */
import { MAX_TIMER_MS } from "../../protocol/limits.ts";

const UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** A grpc-timeout that a 32-bit timer can hold; what is not a timeout is left for grpc-js to refuse. */
export function clampTimeout(header: string): string {
  const match = /^(\d{1,8})([HMSmun])$/.exec(header);
  if (!match) return header;
  const ms = Number(match[1]) * (UNIT_MS[match[2] as string] as number);
  // 99,999,999 seconds is more than a 32-bit timer holds; whole seconds below it fit eight digits.
  return ms > MAX_TIMER_MS ? `${Math.floor(MAX_TIMER_MS / 1000)}S` : header;
}

/** The same of connect-timeout-ms. */
export function clampConnectTimeout(header: string): string {
  return /^\d{1,10}$/.test(header) && Number(header) > MAX_TIMER_MS ? String(MAX_TIMER_MS) : header;
}
