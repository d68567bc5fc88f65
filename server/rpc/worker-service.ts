/** WorkerService.Work: bytes of a stream → frames of a session, and back. What breaks the protocol ends the stream; what is wrong with one item is answered for that item. */

import type { Status as ProtoStatus } from "../../gen/google/rpc/status_pb.js";
import {
  type Failed,
  type Hello as ProtoHello,
  type Settlement as ProtoSettlement,
  type WorkerFrame as ProtoWorkerFrame,
  Settled_Result,
  type Subscription,
  WorkerService,
  WorkRequestSchema,
  WorkResponseSchema,
} from "../../gen/queuecall/v1/worker_pb.js";
import { CallError, Code, retryableByDefault } from "../../protocol/errors.ts";
import * as limit from "../../protocol/limits.ts";
import type { Pieces } from "../../protocol/pieces.ts";
import { encodeInPieces } from "../../protocol/wire.ts";
import type { Broker } from "../broker/broker.ts";
import type {
  BrokerFrame,
  Hello,
  LeaseRef,
  Link,
  SettledResult,
  Settlement,
  Welcome,
  WorkerFrame,
} from "../broker/frames.ts";
import type { Session } from "../broker/session.ts";
import type { FailureDetail, Progress, Status } from "../job/job.ts";
import { cutUtf8 } from "../job/lifecycle.ts";
import type { Claimed } from "../storage/storage.ts";
import type { Access } from "./access.ts";
import { servicesFrom } from "./announcement.ts";
import type { ByteLink } from "./byte-link.ts";
import { decode, pathOf } from "./bytes.ts";
import { durationOf, payloadFrom, statusInit, timestampOf } from "./translate.ts";
import { durationMs, jobId, queueName } from "./validate.ts";

export const workPath = pathOf(WorkerService.method.work);

/** One worker stream. Feed it what arrives. */
export class WorkStream {
  readonly #session: Session;
  readonly #link: ByteLink;
  readonly #access: Access | undefined;

  /** @param access absent: everything is permitted */
  constructor(broker: Broker, link: ByteLink, access?: Access) {
    this.#link = link;
    this.#access = access;
    this.#session = broker.workers.open(sessionLink(link));
  }

