/**
 * Queue-transparent gRPC: a call of a method that workers announced, by any stub, becomes EnqueueAndWait. The queue is the
 * service, the payload the bytes of the message, the wait the call's deadline; the outcome is the call's. For every adapter.
 */
import { create } from "@bufbuild/protobuf";
import { JobFailure_Kind, JobSpecSchema, RetryOn } from "../../gen/queuecall/v1/job_pb.js";
import {
  CallError,
  Code,
  DISPOSITION_TRAILER,
  JOB_ID_TRAILER,
  PAYLOAD_MISMATCH_HEADER,
  REASON_TRAILER,
} from "../../protocol/errors.ts";
import { REQUEST_ID_BYTES } from "../../protocol/limits.ts";
import { type Headers, Metadata, percentEncode } from "../../protocol/metadata.ts";
import type { Broker } from "../broker/broker.ts";
import type { Accepted, Call } from "../broker/callers.ts";
import type { KnownService } from "../broker/services.ts";
import type { Failure, JobKey, JobSpec } from "../job/job.ts";
import type { Access } from "./access.ts";
import { isReserved, takes } from "./announcement.ts";
import { type CallHeaders, headerFields, headersFrom } from "./call-headers.ts";
import { describe, methodOf } from "./descriptors.ts";
import { errorInfo, JobFailed, type WireStatus } from "./status.ts";
import { failureKindOf } from "./translate.ts";
import { jobSpec } from "./validate.ts";

export interface TransparentRequest {
  /** "/acme.v1.Thumbnailer/Render" */
  path: string;
  headers: Headers;
  /** Asks for the message once the call is known to be one that can be taken. @throws CallError the call has another shape */
  message(service: KnownService): Promise<Uint8Array>;
}

export interface TransparentReply {
  message: Uint8Array;
  /** Values of names in "-bin" are base64. */
  headers: Record<string, string>;
}

const NOTHING = new Uint8Array();

export class Transparent {
  readonly #broker: Broker;
  readonly #metadata: Metadata;

  constructor(broker: Broker) {
    this.#broker = broker;
    this.#metadata = new Metadata(broker.settings.passHeaders);
  }

  /**
   * @param access absent: everything is permitted
   * @throws CallError what the broker has to say · JobFailed what the worker said
   */
  async handle(request: TransparentRequest, call: Call, access?: Access): Promise<TransparentReply> {
    const { path, headers } = request;
    const { service, asked, queue } = await this.find(path, headers, access);
    const { waits } = asked;
    const message = await request.message(service);
    const spec = this.#spec(path, queue, message, asked, headers, messageTypeOf(service, path));
    const { clock } = this.#broker;
    const requestId = clock.randomBytes(REQUEST_ID_BYTES);
    if (!waits) return this.#reply(await this.#broker.callers.enqueue(spec, requestId, call));
    const accepted = await this.#broker.callers.enqueueAndWait(spec, requestId, Number.POSITIVE_INFINITY, call);
    return this.#outcome(accepted);
  }

  /** What is called, if the caller may know of it. @throws CallError PERMISSION_DENIED, INVALID_FIELD, NO_SUCH_SERVICE, NO_SUCH_METHOD */
  async find(path: string, headers: Headers, access?: Access) {
    const name = serviceOf(path);
    const asked = headersFrom(headers);
    const { queue = name, waits } = asked;
    // Of both, so that no right on one queue tells what services there are.
    access?.require(waits ? ["enqueue", "wait"] : ["enqueue"], [...new Set([queue, name])]);
    return { service: await this.#find(name, path), asked, queue };
  }

  async #find(name: string, path: string): Promise<KnownService> {
    const service = name === "" || isReserved(name) ? undefined : await this.#broker.services.find(name, path);
    if (!service) throw noSuchService(name, path);
    const kind = methodOf(describe(service), path)?.methodKind;
    if (!takes(service.methods, path, kind)) throw noSuchMethod(service, path, kind);
    return service;
  }

  #spec(
    path: string,
    queue: string,
    data: Uint8Array,
    asked: CallHeaders,
    headers: Headers,
    messageType: string,
  ): JobSpec {
    const { clock, settings } = this.#broker;
    const init = {
      // A stranger's handler may not be idempotent.
      retryOn: RetryOn.UNAVAILABLE,
      ...asked.spec,
      queue,
      method: path,
      payload: { data, contentType: "application/protobuf", messageType },
      headers: this.#metadata.pick(headers),
    };
    return jobSpec(create(JobSpecSchema, init), NOTHING, clock, settings, headerFields);
  }

  #outcome(accepted: Accepted): TransparentReply {
    const { outcome } = accepted.status;
    if (outcome?.kind === "failure") throw this.#failed(accepted, outcome.failure);
    const { data = NOTHING, headers = {} } = outcome?.payload ?? {};
    return { message: data, headers: { ...this.#metadata.pick(Object.entries(headers)), ...about(accepted) } };
  }

  /** Enqueued and no more: an empty message. */
  #reply(accepted: Accepted): TransparentReply {
    return { message: NOTHING, headers: about(accepted) };
  }

  #failed(accepted: Accepted, failure: Failure): JobFailed {
    const own = this.#metadata.pick(Object.entries(failure.headers ?? {}));
    const trailers = { ...own, ...about(accepted), [REASON_TRAILER]: "JOB_FAILED" };
    return new JobFailed({ ...statusOf(accepted.status, failure), trailers });
  }
}

/** A handler's failure is the call's own; of what else became of the job an ErrorInfo says which. */
function statusOf({ queue, jobId }: JobKey, { kind, status }: Failure): Omit<WireStatus, "trailers"> {
  const { code, message, details } = status;
  if (kind === "handler") return { code: isStatusCode(code) ? code : Code.UNKNOWN, message, details };
  const metadata = { kind: JobFailure_Kind[failureKindOf(kind)] ?? "", queue, job_id: jobId };
  return { code, message, details: [errorInfo("JOB_FAILED", metadata)] };
}

const isStatusCode = (code: number) => Number.isInteger(code) && code > Code.OK && code <= Code.UNAUTHENTICATED;

function about({ status, disposition, payloadMismatch }: Accepted): Record<string, string> {
  return {
    [JOB_ID_TRAILER]: percentEncode(status.jobId),
    [DISPOSITION_TRAILER]: disposition,
    ...(payloadMismatch && { [PAYLOAD_MISMATCH_HEADER]: "true" }),
  };
}

function messageTypeOf(service: KnownService, path: string): string {
  return methodOf(describe(service), path)?.input.typeName ?? "";
}

export function serviceOf(path: string): string {
  return /^\/([^/]+)\/[^/]+$/.exec(path)?.[1] ?? "";
}

function noSuchService(name: string, path: string): CallError {
  const text = isReserved(name)
    ? `${path} is not a method of this broker`
    : `no worker has announced a service ${name}: start one that serves it, then it can be called`;
  return new CallError("NO_SUCH_SERVICE", text, { metadata: { service: name } });
}

function noSuchMethod(service: KnownService, path: string, kind: string | undefined): CallError {
  const text =
    kind && kind !== "unary"
      ? `${path} is a streaming method: only unary calls can be jobs; call its server directly`
      : `no worker has announced ${path}; streaming methods cannot be`;
  return new CallError("NO_SUCH_METHOD", text, { metadata: { service: service.name, method: path } });
}

/** A call of a unary method in another form. */
export function noStreams(path: string, what = "a stream of messages"): CallError {
  const metadata = { method: path };
  return new CallError("NO_SUCH_METHOD", `${path} was called with ${what}: only unary calls can be jobs`, { metadata });
}
