/** Jobs, outcomes and names that storage tests are made of. Without vitest, so that child processes can use them. */
import type { JobKey, JobSpec, Payload, Status } from "../../server/job/job.ts";
import type { SettleOutcome } from "../../server/storage/storage.ts";

export const SECOND = 1_000;
export const LEASE = 30 * SECOND;
export const TTL = 3_600 * SECOND;
export const QUEUE = "q";

export const key = (jobId: string, queue = QUEUE): JobKey => ({ queue, jobId });
export const payload = (text: string, contentType = "", messageType = ""): Payload => ({
  data: Buffer.from(text),
  contentType,
  messageType,
});
export const status = (message: string, code = 13): Status => ({ code, message, details: [] });

let numbers = 0;

/** 16 bytes that no other call answers. */
export function unique(): Uint8Array {
  const bytes = Buffer.alloc(16, 0xf0);
  bytes.writeUInt32BE(++numbers);
  return bytes;
}

export function specOf(jobId: string, fields: Partial<JobSpec> = {}): JobSpec {
  return {
    queue: QUEUE,
    jobId,
    method: "",
    payload: payload(`payload of ${jobId.slice(0, 20)}`),
    digest: Buffer.alloc(16, 1),
    headers: {},
    labels: {},
    priority: 0,
    delayMs: 0,
    maxAttempts: 3,
    backoff: { initialMs: 10 * SECOND, multiplier: 2, maxMs: 300 * SECOND },
    retryOn: "failure",
    runTimeoutMs: 0,
    startTimeoutMs: 0,
    resultTtlMs: TTL,
    onDuplicate: "join",
    rejectPayloadMismatch: false,
    ...fields,
  };
}

export const completed = (text = "result"): SettleOutcome => ({ kind: "completed", payload: payload(text) });
/** Of a delivery to the lane that claims use unless told otherwise. */
export const undelivered = (sent = true, lane = "l1"): SettleOutcome => ({ kind: "undelivered", sent, lane });
export const failed = (
  fields: Partial<Extract<SettleOutcome, { kind: "failed" }>> = {},
): Extract<SettleOutcome, { kind: "failed" }> => ({
  kind: "failed",
  failureKind: "handler",
  detail: { status: status("boom"), type: "Error", stack: "at x" },
  retryable: true,
  ...fields,
});
