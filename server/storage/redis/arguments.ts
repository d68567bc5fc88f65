/** What the larger scripts are told: ARGV, in their order. */
import { type JobSpec, type QueueLimits, unlimited } from "../../job/job.ts";
import { attemptMessage } from "../../job/lifecycle.ts";
import { encodeEnvelope, encodeFailure, encodePayload, encodeRetries } from "../blob.ts";
import type { Claim, ClaimAtOnce, SettleOutcome } from "../storage.ts";
import type { Argument } from "./client.ts";

/** ARGV 7 to 15 of enqueue.lua. */
export function specArguments(spec: JobSpec, { maxLength, maxBytes }: QueueLimits = unlimited): Argument[] {
  return [
    spec.digest,
    spec.onDuplicate,
    flag(spec.rejectPayloadMismatch),
    numbersOf(spec),
    encodeRetries(spec),
    encodeEnvelope(spec),
    encodePayload(spec.payload),
    limit(maxLength),
    limit(maxBytes),
  ];
}

/** ARGV 10 of enqueue.lua: one argument where each would cost the server as much as what it does with it. */
function numbersOf({ priority, delayMs, maxAttempts, runTimeoutMs, startTimeoutMs, resultTtlMs }: JobSpec): Buffer {
  const numbers = [priority, delayMs, maxAttempts, runTimeoutMs, startTimeoutMs, resultTtlMs];
  const packed = Buffer.allocUnsafe(8 * numbers.length);
  for (const [i, number] of numbers.entries()) packed.writeDoubleLE(number, 8 * i);
  return packed;
}

/** ARGV 16 to 19 of enqueue.lua. */
export function claimAtOnceArguments(claim: ClaimAtOnce | undefined): Argument[] {
  return claim ? [claim.lane, claim.workerId, claim.leaseToken, claim.leaseMs] : [""];
}

/** What claiming.lua is told. */
export function claimArguments(request: Claim): Argument[] {
  const { lane, claimId, workerId, max, maxBytes, tokens, leaseMs, jitter, graceMs } = request;
  return [lane, claimId, workerId, max, maxBytes, leaseMs, jitter, graceMs ?? "", ...tokens];
}

/** ARGV 3 to 14 of settle.lua: how many there are where something follows. */
export const SETTLE_TERMS = 12;

export function padded(terms: Argument[], length: number): Argument[] {
  return [...terms, ...new Array<string>(length - terms.length).fill("")];
}

/** ARGV 8 to 14 of settle.lua. */
export function outcomeArguments(outcome: SettleOutcome): Argument[] {
  switch (outcome.kind) {
    case "completed":
      return [encodePayload(outcome.payload)];
    case "failed": {
      const { detail, failureKind, retryable, retryableAsUnavailable = retryable, retryAfterMs } = outcome;
      const message = attemptMessage(detail.status.message);
      const again = flag(retryable) + flag(retryableAsUnavailable);
      return [encodeFailure(detail), message, failureKind, again, retryAfterMs ?? ""];
    }
    case "cancelled": {
      const message = "the worker cancelled the job unasked";
      return [encodeFailure({ status: { code: 1, message, details: [] }, type: "", stack: "" }), message];
    }
    case "released":
      return [];
    case "undelivered":
      return ["", "", "", "", "", flag(outcome.sent), outcome.lane];
  }
}

function limit(most: number): Argument {
  return Number.isFinite(most) ? most : "";
}

/** A truth, as scripts read it. */
export function flag(value: boolean): string {
  return value ? "1" : "0";
}
