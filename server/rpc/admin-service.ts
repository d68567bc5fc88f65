/** AdminService: message → broker call → message. One implementation for every adapter. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  AdminService,
  type GetServerInfoResponseSchema,
  type JobSummarySchema,
  type ListWorkersResponseSchema,
  type QueueInfoSchema,
  type ServiceInfoSchema,
  type WorkerInfoSchema,
} from "../../gen/queuecall/v1/admin_pb.js";
import { JobState as ProtoState } from "../../gen/queuecall/v1/job_pb.js";
import { invalidField } from "../../protocol/errors.ts";
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from "../../protocol/limits.ts";
import { version } from "../../protocol/version.ts";
import type { BrokerWorkers, QueueInfo, Selection, ServerInfo } from "../broker/admin.ts";
import type { Broker } from "../broker/broker.ts";
import type { KnownService } from "../broker/services.ts";
import type { JobState, JobSummary } from "../job/job.ts";
import type { AttachedWorker } from "../storage/storage.ts";
import { EVERY_QUEUE } from "./access.ts";
import { type UnaryMethod, unary } from "./bytes.ts";
import { cursorOf, pageToken } from "./page-token.ts";
import { durationOf, failureKindOf, stateFrom, stateOf, timestampOf } from "./translate.ts";
import { integer, queueName } from "./validate.ts";

const QUEUES = ["queues"];
const SERVICES = ["services"];
const anyState: readonly JobState[] = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"];
const retryable: readonly JobState[] = ["failed", "cancelled"];
const cancellable: readonly JobState[] = ["scheduled", "queued", "running"];

interface SelectionMessage {
  queue: string;
  state: ProtoState;
  pageSize: number;
  pageToken: string;
}

export function adminService({ admin, services }: Broker): UnaryMethod[] {
  const { method } = AdminService;
  const ofAll = () => EVERY_QUEUE;

  return [
    unary(method.getServerInfo, ["admin"], ofAll, async () => serverMessage(admin.info())),
    unary(method.listQueues, ["admin"], ofAll, async (request) => {
      const { queues, next } = await admin.queues(cursorOf(QUEUES, request.pageToken));
      return { queues: queues.map(queueMessage), nextPageToken: pageToken(QUEUES, next) };
    }),
    unary(method.listJobs, ["admin"], ofQueue, async (request) => {
      const { jobs, next } = await admin.jobs(selection(request, anyState));
      return { jobs: jobs.map(summaryMessage), nextPageToken: nextToken(request, next) };
    }),
    unary(method.listWorkers, ["admin"], ofAll, async ({ hereOnly }) =>
      workersMessage(admin.brokerId, hereOnly ? [admin.workersHere()] : await admin.workers()),
    ),
    unary(method.listServices, ["admin"], ofAll, async ({ pageToken: token }) => {
      const { page, next } = await services.page(cursorOf(SERVICES, token));
      return { services: page.map(serviceMessage), nextPageToken: pageToken(SERVICES, next) };
    }),
    unary(method.forgetService, ["admin"], ofService, async (request) => {
      const service = ofService(request);
      const known = (await services.read(service)) !== undefined;
      if (known) await services.forget(service);
      return { known };
    }),
    unary(method.pauseQueue, ["admin"], ofQueue, async (request) => {
      await admin.pause(ofQueue(request));
      return {};
    }),
    unary(method.resumeQueue, ["admin"], ofQueue, async (request) => {
      await admin.resume(ofQueue(request));
      return {};
    }),
    unary(method.purgeQueue, ["admin"], ofQueue, async (request) => await admin.purge(ofQueue(request))),
    unary(method.retryJobs, ["admin"], ofQueue, async (request) => {
      const { count, next } = await admin.retryJobs(selection(request, retryable));
      return { retried: count, nextPageToken: nextToken(request, next) };
    }),
    unary(method.cancelJobs, ["admin"], ofQueue, async (request) => {
      const { count, next } = await admin.cancelJobs(selection(request, cancellable));
      return { cancelled: count, nextPageToken: nextToken(request, next) };
    }),
  ];
}

function ofQueue(request: { queue: string }): string {
  return queueName("queue", request.queue);
}

/** A service's jobs are in the queue of its name. */
function ofService(request: { service: string }): string {
  return queueName("service", request.service);
}

