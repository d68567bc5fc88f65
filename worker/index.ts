/** `queuecall/worker`: take jobs from queues and run handlers on them. */
export { defineQueue, type QueueDefinition } from "../protocol/define-queue.ts";
export type { JobContext } from "./attempt.ts";
export { AttemptStoppedError, CodecError, NonRetryableError, RetryableError, type StopReason } from "./errors.ts";
export { createForwarder, type ForwardOptions } from "./forward.ts";
export type { TlsOptions } from "./link.ts";
export type { Logger } from "./logger.ts";
export type { WorkerOptions } from "./options.ts";
export type { Handler } from "./routes.ts";
export { jobContext, type ServiceImplementation } from "./service.ts";
export { createWorker, type Worker } from "./worker.ts";
