/** The jobs of a service's methods, for programs that do not wait for each: enqueue now, ask later. */
import type {
  DescMessage,
  DescMethod,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { defineQueue } from "../../protocol/define-queue.ts";
import type { QueueClient } from "../client.ts";
import type { Disposition } from "../enums.ts";
import type { Job, JobStatus } from "../job.ts";
import { type CallOptions, checkKnown, type JobOptions, overlay, type WaitOptions } from "../options.ts";
import type { Queue } from "../queue.ts";
import { knownOfServices, type ServiceJobOptions, type ServiceOptions, serviceDefaults } from "./options.ts";

/** For each unary method of a service what makes jobs of it. */
export type JobClient<Service extends DescService> = {
  readonly [Name in UnaryNames<Service>]: Service["method"][Name] extends DescMethodUnary<infer Input, infer Output>
    ? MethodJobs<Input, Output>
    : never;
};

type UnaryNames<Service extends DescService> = {
  [Name in keyof Service["method"]]: Service["method"][Name]["methodKind"] extends "unary" ? Name : never;
}[keyof Service["method"]];

/** One method. Its calls throw what those of a queue throw. */
export interface MethodJobs<Input extends DescMessage, Output extends DescMessage> {
  /** Stores the job, or joins the one of this id, and does not wait. @throws JobExistsError by `onDuplicate` */
  enqueue(request: MessageInitShape<Input>, options?: MethodEnqueueOptions): Promise<EnqueuedJob<MessageShape<Output>>>;
  /** A job that was enqueued before, perhaps by another process. Asks nothing. */
  job(jobId: string, options?: Pick<ServiceOptions, "queue">): JobHandle<MessageShape<Output>>;
}

export interface MethodEnqueueOptions
  extends Omit<ServiceJobOptions, "cancelOnAbort">,
    Pick<JobOptions, "headers">,
    CallOptions {}

/** A job by its name. */
export interface JobHandle<Response> {
  readonly queue: string;
  readonly jobId: string;
  /** Waits for its result. @throws TimeoutError, JobFailedError, JobCancelledError, JobNotFoundError */
  wait(options?: WaitOptions): Promise<Response>;
  /** The job as it is now, then each newer version; ends after the terminal one. @throws JobNotFoundError */
  watch(options?: CallOptions): AsyncGenerator<Job<Response>, void>;
  /** The job as it is now. @throws JobNotFoundError */
  get(options?: CallOptions): Promise<Job<Response>>;
  /** Asks for cancellation; a finished job stays as it is. @throws JobNotFoundError */
  cancel(options?: CallOptions): Promise<JobStatus<Response>>;
}

export interface EnqueuedJob<Response> extends JobHandle<Response> {
  /** What the enqueue did. */
  readonly disposition: Disposition;
}

/**
 * Makes jobs of a service's methods: `createJobClient(Thumbnailer, client).render.enqueue({ url })`.
 * @param options for all jobs that do not say otherwise
 * @throws TypeError for an option that does not exist
 */
export function createJobClient<Service extends DescService>(
  service: Service,
  client: Pick<QueueClient, "queue">,
  options: ServiceOptions = {},
): JobClient<Service> {
  checkKnown(options, knownOfServices.client);
  const defaults = overlay(serviceDefaults, options);
  const methods = service.methods.filter(isUnary);
  const jobs = methods.map((method) => [method.localName, methodJobs(client, method, defaults)] as const);
  return Object.fromEntries<unknown>(jobs) as JobClient<Service>;
}

const isUnary = (method: DescMethod): method is DescMethodUnary => method.methodKind === "unary";

function methodJobs<Input extends DescMessage, Output extends DescMessage>(
  client: Pick<QueueClient, "queue">,
  method: DescMethodUnary<Input, Output>,
  defaults: ServiceOptions,
): MethodJobs<Input, Output> {
  const { input: request, output: response, parent } = method;
  const path = `/${parent.typeName}/${method.name}`;
  const jobs = (queue = defaults.queue ?? parent.typeName) => client.queue(defineQueue(queue, { request, response }));
  return {
    async enqueue(message, options = {}) {
      checkKnown(options, knownOfServices.enqueue);
      const { jobId = "", queue, ...asked } = overlay(defaults, options);
      const here = jobs(queue);
      const { job, disposition } = await here.enqueue(jobId, message, { ...asked, method: path });
      return { ...handle(here, job.jobId), disposition };
    },
    job: (jobId, { queue } = {}) => handle(jobs(queue), jobId),
  };
}

function handle<Response>(queue: Queue<never, Response>, jobId: string): JobHandle<Response> {
  return {
    queue: queue.name,
    jobId,
    wait: (options) => queue.wait(jobId, options),
    watch: (options) => queue.watch(jobId, options),
    get: (options) => queue.get(jobId, options),
    cancel: (options) => queue.cancel(jobId, options),
  };
}
