/** What a worker stream carries, in the domain's words. server/rpc translates the proto messages into these and back. */
import type { FailureDetail, JobKey, Progress, Result, Status } from "../job/job.ts";
import type { Claimed, Service } from "../storage/storage.ts";

/** A lease as a worker names it. */
export interface LeaseRef extends JobKey {
  leaseToken: Uint8Array;
}

export interface Hello {
  protocolVersion: number;
  workerId: string;
  /** "" for a minimal worker. */
  sessionId: string;
  queues: string[];
  /** gRPC services that it serves on queues of their names. Absent: none. */
  services?: Service[];
  window: number;
  held: LeaseRef[];
  renewOnPong: boolean;
  clientInfo: string;
}

export interface Welcome {
  brokerId: string;
  leaseMs: number;
  deliveryLeaseMs: number;
  pingIntervalMs: number;
  reconnectGraceMs: number;
  maxMessageBytes: number;
  maxResultBytes: number;
}

export interface Settlement extends LeaseRef {
  settleId: bigint;
  outcome:
    | { kind: "completed"; payload: Result }
    | {
        kind: "failed";
        detail: FailureDetail;
        retryable: boolean;
        retryableAsUnavailable?: boolean;
        retryAfterMs?: number;
      }
    | { kind: "released" }
    | { kind: "cancelled" };
}

export interface WorkerFrame {
  receivedSeq: bigint;
  window?: number;
  queues?: string[];
  /** With `queues`. */
  services?: Service[];
  renewals: LeaseRef[];
  settlements: Settlement[];
  progress: (LeaseRef & { progress: Progress })[];
  /** Nonce. */
  ping?: bigint;
  pong?: bigint;
  drain: boolean;
}

export type SettledResult = "ok" | "duplicate" | "lease_lost" | "rejected" | "retry";

export interface Settled {
  settleId: bigint;
  result: SettledResult;
  status?: Status;
}

/** Any subset is set. */
export interface BrokerFrame {
  /** 0 where there are no deliveries. */
  seq: bigint;
  deliveries: Claimed[];
  settled: Settled[];
  adopted: LeaseRef[];
  lost: (LeaseRef & { reason: string })[];
  cancels: LeaseRef[];
  ping?: bigint;
  pong?: bigint;
  drain?: string;
}

/** The broker's end of a worker stream. The seam where a simulator cuts: no sockets beyond it. */
export interface Link {
  /** True while the stream takes more without queueing it. */
  readonly writable: boolean;
  sendWelcome(welcome: Welcome): void;
  send(frame: BrokerFrame): void;
  /** Whether to take more frames. What is on its way may still arrive. */
  read(on: boolean): void;
  /** Ends the stream: with OK, or with the error. Safe to call more than once. */
  end(error?: Error): void;
  /** Drops the stream without a word: the peer is taken for dead. */
  destroy(): void;
}
