/** What calls and clients take, and the checks that name what is wrong. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Interceptor } from "@connectrpc/connect";
import { closest, distance } from "fastest-levenshtein";
import type { JobSpecSchema } from "../gen/queuecall/v1/job_pb.js";
import type { Clock } from "../protocol/clock.ts";
import type { EncodedPayload } from "../protocol/codec.ts";
import { MAX_DURATION_MS, QUEUE_PATTERN } from "../protocol/limits.ts";
import { type OnDuplicate, onDuplicates, type RetryOn, retryOns } from "./enums.ts";
import { InvalidRequestError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { OpenLink, TlsOptions } from "./transport/transport.ts";

/** For every call. */
export interface CallOptions {
  /** How long the call may take, retries included. Milliseconds, any length. Default 30,000. */
  timeout?: number | undefined;
  /** Ends the call: it rejects with `signal.reason`. A job that was enqueued goes on. */
  signal?: AbortSignal | undefined;
}

/** For calls that wait for an outcome. */
export interface WaitOptions extends CallOptions {
  /** How long to wait for the outcome. Milliseconds, any length; 0 asks for what is there. Default 30,000. */
  timeout?: number | undefined;
  /** An abort cancels the job too, for everybody who waits for it. Default false. */
  cancelOnAbort?: boolean | undefined;
}

/** What to run and how long to try. Absent options take the broker's defaults, which are named here. */
export interface JobOptions {
  /** `/pkg.Service/Method`, for workers that serve several. Default none. */
  method?: string | undefined;
  /** Reach the worker with the job. 8 KiB in all, labels included. */
  headers?: Record<string, string> | undefined;
  /** For people and lists; do not reach the worker. */
  labels?: Record<string, string> | undefined;
  /** −1000 … 1000, higher first. Default 0. */
  priority?: number | undefined;
  /** Not to be started before this long after acceptance. Milliseconds. Default 0. */
  delay?: number | undefined;
  /** Total tries. Default 3. */
  maxAttempts?: number | undefined;
  /** The wait between two tries. */
  backoff?: BackoffOptions | undefined;
  /** Which failures are retried where the worker does not say. Default "failure"; of a service's methods "unavailable". */
  retryOn?: RetryOn | undefined;
  /** Longest time of one attempt. Milliseconds. Default none. */
  runTimeout?: number | undefined;
  /** Longest time from acceptance to the first start; must be above `delay`. Milliseconds. Default none. */
  startTimeout?: number | undefined;
  /** How long the finished job and its outcome are kept, and duplicates find it. Milliseconds, from 1,000. Default 1 hour. */
  resultTtl?: number | undefined;
  /** What to do when the id exists already. Default "join". */
  onDuplicate?: OnDuplicate | undefined;
  /** Refuse to join a job whose payload differs. Default false: join it, and log a warning. */
  rejectPayloadMismatch?: boolean | undefined;
}

/** Full jitter: each wait is a random part of min(max, initial × multiplier^(attempt − 1)). */
export interface BackoffOptions {
  /** Milliseconds. Default 100. */
  initial?: number | undefined;
  /** From 1 to 100. Default 2. */
  multiplier?: number | undefined;
  /** Milliseconds. Default 30,000. */
  max?: number | undefined;
}

export interface EnqueueOptions extends JobOptions, CallOptions {}
export interface EnqueueAndWaitOptions extends JobOptions, WaitOptions {}

/** How calls are tried again while no broker can do its work. */
export interface RetryOptions {
  /** About the wait before the second try; it doubles from there. Milliseconds. Default 100. */
  initial?: number | undefined;
  /** No wait is longer. Milliseconds. Default 5,000. */
  max?: number | undefined;
}

