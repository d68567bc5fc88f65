/** What createWorker takes, checked once. */
import { hostname } from "node:os";
import { distance } from "fastest-levenshtein";
import type { Clock } from "../protocol/clock.ts";
import { MAX_DURATION_MS, MAX_WINDOW, MAX_WORKER_ID_BYTES } from "../protocol/limits.ts";
import { type Dial, parseUrl, type TlsOptions } from "./link.ts";
import type { Logger } from "./logger.ts";

export interface WorkerOptions {
  /** Broker, or brokers to choose from: `http://host:port`, `https://host:port` for TLS, `unix:/path`. One stream to one of them at a time. */
  url: string | string[];
  /** Handlers that run at one time. 1–10,000. Default 1. */
  concurrency?: number;
  /** Jobs held at one time, those that wait for a handler included. 1–10,000. Default: `concurrency`. */
  window?: number;
  /** A name for people. At most 128 bytes. Default: host name and process id. */
  workerId?: string;
  /** Sent as `authorization: Bearer …`. */
  token?: string;
  /** For `https://` urls: own certificates instead of the system's roots. */
  tls?: TlsOptions;
  /** For people and lists; shown with the worker. 8 KiB in all. */
  labels?: Record<string, string>;
  /** How long a drain lets handlers finish before it aborts them and hands their jobs back. Milliseconds. Default 30,000. */
  drainTimeout?: number;
  /**
   * A span per attempt, which continues the trace of the job's headers, where `@opentelemetry/api` has an SDK registered.
   * Default true.
   */
  tracing?: boolean;
  /** Default: warnings and errors to the console. */
  logger?: Logger;
  /** @internal */
  clock?: Clock;
  /** @internal How streams are opened. */
  dial?: Dial;
}

const known = [
  "url",
  "concurrency",
  "window",
  "workerId",
  "token",
  "tls",
  "labels",
  "drainTimeout",
  "tracing",
  "logger",
  "clock",
  "dial",
] as const satisfies (keyof WorkerOptions)[];

/** @throws TypeError for an unknown option, naming the right one, and for a value that cannot be */
export function checkOptions(options: WorkerOptions): void {
  if (typeof options !== "object" || options === null) throw new TypeError("createWorker takes an object: { url, … }");
  for (const name of Object.keys(options)) {
    if (!(known as readonly string[]).includes(name)) throw unknownOption(name, known);
  }
  for (const url of urlsOf(options)) parseUrl(url);
  whole("concurrency", options.concurrency, 1, MAX_WINDOW);
  whole("window", options.window, 1, MAX_WINDOW);
  whole("drainTimeout", options.drainTimeout, 0, MAX_DURATION_MS);
  const { workerId, tracing } = options;
  if (tracing !== undefined && typeof tracing !== "boolean") throw new TypeError("tracing: expected true or false");
  if (workerId !== undefined && !isWorkerId(workerId)) {
    throw new TypeError(`workerId: give 1–${MAX_WORKER_ID_BYTES} bytes without control characters`);
  }
}

/** @throws TypeError where there is none */
export function urlsOf({ url }: Pick<WorkerOptions, "url">): string[] {
  const urls = [url].flat();
  if (urls.length === 0 || urls.some((each) => typeof each !== "string")) {
    throw new TypeError("url is required: where the broker is, such as http://127.0.0.1:7455");
  }
  return urls;
}

/** "host:pid", which is unique enough for people. */
export function defaultWorkerId(): string {
  const id = `${hostname().slice(0, 100)}:${process.pid}`;
  return isWorkerId(id) ? id : `worker:${process.pid}`;
}

/** A TypeError for a name that is not known, naming the one that was probably meant. */
export function unknownOption(name: string, names: readonly string[]): TypeError {
  const near = names
    .map((each) => ({ each, far: distance(name.toLowerCase(), each.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)[0];
  const hint = near && near.far <= Math.max(2, near.each.length / 2) ? `: did you mean ${near.each}?` : "";
  return new TypeError(`unknown option ${name}${hint}`);
}

function whole(name: string, value: number | undefined, min: number, max: number): void {
  if (value === undefined) return;
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new TypeError(`${name} is ${String(value)}: give a whole number from ${min} to ${max}`);
  }
}

function isWorkerId(value: unknown): boolean {
  if (typeof value !== "string" || value === "" || /\p{Cc}/u.test(value)) return false;
  return Buffer.byteLength(value) <= MAX_WORKER_ID_BYTES;
}
