/** What a call of a service's method can say of its job, beside what every Connect call says. */
import { type ContextValues, createContextKey, createContextValues, type Interceptor } from "@connectrpc/connect";
import { checkKnown, type EnqueueAndWaitOptions, type JobOptions, type Known, known } from "../options.ts";

/** The options of jobs that serve any method of any service: the method is the call's own, and so are its headers. */
export interface ServiceOptions extends Omit<JobOptions, "method" | "headers"> {
  /** Another queue than the one that is named after the service. Workers have to subscribe to it. */
  queue?: string | undefined;
}

/** For one call. */
export interface ServiceJobOptions extends ServiceOptions, Pick<EnqueueAndWaitOptions, "cancelOnAbort"> {
  /** The deduplication key, as in `queue.enqueueAndWait(id, …)`. Default: a new one. */
  jobId?: string | undefined;
}

/** For all calls of a transport. */
export interface TransportOptions extends ServiceOptions, Pick<EnqueueAndWaitOptions, "cancelOnAbort"> {
  /** Of calls that say no `timeoutMs`. Milliseconds. Default: the client's, else 30,000. */
  timeout?: number | undefined;
  /** Around each call of a method, whatever is sent for it. */
  interceptors?: Interceptor[] | undefined;
}

/** A stranger's handler may not be idempotent. */
export const serviceDefaults: ServiceOptions = { retryOn: "unavailable" };

const { method: _method, headers: _headers, timeout: _timeout, signal: _signal, ...job } = known.enqueueAndWait;
const { cancelOnAbort: _cancelOnAbort, ...client } = { ...job, queue: true as const };
const { method: _path, ...enqueue } = known.enqueue;

export const knownOfServices = {
  job: { ...job, queue: true, jobId: true } satisfies Known<ServiceJobOptions>,
  transport: { ...job, queue: true, timeout: true, interceptors: true } satisfies Known<TransportOptions>,
  client: client satisfies Known<ServiceOptions>,
  enqueue: { ...enqueue, queue: true as const, jobId: true as const },
};

const jobKey = createContextKey<ServiceJobOptions>({}, { description: "the job of this call" });

/**
 * Says what a call's job shall be: `thumbnailer.render(request, { contextValues: jobOptions({ jobId }) })`.
 * @param values to add to. Default: new ones
 * @throws TypeError for an option that does not exist
 */
export function jobOptions(options: ServiceJobOptions, values: ContextValues = createContextValues()): ContextValues {
  checkKnown(options, knownOfServices.job);
  return values.set(jobKey, { ...values.get(jobKey), ...options });
}

export function jobOptionsIn(values: ContextValues): ServiceJobOptions {
  return values.get(jobKey);
}