export interface QueueClientOptions {
  /** The broker, e.g. `http://127.0.0.1:7455`, or several of one storage: the next one is tried when one is unavailable. */
  url: string | string[];
  /** Sent as `authorization: Bearer …`; a function is asked for each call. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** For `https:` urls. */
  tls?: TlsOptions | undefined;
  /**
   * How calls travel: all on one stream in batches, or each as an HTTP/2 request of its own, for proxies and interceptors
   * that must see them. Default "multiplex", which is several times faster when many calls are in flight.
   */
  mode?: "multiplex" | "unary" | undefined;
  /** Connect interceptors, around every call and every retry of it. */
  interceptors?: Interceptor[] | undefined;
  /** Options for all calls that do not set them. `timeout` holds for every call, the rest for enqueues. */
  defaults?: Omit<EnqueueAndWaitOptions, "signal"> | undefined;
  /** `false`: an unavailable broker is an error at once. */
  retry?: RetryOptions | false | undefined;
  /**
   * Spans, and the active trace in the job's headers, where `@opentelemetry/api` has an SDK registered. `false`: neither.
   * Default true.
   */
  tracing?: boolean | undefined;
  /** Default: process warnings. */
  logger?: Logger | undefined;
  /** @internal */
  clock?: Clock | undefined;
  /** @internal */
  openLink?: OpenLink | undefined;
}

export type Known<T> = Record<keyof T, true>;

const call: Known<CallOptions> = { timeout: true, signal: true };
const wait: Known<WaitOptions> = { ...call, cancelOnAbort: true };
const backoff: Known<BackoffOptions> = { initial: true, multiplier: true, max: true };
const job: Known<JobOptions> = {
  method: true,
  headers: true,
  labels: true,
  priority: true,
  delay: true,
  maxAttempts: true,
  backoff: true,
  retryOn: true,
  runTimeout: true,
  startTimeout: true,
  resultTtl: true,
  onDuplicate: true,
  rejectPayloadMismatch: true,
};
const { signal: _, ...defaults } = { ...job, ...wait };

export const known = {
  call,
  wait,
  enqueue: { ...job, ...call } satisfies Known<EnqueueOptions>,
  enqueueAndWait: { ...job, ...wait } satisfies Known<EnqueueAndWaitOptions>,
  defaults,
  retry: { initial: true, max: true } satisfies Known<RetryOptions>,
  client: {
    url: true,
    token: true,
    tls: true,
    mode: true,
    interceptors: true,
    defaults: true,
    retry: true,
    tracing: true,
    logger: true,
    clock: true,
    openLink: true,
  } satisfies Known<QueueClientOptions>,
};

/** @throws TypeError for an option that does not exist, with the one that was probably meant */
export function checkKnown(options: object, names: object, where = ""): void {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(names, name)) continue;
    const all = Object.keys(names);
    const near = closest(
      name.toLowerCase(),
      all.map((each) => each.toLowerCase()),
    );
    const likely = all.find((each) => each.toLowerCase() === near)!;
    const hint =
      distance(name.toLowerCase(), near) <= Math.max(2, likely.length / 2)
        ? `did you mean "${where}${likely}"?`
        : `known are ${all.join(", ")}`;
    throw new TypeError(`unknown option "${where}${name}"; ${hint}`);
  }
}

/** `undefined` counts as absent. */
export function overlay<T extends object, U extends object>(defaults: T, options: U): T & U {
  const all = { ...defaults } as Record<string, unknown>;
  for (const [name, value] of Object.entries(options)) if (value !== undefined) all[name] = value;
  return all as T & U;
}

/**
 * A length of time in milliseconds.
 * @throws TypeError what is no finite number, InvalidRequestError what is negative
 */
export function checkMs(field: string, value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new TypeError(`${field}: expected a finite number of milliseconds, got ${shown(value)}`);
  }
  if (value < 0) throw invalid(field, `must not be negative, got ${value}`);
  return value;
}

export function checkQueue(name: unknown): string {
  if (typeof name !== "string") throw new TypeError(`queue: expected a name or a definition, got ${shown(name)}`);
  if (!QUEUE_PATTERN.test(name)) throw invalid("queue", "must be 1–128 characters of [A-Za-z0-9._/-]");
  return name;
}

export function checkJobId(id: unknown): string {
  if (typeof id !== "string") throw new TypeError(`id: expected a string, got ${shown(id)}`);
  // On its way into UTF-8 each half would become the same replacement character, and ids that differ would meet.
  if (!id.isWellFormed()) throw invalid("id", "must not contain lone surrogates");
  return id;
}

/** "host:port" is taken as http, or https where there are TLS options. */
export function checkUrls(url: unknown, tls: boolean): string[] {
  const urls = Array.isArray(url) ? url : [url];
  if (urls.length === 0) throw new TypeError("url: expected at least one");
  return urls.map((each) => {
    if (typeof each !== "string") throw new TypeError(`url: expected a string, got ${shown(each)}`);
    const text = each.includes("://") ? each : `${tls ? "https" : "http"}://${each}`;
    const parsed = URL.parse(text);
    if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
      throw new TypeError(`url: expected http://host:port or https://host:port, got ${shown(each)}`);
    }
    return text.replace(/\/+$/, "");
  });
}

