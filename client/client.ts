/** The client: one connection, and the queues that are called over it. */
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AdminService } from "../gen/queuecall/v1/admin_pb.js";
import { BrokerService } from "../gen/queuecall/v1/broker_pb.js";
import { systemClock } from "../protocol/clock.ts";
import { Deadlines } from "../protocol/deadlines.ts";
import { defineQueue, type QueueDefinition } from "../protocol/define-queue.ts";
import { Batches } from "./batches.ts";
import type { CallContext } from "./call.ts";
import { DEFAULT_MODE } from "./default-mode.ts";
import { QueuecallError } from "./errors.ts";
import { processLogger } from "./logger.ts";
import {
  checkBoolean,
  checkKnown,
  checkMs,
  checkQueue,
  checkUrls,
  jobSpec,
  known,
  type QueueClientOptions,
  type RetryOptions,
} from "./options.ts";
import { type Queue, TypedQueue } from "./queue.ts";
import type { TransportOptions } from "./service/options.ts";
import { jobTransport } from "./service/transport.ts";
import { openGrpcLink } from "./transport/grpc.ts";
import { bearer, Links } from "./transport/links.ts";
import { openMultiplexLink } from "./transport/multiplex.ts";

/** A client of one broker, or of several that share a storage. */
export interface QueueClient {
  /**
   * A queue by name, JSON (or bytes) in and out. The types are the program's word.
   * @throws InvalidRequestError for a name that is not 1–128 characters of [A-Za-z0-9._/-]
   */
  queue<Request = unknown, Response = unknown>(name: string): Queue<Request, Response>;
  /** A queue by its definition. */
  queue<RequestIn, Request, ResponseIn, Response>(
    definition: QueueDefinition<RequestIn, Request, ResponseIn, Response>,
  ): Queue<RequestIn, Response>;
  /**
   * For a Connect client of any service, whose calls are jobs of the queue that is named after the service, with all that
   * `enqueueAndWait` does: `createClient(Thumbnailer, client.transport())`. What goes wrong is a ConnectError. A call's
   * `timeoutMs` is how long it waits (0: as long as it takes); what else its job shall be is said by `jobOptions`.
   * @throws TypeError for an option that does not exist
   */
  transport(options?: TransportOptions): Transport;
  /** The broker's API as it is: no retries, no codecs; throws ConnectError. */
  readonly broker: Client<typeof BrokerService>;
  /** What operators use, as it is: queues, jobs, workers; pause, purge, retry in bulk. Throws ConnectError. */
  readonly admin: Client<typeof AdminService>;
  /** Ends all calls (code `CLIENT_CLOSED`; their jobs go on) and the connection. Safe to call again. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a client. It connects with its first call, reconnects by itself, and keeps the process alive only while a call
 * is in progress.
 * @throws TypeError for options that do not exist or cannot be
 */
export function createQueueClient(options: QueueClientOptions): QueueClient {
  checkOptions(options);
  const {
    token,
    mode = DEFAULT_MODE,
    tls,
    interceptors = [],
    defaults = {},
    retry = {},
    tracing = true,
    logger = processLogger,
    clock = systemClock,
  } = options;
  const closing = new AbortController();
  const links = new Links(checkUrls(options.url, tls !== undefined), options.openLink ?? openers[mode], {
    tls,
    clock,
    interceptors: token === undefined ? interceptors : [bearer(token), ...interceptors],
  });
  const open: CallContext["open"] = new Deadlines(clock, (call) => call.expire(), { unref: false });
  const batches = new Batches();
  const context = { links, clock, retry, closing: closing.signal, open, defaults, logger, tracing, batches };

  const close = async () => {
    const closed = new QueuecallError("CLIENT_CLOSED", "the client is closed");
    closing.abort(closed);
    for (const call of [...open]) call.closed(closed);
    await links.close();
  };
  const queue = (target: string | QueueDefinition<never, never, never, never>) => {
    const definition = typeof target === "string" ? defineQueue<never, never>(target) : target;
    checkQueue(definition?.name);
    return new TypedQueue(context, definition);
  };
  return {
    queue: queue as QueueClient["queue"],
    transport: (own) => jobTransport(context, own),
    broker: createClient(BrokerService, links.transport),
    admin: createClient(AdminService, links.transport),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const openers = { multiplex: openMultiplexLink, unary: openGrpcLink };

function checkOptions(options: QueueClientOptions): void {
  if (typeof options !== "object" || options === null) throw new TypeError("expected options: { url, … }");
  checkKnown(options, known.client);
  const { mode = DEFAULT_MODE, defaults = {}, retry = {} } = options;
  if (mode !== "unary" && mode !== "multiplex") throw new TypeError('mode: expected "unary" or "multiplex"');
  if (retry !== false) checkRetry(retry);
  if (options.tracing !== undefined) checkBoolean("tracing", options.tracing);
  checkKnown(defaults, known.defaults, "defaults.");
  if (defaults.timeout !== undefined) checkMs("defaults.timeout", defaults.timeout);
  // What an enqueue would complain of, once and early.
  jobSpec("", "", { data: new Uint8Array(0), contentType: "", messageType: "" }, defaults);
}

function checkRetry(retry: RetryOptions): void {
  checkKnown(retry, known.retry, "retry.");
  for (const field of ["initial", "max"] as const) {
    if (retry[field] !== undefined) checkMs(`retry.${field}`, retry[field]);
  }
}
