/** Everything about a broker that can be set. Units are in the names; config.ts maps flags, environment and file onto them. */
import {
  DEFAULT_LEASE_MS,
  DEFAULT_MAX_PAYLOAD_BYTES,
  DEFAULT_MAX_WAIT_MS,
  DEFAULT_PING_INTERVAL_MS,
  DEFAULT_RECONNECT_GRACE_MS,
  MAX_HEADERS_BYTES,
} from "../protocol/limits.ts";
import type { Durability } from "./storage/storage.ts";

/** Limits of some queues. What is absent is as for all queues; Infinity: no limit. */
export interface QueueRule {
  /** A name, or the beginning of names followed by `*`. The name itself goes before a beginning, a longer one before a shorter one. */
  queue: string;
  maxLength?: number;
  maxBytes?: number;
}

export interface BrokerSettings {
  /** Longest wait of a call; longer ones are clamped. */
  maxWaitMs: number;
  /** Longest time that a drain takes before what is left is cut. Below Kubernetes' 30 s. */
  drainTimeoutMs: number;
  /** Time between NOT_SERVING and the first refusal, for load balancers to notice. */
  drainDelayMs: number;
  /** How long a delivery is a worker's without renewal. */
  leaseMs: number;
  /** How long leases outlive their stream. */
  reconnectGraceMs: number;
  /** A side that sent nothing for this long sends a ping. */
  pingIntervalMs: number;
  /** Worker streams are moved on after this long (±10 %), so that load spreads over new brokers. */
  maxStreamAgeMs: number;
  /** A connection to the gRPC port gets GOAWAY after this long (±10 %): new calls go to a new one, calls under way go on. */
  maxConnectionAgeMs: number;
  /** Largest payload of a job. */
  maxPayloadBytes: number;
  /** Largest result of a job. */
  maxResultBytes: number;
  /** Headers and labels of a job together. */
  maxHeadersBytes: number;
  /** User metadata of transparent calls that travels with the job, and back: names, in which a `*` stands for any characters. */
  passHeaders: readonly string[];
  /** Origins of browser pages that may call on the HTTP port, such as https://app.example.com; "*" is all. */
  corsOrigins: readonly string[];
  /** Calls that wait at one time; more are refused with TOO_MANY_WAITERS. */
  maxWaiters: number;
  /** Worker streams at one time. */
  maxSessions: number;
  /** Multiplexed streams at one time; more are refused with RATE_LIMITED. */
  maxExchanges: number;
  /** Enqueues that wait for the storage at one time; more are refused with RATE_LIMITED. */
  maxEnqueues: number;
  /** Bytes of their payloads. */
  maxEnqueueBytes: number;
  /** Bytes that were written to peers and that they have not read; beyond it the stream that has stood still longest is ended. */
  maxUnreadBytes: number;
  /** Unfinished jobs of a queue (SCHEDULED, QUEUED, RUNNING); an enqueue of more is refused with QUEUE_FULL. Infinity: no limit. */
  maxQueueLength: number;
  /** Bytes of the unfinished jobs of a queue: payloads, their types, methods, headers, labels. Infinity: no limit. */
  maxQueueBytes: number;
  /** Limits of queues by name, in place of the two above. */
  queues: readonly QueueRule[];
  /** Connections to the gRPC port at one time; further ones are closed. */
  maxConnections: number;
  /** From connecting to the first frame of HTTP/2, TLS included; the connection is closed then. */
  handshakeTimeoutMs: number;
  /** From the headers of a request to its last byte; the call ends DEADLINE_EXCEEDED then. Not for bidirectional streams. */
  requestTimeoutMs: number;
  /** Let callers see the stacks that workers send. */
  passStacks: boolean;
  /** Open waits are re-read this often, in case every hint was lost. */
  sweepIntervalMs: number;
  /** A worker with room looks for jobs this often (±50 %), in case every hint was lost. */
  probeIntervalMs: number;
  requireDurability: Durability | undefined;
}

export const defaultSettings: Readonly<BrokerSettings> = {
  maxWaitMs: DEFAULT_MAX_WAIT_MS,
  drainTimeoutMs: 25_000,
  drainDelayMs: 0,
  leaseMs: DEFAULT_LEASE_MS,
  reconnectGraceMs: DEFAULT_RECONNECT_GRACE_MS,
  pingIntervalMs: DEFAULT_PING_INTERVAL_MS,
  maxStreamAgeMs: 30 * 60_000,
  maxConnectionAgeMs: Number.POSITIVE_INFINITY,
  maxPayloadBytes: DEFAULT_MAX_PAYLOAD_BYTES,
  maxResultBytes: DEFAULT_MAX_PAYLOAD_BYTES,
  maxHeadersBytes: MAX_HEADERS_BYTES,
  passHeaders: ["traceparent", "tracestate", "baggage", "x-*", "*-bin"],
  corsOrigins: [],
  maxWaiters: 100_000,
  maxSessions: 10_000,
  maxConnections: 10_000,
  handshakeTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  maxExchanges: 10_000,
  maxEnqueues: 10_000,
  maxEnqueueBytes: 256 * 1024 * 1024,
  maxUnreadBytes: 256 * 1024 * 1024,
  maxQueueLength: Number.POSITIVE_INFINITY,
  maxQueueBytes: Number.POSITIVE_INFINITY,
  queues: [],
  passStacks: false,
  sweepIntervalMs: 5_000,
  probeIntervalMs: 2_000,
  requireDurability: undefined,
};
