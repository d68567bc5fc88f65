/** Limits and defaults of contract.md. Units are in the names. */

export const QUEUE_PATTERN = /^[A-Za-z0-9._/-]{1,128}$/;
export const MAX_JOB_ID_BYTES = 256;
export const MAX_METHOD_BYTES = 256;
export const MAX_CONTENT_TYPE_BYTES = 128;
export const MAX_MESSAGE_TYPE_BYTES = 256;
export const MAX_HEADERS_BYTES = 8 * 1024;
export const REQUEST_ID_BYTES = 16;
export const LEASE_TOKEN_BYTES = 16;
export const MIN_PRIORITY = -1000;
export const MAX_PRIORITY = 1000;
export const DEFAULT_MAX_ATTEMPTS = 3;
export const MAX_MAX_ATTEMPTS = 1000;
export const DEFAULT_BACKOFF_INITIAL_MS = 100;
export const DEFAULT_BACKOFF_MULTIPLIER = 2;
export const DEFAULT_BACKOFF_MAX_MS = 30_000;
export const MAX_BACKOFF_MS = 24 * 3_600_000;
export const MAX_BACKOFF_MULTIPLIER = 100;
/** Longest delay, run_timeout, start_timeout, result_ttl, retry_after. */
export const MAX_DURATION_MS = 365 * 24 * 3_600_000;
export const MIN_RESULT_TTL_MS = 1_000;
export const DEFAULT_RESULT_TTL_MS = 3_600_000;
export const DEFAULT_WAIT_MS = 30_000;
export const DEFAULT_MAX_WAIT_MS = 3_600_000;
export const DEFAULT_MAX_PAYLOAD_BYTES = 1024 * 1024;
export const DEFAULT_LEASE_MS = 30_000;
export const DEFAULT_RECONNECT_GRACE_MS = 5_000;
export const DEFAULT_PING_INTERVAL_MS = 15_000;
/** A peer silent for this many ping intervals is gone. */
export const SILENT_PING_INTERVALS = 2.5;
export const MAX_DELIVERIES = 5;
/** Claims from one queue in a row while another queue of the worker has jobs. */
export const MAX_CLAIM_BATCH = 16;
export const MAX_WINDOW = 10_000;
export const MAX_SUBSCRIPTIONS = 1_000;
/** Announced gRPC services of one storage; methods of one, and bytes of its descriptors. */
export const MAX_SERVICES = 1_000;
export const MAX_SERVICE_METHODS = 1_000;
export const MAX_DESCRIPTOR_SET_BYTES = 256 * 1024;
export const MAX_WORKER_ID_BYTES = 128;
export const MAX_SESSION_ID_BYTES = 64;
export const MAX_FAILURE_MESSAGE_BYTES = 4 * 1024;
export const MAX_FAILURE_DETAILS_BYTES = 16 * 1024;
export const MAX_FAILURE_TYPE_BYTES = 256;
export const MAX_STACK_BYTES = 8 * 1024;
export const MAX_ATTEMPT_MESSAGE_BYTES = 256;
export const MAX_ATTEMPTS_KEPT = 10;
export const MAX_PROGRESS_MESSAGE_BYTES = 1024;
export const MAX_PROGRESS_DETAILS_BYTES = 16 * 1024;
/** Stored progress reports of one job are at least this far apart (five a second). */
export const PROGRESS_INTERVAL_MS = 200;
/** Jobs on a page of a list, and of one bulk step. */
export const DEFAULT_PAGE_SIZE = 50;
export const MAX_PAGE_SIZE = 1_000;
export const WATCH_HEARTBEAT_MS = 15_000;
export const PROTOCOL_VERSION = 1;
/** Calls of one multiplexed stream that are in flight. */
export const MAX_CALLS_IN_FLIGHT = 10_000;
/** Jobs of one EnqueueBatch. */
export const MAX_BATCH_ITEMS = 1_000;
/** Frames of a multiplexed stream are cut at this size, so that what is small never waits long behind what is large. */
export const EXCHANGE_FRAME_BYTES = 1024 * 1024;
/** setTimeout's longest delay; anything above it fires at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Largest message on any stream: 4 MiB, or the payload limit plus room for the rest. */
export function maxMessageBytes(maxPayloadBytes: number): number {
  return Math.max(4 * 1024 * 1024, maxPayloadBytes + 64 * 1024);
}

/** How long before the RPC deadline the broker answers: 5 %, from 20 to 250 ms. */
export function deadlineMarginMs(deadlineMs: number): number {
  return Math.min(250, Math.max(20, deadlineMs * 0.05));
}
