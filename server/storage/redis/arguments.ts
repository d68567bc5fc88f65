/** What the larger scripts are told: ARGV, in their order. */
import { unlimited } from "../../job/job.ts";
import { attemptMessage } from "../../job/lifecycle.ts";
import { encodeEnvelope, encodeFailure, encodeRetries, payloadParts } from "../blob.ts";
import type { Claim, Enqueue, Settle, SettleOutcome } from "../storage.ts";
import type { Argument } from "./client.ts";
import type { Packable } from "./packed.ts";
import { DEFAULT_BACKOFF } from "./record.ts";

/** ARGV of enqueue.lua. */
export function enqueueArguments({
  spec,
  requestId,
  listen,
  hungryHere,
  limits = unlimited,
  claim,
}: Enqueue): Packable[] {
  const retries = encodeRetries(spec);
  const args: Packable[] = [
    listen ?? "",
    flag(hungryHere),
    spec.jobId,
    requestId,
    spec.digest,
    spec.onDuplicate,
    flag(spec.rejectPayloadMismatch),
    spec.delayMs,
    limits.maxLength,
    limits.maxBytes,
    spec.priority,
    spec.maxAttempts,
    spec.runTimeoutMs,
    spec.startTimeoutMs,
    spec.resultTtlMs,
    retries === DEFAULT_BACKOFF ? "" : retries,
    encodeEnvelope(spec),
    payloadParts(spec.payload),
    claim ? claim.lane : "",
  ];
  if (claim) args.push(claim.workerId, claim.leaseToken, claim.leaseMs);
  return args;
}

/** ARGV 3 to 10 of claim.lua. */
export function claimArguments(request: Claim): Argument[] {
  const { lane, claimId, workerId, max, maxBytes, tokens, leaseMs, jitter, graceMs = 0 } = request;
  return [lane, workerId, claimId, max, maxBytes, leaseMs, jitter, graceMs, Buffer.concat(tokens)];
}

/** ARGV 3 to 14 of settle.lua. */
export function settleArguments({ hungryHere, jobId, leaseToken, jitter, outcome }: Settle): Packable[] {
  return [flag(hungryHere), jobId, leaseToken, jitter, outcome.kind, ...outcomeArguments(outcome)];
}

/** ARGV 8 to 14 of settle.lua. */
function outcomeArguments(outcome: SettleOutcome): Packable[] {
  switch (outcome.kind) {
    case "completed":
      return [payloadParts(outcome.payload)];
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
