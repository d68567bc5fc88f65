/**
 * A worker that calls somebody's gRPC server: takes jobs of its services and makes each the unary call that it once was.
 * Messages stay bytes, so that nothing has to be known of them.
 *
 *   job ──► connected? ──no──► handed back: the try is not counted
 *             │ yes
 *             ▼
 *           the call ──► its reply, or its status with details: the job's
 */
import { create, fromBinary } from "@bufbuild/protobuf";
import { type Client, connectivityState, Metadata, type ServiceError } from "@grpc/grpc-js";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";
import { type Payload, PayloadSchema } from "../gen/queuecall/v1/job_pb.js";
import { PROTOBUF_TYPE } from "../protocol/codec.ts";
import { Code } from "../protocol/errors.ts";
import type { Answer, JobContext, Task } from "./attempt.ts";
import { NonRetryableError, RetryableError } from "./errors.ts";
import { openClient, parseUrl, type TlsOptions } from "./link.ts";
import type { WorkerOptions } from "./options.ts";
import { Worker } from "./worker.ts";

export interface ForwardOptions extends WorkerOptions {
  /** The server: `http://host:port`, `https://host:port`, `unix:/path`. */
  to: string;
  /** For an `https://` server. */
  toTls?: TlsOptions;
  /** Full names of its services. */
  services: readonly string[];
  /** A google.protobuf.FileDescriptorSet of them, for JSON and reflection at the broker. Without it any method is taken, and callers speak protobuf. */
  descriptorSet?: Uint8Array;
  /** Sent with each call, such as an authorization of the worker's own: a caller's never gets here. */
  headers?: Readonly<Record<string, string>>;
  /** Status codes after which another try is made, whatever the job says. Default: as the job says. */
  retry?: readonly number[];
  /** Status codes after which none is. Default: as the job says. */
  final?: readonly number[];
}

/** A job whose server cannot be reached is held for this long before it is handed back, for another worker to try. Milliseconds. */
const CONNECT_PATIENCE_MS = 5_000;

/** Milliseconds. grpc-js would wait up to two minutes between two tries. */
const reconnection = { "grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 2_000 };

/**
 * Makes a worker that forwards. Run it as any other.
 * @throws TypeError for options that cannot be
 */
export function createForwarder(options: ForwardOptions): Worker {
  const { to, toTls, services, descriptorSet, headers = {}, retry = [], final = [], ...rest } = options;
  parseUrl(to);
  if (services.length === 0) throw new TypeError("services: name at least one, such as acme.v1.Thumbnailer");
  const worker = new Worker(rest);
  const client = openClient(to, toTls, reconnection);
  const server = new ForwardedServer(client, { headers, retry, final });
  for (const service of services) worker.forward(service, descriptorSet, server.task);
  return worker;
}

type Terms = Required<Pick<ForwardOptions, "headers" | "retry" | "final">>;

class ForwardedServer {
  readonly task: Task;
  readonly #client: Client;
  readonly #terms: Terms;

  constructor(client: Client, terms: Terms) {
    this.#client = client;
    this.#terms = terms;
    this.task = (payload, job) => this.#forward(payload, job);
  }

  async #forward(payload: Payload | undefined, job: JobContext): Promise<Answer> {
    if (await this.#connected()) return this.#call(payload?.data ?? new Uint8Array(), job);
    job.release();
    return { payload: create(PayloadSchema) };
  }

  /** Nothing was sent yet, so nothing was tried. */
  #connected(): Promise<boolean> {
    if (this.#client.getChannel().getConnectivityState(true) === connectivityState.READY) return Promise.resolve(true);
    const until = new Date(Date.now() + CONNECT_PATIENCE_MS);
    return new Promise((resolve) => this.#client.waitForReady(until, (error) => resolve(error === undefined)));
  }

  #call(message: Uint8Array, job: JobContext): Promise<Answer> {
    const metadata = this.#metadata(job);
    const options = job.deadline ? { deadline: job.deadline } : {};
    const answered: Metadata[] = [];
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(job.method, same, same, message, metadata, options, (error, reply) => {
        if (error) return reject(this.#failure(error));
        const payload = create(PayloadSchema, { data: reply as Uint8Array, contentType: PROTOBUF_TYPE });
        // The status, with the trailers, comes right after.
        queueMicrotask(() => resolve({ payload, headers: textsOf(answered) }));
      });
      call.on("metadata", (headers) => answered.push(headers));
      call.on("status", ({ metadata }) => answered.push(metadata));
      job.signal.addEventListener("abort", () => call.cancel(), { once: true });
    });
  }

  /** What the caller sent, what this worker adds, and which job it is: a server that knows it may run twice can tell. */
  #metadata({ headers, jobId, attempt }: JobContext): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries({ ...headers, ...this.#terms.headers })) {
      for (const each of name.endsWith("-bin") ? value.split(",") : [value]) {
        metadata.add(name, name.endsWith("-bin") ? Buffer.from(each, "base64") : each);
      }
    }
    metadata.set("queuecall-job-id-bin", Buffer.from(jobId));
    metadata.set("queuecall-attempt", String(attempt));
    return metadata;
  }

  /** The server's own status, whole. */
  #failure(error: ServiceError): Error {
    const { code, details: message } = error;
    const more = { details: detailsOf(error), metadata: new Headers(textsOf([error.metadata])), name: "" };
    const { retry, final } = this.#terms;
    if (final.includes(code)) return Object.assign(new NonRetryableError(message, { code }), more);
    if (retry.includes(code)) return Object.assign(new RetryableError(message, { code }), more);
    return Object.assign(new Error(message), { code: code === Code.OK ? Code.UNKNOWN : code }, more);
  }
}

/** As ConnectError has them. */
function detailsOf({ metadata }: ServiceError): { type: string; value: Uint8Array }[] {
  const [bytes] = metadata.get("grpc-status-details-bin");
  if (!(bytes instanceof Uint8Array)) return [];
  const { details } = fromBinary(StatusSchema, bytes);
  return details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
}

/** Values of names in "-bin" in base64. */
function textsOf(all: readonly Metadata[]): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const metadata of all) {
    for (const [name, values] of Object.entries(metadata.toHttp2Headers())) texts[name] = [values].flat().join(", ");
  }
  return texts;
}

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
