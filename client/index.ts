/** `queuecall/client`: enqueue jobs and wait for them. */
export { AdminService } from "../gen/queuecall/v1/admin_pb.js";
export { BrokerService } from "../gen/queuecall/v1/broker_pb.js";
/** Enums of messages that the raw clients take and answer. */
export { JobFailure_Kind as WireFailureKind, JobState as WireJobState } from "../gen/queuecall/v1/job_pb.js";
export { WorkerService } from "../gen/queuecall/v1/worker_pb.js";
export { PayloadError } from "../protocol/codec.ts";
export { contentId } from "../protocol/content-id.ts";
export {
  defineQueue,
  type MessageQueueDefinition,
  type PlainQueueDefinition,
  type QueueDefinition,
} from "../protocol/define-queue.ts";
export type { FieldViolation } from "../protocol/errors.ts";
export { createQueueClient, type QueueClient } from "./client.ts";
export type { Disposition, FailureKind, JobState, OnDuplicate, RetryOn } from "./enums.ts";
export {
  BrokerUnavailableError,
  fromConnectError,
  InvalidRequestError,
  JobCancelledError,
  JobExistsError,
  JobFailedError,
  JobNotFoundError,
  OriginalError,
  OverloadedError,
  QueuecallError,
  TimeoutError,
} from "./errors.ts";
export { checkHealth, type HealthOptions, type HealthStatus } from "./health.ts";
export type { FailedAttempt, Job, JobFailure, JobStatus, Outcome, Progress } from "./job.ts";
export type { Logger } from "./logger.ts";
export type {
  BackoffOptions,
  CallOptions,
  EnqueueAndWaitOptions,
  EnqueueOptions,
  JobOptions,
  QueueClientOptions,
  RetryOptions,
  WaitOptions,
} from "./options.ts";
export type { EnqueueResult, Queue } from "./queue.ts";
export {
  createJobClient,
  type EnqueuedJob,
  type JobClient,
  type JobHandle,
  type MethodEnqueueOptions,
  type MethodJobs,
} from "./service/job-client.ts";
export { jobOptions, type ServiceJobOptions, type ServiceOptions, type TransportOptions } from "./service/options.ts";
export type { TlsOptions } from "./transport/transport.ts";
