/** What the larger scripts are told: ARGV, in their order. */
import { type JobSpec, type QueueLimits, unlimited } from "../../job/job.ts";
import { attemptMessage } from "../../job/lifecycle.ts";
import { encodeEnvelope, encodeFailure, encodePayload, encodeRetries } from "../blob.ts";
import type { Claim, ClaimAtOnce, SettleOutcome } from "../storage.ts";
import type { Argument } from "./client.ts";
import { DEFAULT_BACKOFF } from "./record.ts";

/** ARGV 7 to 13 of enqueue.lua. */
export function specArguments(spec: JobSpec, { maxLength, maxBytes }: QueueLimits = unlimited): Argument[] {
  const { priority, delayMs, maxAttempts, runTimeoutMs, startTimeoutMs, resultTtlMs } = spec;
  const retries = encodeRetries(spec);
  return [
    spec.digest,
    spec.onDuplicate,
    flag(spec.rejectPayloadMismatch),
    doubles(delayMs, maxLength, maxBytes, priority, maxAttempts, runTimeoutMs, startTimeoutMs, resultTtlMs),
    retries === DEFAULT_BACKOFF ? "" : retries,
    encodeEnvelope(spec),
    encodePayload(spec.payload),
  ];
}

/** ARGV 14 to 17 of enqueue.lua. */
export function claimAtOnceArguments(claim: ClaimAtOnce | undefined): Argument[] {
  return claim ? [claim.lane, claim.workerId, claim.leaseToken, claim.leaseMs] : [""];
}

/** ARGV 3 to 6 of claim.lua. */
export function claimArguments(request: Claim): Argument[] {
  const { lane, claimId, workerId, max, maxBytes, tokens, leaseMs, jitter, graceMs = 0 } = request;
  return [lane, workerId, doubles(claimId, max, maxBytes, leaseMs, jitter, graceMs), Buffer.concat(tokens)];
}

/** Numbers as one argument: each by itself would cost the server more than what it does with it. */
function doubles(...numbers: number[]): Buffer {
  const packed = Buffer.allocUnsafe(8 * numbers.length);
  for (const [i, number] of numbers.entries()) packed.writeDoubleLE(number, 8 * i);
  return packed;
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

/** A truth, as scripts read it. */
export function flag(value: boolean): string {
  return value ? "1" : "0";
}