  message(bytes: Uint8Array): void {
    try {
      const { kind } = decode(WorkRequestSchema, bytes);
      if (kind.case === "hello") {
        if (this.#access) mayHello(this.#access, kind.value);
        void this.#session.hello(helloFrom(kind.value));
      } else if (kind.case === "frame") {
        if (this.#access) mayFrame(this.#access, kind.value);
        this.#session.frame(frameFrom(kind.value));
      } else throw violation("the message has neither hello nor frame");
    } catch (error) {
      const wrongField = error instanceof CallError && error.reason === "INVALID_FIELD";
      this.#link.end(wrongField ? violation(error.message) : (error as Error));
      this.#session.linkClosed();
    }
  }

  writable(): void {
    this.#session.writable();
  }
  ended(): void {
    this.#session.workerEnded();
  }
  closed(): void {
    this.#session.linkClosed();
  }
}

function sessionLink(link: ByteLink): Link {
  return {
    get writable() {
      return link.writable;
    },
    sendWelcome: (welcome) => link.send(welcomeBytes(welcome)),
    send: (frame) => link.send(frameBytes(frame)),
    read: (on) => link.read(on),
    end: (error) => link.end(error),
    destroy: () => link.destroy(),
  };
}

// ── what the worker may do: every queue it names, before anything else is looked at ──

function mayHello(access: Access, { subscriptions, held }: ProtoHello): void {
  access.require(["work"], queuesFrom("hello.subscriptions", subscriptions));
  for (const { queue } of held) access.check("work", queueName("hello.held.queue", queue));
}

function mayFrame(access: Access, { subscriptionsUpdate, renewals, settlements, progress }: ProtoWorkerFrame): void {
  if (subscriptionsUpdate) {
    access.require(["work"], queuesFrom("subscriptions_update.subscriptions", subscriptionsUpdate.subscriptions));
  }
  for (const { queue } of renewals) access.check("work", queueName("renewals.queue", queue));
  for (const { queue } of settlements) access.check("work", queueName("settlements.queue", queue));
  for (const { queue } of progress) access.check("work", queueName("progress.queue", queue));
}

// ── from the worker ──────────────────────────────────────────────────────────

function helloFrom(hello: ProtoHello): Hello {
  const { workerId, sessionId, clientInfo } = hello;
  if (workerId === "") throw violation("hello.worker_id is required");
  bounded("hello.worker_id", workerId, limit.MAX_WORKER_ID_BYTES);
  bounded("hello.session_id", sessionId, limit.MAX_SESSION_ID_BYTES);
  bounded("hello.client_info", clientInfo, limit.MAX_WORKER_ID_BYTES);
  noMoreThanAWindow("hello.held", hello.held);
  return {
    protocolVersion: hello.protocolVersion,
    workerId,
    sessionId,
    queues: queuesFrom("hello.subscriptions", hello.subscriptions),
    services: servicesFrom("hello.subscriptions", hello.subscriptions),
    window: hello.window,
    held: hello.held.map((held) => leaseRef("hello.held", held)),
    renewOnPong: hello.renewOnPong,
    clientInfo,
  };
}

function frameFrom(frame: ProtoWorkerFrame): WorkerFrame {
  const { receivedSeq, window, subscriptionsUpdate, renewals, settlements, progress, ping, pong, drain } = frame;
  for (const [name, items] of Object.entries({ renewals, settlements, progress })) noMoreThanAWindow(name, items);
  return {
    receivedSeq,
    ...(window !== undefined && { window }),
    ...(subscriptionsUpdate && {
      queues: queuesFrom("subscriptions_update.subscriptions", subscriptionsUpdate.subscriptions),
      services: servicesFrom("subscriptions_update.subscriptions", subscriptionsUpdate.subscriptions),
    }),
    renewals: renewals.map((renewal) => leaseRef("renewals", renewal)),
    settlements: settlements.map(settlementFrom),
    progress: progress.map((report) => ({
      ...leaseRef("progress", report),
      progress: progressFrom(report.progress),
    })),
    ...(ping && { ping: ping.nonce }),
    ...(pong && { pong: pong.nonce }),
    drain: drain !== undefined,
  };
}

/** A worker holds no more leases than its window, and says one thing of each. */
function noMoreThanAWindow(field: string, items: readonly unknown[]): void {
  if (items.length > limit.MAX_WINDOW) throw violation(`${field} names more than ${limit.MAX_WINDOW} leases`);
}

function queuesFrom(field: string, subscriptions: Subscription[]): string[] {
  if (subscriptions.length > limit.MAX_SUBSCRIPTIONS) {
    throw violation(`${field} names more than ${limit.MAX_SUBSCRIPTIONS} queues`);
  }
  return [...new Set(subscriptions.map(({ queue }) => queueName(`${field}.queue`, queue)))];
}

function leaseRef(field: string, ref: { queue: string; jobId: string; leaseToken: Uint8Array }): LeaseRef {
  if (ref.leaseToken.length !== limit.LEASE_TOKEN_BYTES) {
    throw violation(`${field}.lease_token has ${ref.leaseToken.length} bytes; a token has ${limit.LEASE_TOKEN_BYTES}`);
  }
  const queue = queueName(`${field}.queue`, ref.queue);
  return { queue, jobId: jobId(`${field}.job_id`, ref.jobId), leaseToken: ref.leaseToken };
}

function settlementFrom(settlement: ProtoSettlement): Settlement {
  return { ...leaseRef("settlements", settlement), settleId: settlement.settleId, outcome: outcomeFrom(settlement) };
}

function outcomeFrom({ outcome }: ProtoSettlement): Settlement["outcome"] {
  switch (outcome.case) {
    case "completed": {
      const { contentType, messageType, data } = payloadFrom(outcome.value.payload);
      bounded("settlements.completed.payload.content_type", contentType, limit.MAX_CONTENT_TYPE_BYTES);
      bounded("settlements.completed.payload.message_type", messageType, limit.MAX_MESSAGE_TYPE_BYTES);
      const headers = headersFrom(outcome.value.headers);
      return { kind: "completed", payload: { contentType, messageType, data, ...headers } };
    }
    case "failed":
      return failedFrom(outcome.value);
    case "released":
      return { kind: "released" };
    case "cancelled":
      return { kind: "cancelled" };
    default:
      throw violation("a settlement has no outcome: set completed, failed, released or cancelled");
  }
}

function failedFrom(failed: Failed): Settlement["outcome"] {
  const detail = failureDetail(failed);
  const { code } = detail.status;
  const retryable = failed.retryable ?? retryableByDefault(code);
  const retryableAsUnavailable = failed.retryable ?? code === Code.UNAVAILABLE;
  const retryAfterMs = durationMs("settlements.failed.retry_after", failed.retryAfter, { zero: true });
  return {
    kind: "failed",
    detail,
    retryable,
    retryableAsUnavailable,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

/** A failure is kept whatever its size: what is over the limit is cut, since refusing it would lose the failure. */
function failureDetail({ status, type, stack, headers }: Failed): FailureDetail {
  return {
    status: statusFrom(status),
    type: cutUtf8(type, limit.MAX_FAILURE_TYPE_BYTES),
    stack: cutUtf8(stack, limit.MAX_STACK_BYTES),
    ...headersFrom(headers),
  };
}

/** All of them, or none: an outcome is never refused for what goes along with it. */
function headersFrom(headers: Record<string, string>): { headers?: Record<string, string> } {
  const texts = Object.entries(headers).flat();
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text, "utf8"), 0);
  return texts.length > 0 && bytes <= limit.MAX_HEADERS_BYTES ? { headers } : {};
}

function statusFrom(status: ProtoStatus | undefined): Status {
  const code = status && status.code !== Code.OK ? status.code : Code.UNKNOWN;
  const details = (status?.details ?? []).map(({ typeUrl, value }) => ({ typeUrl, value }));
  const bytes = details.reduce((sum, any) => sum + any.typeUrl.length + any.value.length, 0);
  return {
    code,
    message: cutUtf8(status?.message || "failed without a message", limit.MAX_FAILURE_MESSAGE_BYTES),
    details: bytes <= limit.MAX_FAILURE_DETAILS_BYTES ? details : [],
  };
}

function progressFrom(progress: ProtoWorkerFrame["progress"][number]["progress"]): Progress {
  if (!progress) return { current: 0, total: 0, message: "" };
  const { current, total, message, details } = progress;
  const fits = details && details.data.length <= limit.MAX_PROGRESS_DETAILS_BYTES;
  return {
    current: finite(current),
    total: finite(total),
    message: cutUtf8(message, limit.MAX_PROGRESS_MESSAGE_BYTES),
    ...(fits && { details: payloadFrom(details) }),
  };
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

function bounded(field: string, value: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(value, "utf8");
  if (bytes > maxBytes) throw violation(`${field} has ${bytes} bytes, the limit is ${maxBytes}`);
  if (/\p{Cc}/u.test(value)) throw violation(`${field} has a control character`);
}

function violation(message: string): CallError {
  return new CallError("PROTOCOL_VIOLATION", message);
}

// ── to the worker ────────────────────────────────────────────────────────────

function welcomeBytes(welcome: Welcome): Pieces {
  const value = {
    brokerId: welcome.brokerId,
    lease: durationOf(welcome.leaseMs),
    deliveryLease: durationOf(welcome.deliveryLeaseMs),
    pingInterval: durationOf(welcome.pingIntervalMs),
    reconnectGrace: durationOf(welcome.reconnectGraceMs),
    maxMessageBytes: BigInt(welcome.maxMessageBytes),
    maxResultBytes: BigInt(welcome.maxResultBytes),
    protocolVersion: limit.PROTOCOL_VERSION,
  };
  return encodeInPieces(WorkResponseSchema, { kind: { case: "welcome", value } });
}

const results: Record<SettledResult, Settled_Result> = {
  ok: Settled_Result.OK,
  duplicate: Settled_Result.DUPLICATE,
  lease_lost: Settled_Result.LEASE_LOST,
  rejected: Settled_Result.REJECTED,
  retry: Settled_Result.RETRY,
};

function frameBytes(frame: BrokerFrame): Pieces {
  const { seq, deliveries, settled, adopted, lost, cancels, ping, pong, drain } = frame;
  const value = {
    seq,
    deliveries: deliveries.map(deliveryMessage),
    settled: settled.map(({ settleId, result, status }) => ({
      settleId,
      result: results[result],
      ...(status && { status: statusInit(status) }),
    })),
    adopted,
    lost,
    cancels,
    ...(ping !== undefined && { ping: { nonce: ping } }),
    ...(pong !== undefined && { pong: { nonce: pong } }),
    ...(drain !== undefined && { drain: { reason: drain } }),
  };
  return encodeInPieces(WorkResponseSchema, { kind: { case: "frame", value } });
}

function deliveryMessage(job: Claimed) {
  const { queue, jobId, method, payload, headers, attempt, maxAttempts, fence, leaseToken, createTime } = job;
  return {
    queue,
    jobId,
    method,
    payload,
    headers,
    attempt,
    maxAttempts,
    fence: BigInt(fence),
    leaseToken,
    ...(job.runTimeoutLeftMs > 0 && { runTimeoutLeft: durationOf(job.runTimeoutLeftMs) }),
    enqueueTime: timestampOf(createTime),
  };
}