/** What a message that asks for a job is made of. Its headers are its own: a call adds its trace to them. */
export type JobSpecInit = MessageInitShape<typeof JobSpecSchema> & { jobId: string; headers: Record<string, string> };

export function jobSpec(queue: string, jobId: string, payload: EncodedPayload, options: JobOptions): JobSpecInit {
  const init: JobSpecInit = { queue, jobId, payload, headers: {} };
  if (options.method !== undefined) init.method = checkString("method", options.method);
  if (options.headers !== undefined) init.headers = { ...checkStrings("headers", options.headers) };
  if (options.labels !== undefined) init.labels = checkStrings("labels", options.labels);
  if (options.priority !== undefined) init.priority = checkInteger("priority", options.priority);
  if (options.maxAttempts !== undefined) init.maxAttempts = checkCount("maxAttempts", options.maxAttempts);
  if (options.onDuplicate !== undefined) {
    init.onDuplicate = checkOneOf("onDuplicate", options.onDuplicate, onDuplicates);
  }
  if (options.retryOn !== undefined) init.retryOn = checkOneOf("retryOn", options.retryOn, retryOns);
  if (options.rejectPayloadMismatch !== undefined) {
    init.rejectPayloadMismatch = checkBoolean("rejectPayloadMismatch", options.rejectPayloadMismatch);
  }
  if (options.delay !== undefined) init.delay = duration("delay", options.delay);
  if (options.runTimeout !== undefined) init.runTimeout = duration("runTimeout", options.runTimeout);
  if (options.startTimeout !== undefined) init.startTimeout = duration("startTimeout", options.startTimeout);
  if (options.resultTtl !== undefined) init.resultTtl = duration("resultTtl", options.resultTtl);
  if (options.backoff !== undefined) init.backoff = backoffOf(options.backoff);
  return init;
}

function backoffOf(options: BackoffOptions): NonNullable<MessageInitShape<typeof JobSpecSchema>["backoff"]> {
  checkKnown(options, backoff, "backoff.");
  const { initial, multiplier, max } = options;
  return {
    ...(initial !== undefined && { initial: duration("backoff.initial", initial) }),
    ...(multiplier !== undefined && { multiplier: checkMs("backoff.multiplier", multiplier) }),
    ...(max !== undefined && { max: duration("backoff.max", max) }),
  };
}

/** @throws as {@link checkMs}; what is above the longest duration of the protocol is the broker's to refuse */
export function duration(field: string, value: unknown): Duration {
  return durationFromMs(Math.min(Math.round(checkMs(field, value)), MAX_DURATION_MS + 1));
}

export function checkBoolean(field: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw new TypeError(`${field}: expected true or false, got ${shown(value)}`);
  return value;
}

function checkString(field: string, value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`${field}: expected a string, got ${shown(value)}`);
  return value;
}

function checkStrings(field: string, value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) throw new TypeError(`${field}: expected an object of strings`);
  for (const [key, each] of Object.entries(value)) checkString(`${field}.${key}`, each);
  return value as Record<string, string>;
}

function checkInteger(field: string, value: unknown): number {
  if (!Number.isInteger(value)) throw new TypeError(`${field}: expected a whole number, got ${shown(value)}`);
  if (Math.abs(value as number) > 2 ** 31 - 1) throw invalid(field, `is out of range: ${value}`);
  return value as number;
}

function checkCount(field: string, value: unknown): number {
  const count = checkInteger(field, value);
  if (count < 0) throw invalid(field, `must not be negative, got ${count}`);
  return count;
}

function checkOneOf<T>(field: string, value: unknown, meanings: Record<string, T>): T {
  if (typeof value === "string" && Object.hasOwn(meanings, value)) return meanings[value]!;
  throw new TypeError(`${field}: expected one of ${Object.keys(meanings).join(", ")}, got ${shown(value)}`);
}

function invalid(field: string, description: string): InvalidRequestError {
  return new InvalidRequestError(`${field}: ${description}`, {
    reason: "INVALID_FIELD",
    violations: [{ field, description }],
  });
}

/** Primitives as they are; of objects only the kind, for they may be large or secret. */
function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