function selection(request: SelectionMessage, allowed: readonly JobState[]): Selection {
  const state = stateFrom(request.state);
  if (state === undefined || !allowed.includes(state)) {
    const given = ProtoState[request.state] ?? String(request.state);
    const names = allowed.map((each) => ProtoState[stateOf(each)]).join(", ");
    throw invalidField("state", `is ${given}; send one of ${names}`);
  }
  return {
    queue: ofQueue(request),
    state,
    limit: integer("page_size", request.pageSize, 0, MAX_PAGE_SIZE) || DEFAULT_PAGE_SIZE,
    cursor: cursorOf(listOf(request), request.pageToken),
  };
}

/** A page may be followed by one of another size, or of a bulk step. */
function listOf({ queue, state }: SelectionMessage): string[] {
  return ["jobs", queue, String(state)];
}

function nextToken(request: SelectionMessage, next: string | undefined): string {
  return pageToken(listOf(request), next);
}

function serverMessage(info: ServerInfo): MessageInitShape<typeof GetServerInfoResponseSchema> {
  const { brokerId, storage, settings, ready, draining, workers, waiting } = info;
  const { kind, url, durability } = storage;
  return {
    brokerId,
    version: version(),
    storage: { kind, url, version: storage.version, durability },
    limits: {
      maxPayloadBytes: BigInt(settings.maxPayloadBytes),
      maxResultBytes: BigInt(settings.maxResultBytes),
      maxHeadersBytes: BigInt(settings.maxHeadersBytes),
      maxWait: durationOf(settings.maxWaitMs),
      maxWaitingCalls: settings.maxWaiters,
      maxWorkers: settings.maxSessions,
      lease: durationOf(settings.leaseMs),
      reconnectGrace: durationOf(settings.reconnectGraceMs),
      maxQueueLength: limitOf(settings.maxQueueLength),
      maxQueueBytes: limitOf(settings.maxQueueBytes),
    },
    ready,
    draining,
    workers,
    waitingCalls: waiting,
  };
}

function queueMessage(info: QueueInfo): MessageInitShape<typeof QueueInfoSchema> {
  const { queue, paused, jobs, bytes, limits, oldestWaitMs, workers, workersHere } = info;
  return {
    queue,
    paused,
    scheduled: BigInt(jobs.scheduled),
    queued: BigInt(jobs.queued),
    running: BigInt(jobs.running),
    succeeded: BigInt(jobs.succeeded),
    failed: BigInt(jobs.failed),
    cancelled: BigInt(jobs.cancelled),
    ...(oldestWaitMs !== undefined && { oldestWait: durationOf(oldestWaitMs) }),
    workers,
    workersHere,
    bytes: BigInt(bytes),
    maxLength: limitOf(limits.maxLength),
    maxBytes: limitOf(limits.maxBytes),
  };
}

function serviceMessage({ name, methods, descriptorSet }: KnownService): MessageInitShape<typeof ServiceInfoSchema> {
  const names = [...methods].map((path) => path.slice(path.lastIndexOf("/") + 1));
  return { service: name, methods: names, described: descriptorSet !== undefined };
}

function limitOf(most: number): bigint {
  return Number.isFinite(most) ? BigInt(most) : 0n;
}

function summaryMessage(job: JobSummary): MessageInitShape<typeof JobSummarySchema> {
  const { state, version, createTime, startTime, endTime, dueTime, failureKind, ...same } = job;
  return {
    ...same,
    state: stateOf(state),
    version: BigInt(version),
    createTime: timestampOf(createTime),
    ...(startTime !== undefined && { startTime: timestampOf(startTime) }),
    ...(endTime !== undefined && { endTime: timestampOf(endTime) }),
    ...(dueTime !== undefined && { dueTime: timestampOf(dueTime) }),
    ...(failureKind && { failureKind: failureKindOf(failureKind) }),
  };
}

function workersMessage(
  brokerId: string,
  brokers: readonly BrokerWorkers[],
): MessageInitShape<typeof ListWorkersResponseSchema> {
  return {
    brokerId,
    brokers: brokers.map(({ brokerId: id, workers }) => ({ brokerId: id, workers })),
    workers: brokers.flatMap(({ brokerId: id, listed }) => listed.map((worker) => workerMessage(id, worker))),
  };
}

function workerMessage(brokerId: string, worker: AttachedWorker): MessageInitShape<typeof WorkerInfoSchema> {
  const { queues, connectTime, ...same } = worker;
  return { ...same, brokerId, queues: [...queues], connectTime: timestampOf(connectTime) };
}
