/** A broker, ordinary stubs of somebody's service, and workers that serve it. */
import { fileURLToPath } from "node:url";
import { type Client, credentials, loadPackageDefinition, Metadata, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Thumbnailer } from "../../examples/transparent/gen/acme/v1/thumbnailer_pb.js";
import { type BrokerServer, type BrokerServerOptions, createBroker } from "../../server/index.ts";
import { createWorker, type Worker } from "../../worker/index.ts";
import { type Refusal, refusalOf } from "../support/grpc.ts";

export { Thumbnailer };
export const SERVICE = Thumbnailer.typeName;
export const RENDER = `/${SERVICE}/Render`;
export const proto = fileURLToPath(new URL("../../examples/transparent/acme/v1/thumbnailer.proto", import.meta.url));

type Callback = (error: ServiceError | null, reply: { image: Buffer; mediaType: string }) => void;
/** What grpc-js makes of the .proto file alone. */
export interface ThumbnailerStub extends Client {
  render(
    request: object,
    metadata: Metadata,
    options: object,
    callback: Callback,
  ): import("@grpc/grpc-js").ClientUnaryCall;
  preview(request: object): import("@grpc/grpc-js").ClientReadableStream<{ image: Buffer }>;
}

const { acme } = loadPackageDefinition(loadSync(proto, { defaults: true })) as unknown as {
  acme: {
    v1: { Thumbnailer: { new (address: string, creds: object, options?: object): ThumbnailerStub; service: never } };
  };
};
export const StubClass = acme.v1.Thumbnailer;

export interface Reply {
  image: string;
  mediaType: string;
  headers: Record<string, string>;
  trailers: Record<string, string>;
}

export interface Options {
  deadlineMs?: number;
  headers?: Record<string, string | Buffer | (string | Buffer)[]>;
}

/** One caller with a connection of its own. */
export class Stub implements Disposable {
  readonly client: ThumbnailerStub;

  constructor(address: string) {
    this.client = new StubClass(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  }

  /** Resolves with the reply, rejects with the ServiceError. */
  render(
    request: { url?: string; width?: number },
    { deadlineMs = 20_000, headers = {} }: Options = {},
  ): Promise<Reply> {
    const metadata = new Metadata();
    for (const [name, values] of Object.entries(headers)) for (const each of [values].flat()) metadata.add(name, each);
    const options = deadlineMs === Number.POSITIVE_INFINITY ? {} : { deadline: Date.now() + deadlineMs };
    const got: Pick<Reply, "headers" | "trailers"> = { headers: {}, trailers: {} };
    return new Promise((resolve, reject) => {
      let reply: { image: Buffer; mediaType: string };
      const call = this.client.render(request, metadata, options, (error, answer) => {
        if (error) return reject(error);
        reply = answer;
      });
      call.on("metadata", (given: Metadata) => Object.assign(got.headers, flat(given)));
      call.on("status", ({ code, metadata: given }) => {
        Object.assign(got.trailers, flat(given));
        if (code === 0) resolve({ image: reply.image.toString(), mediaType: reply.mediaType, ...got });
      });
    });
  }

  /** The refusal that the call must end in. */
  async refused(request: { url?: string }, options?: Options): Promise<Refusal & { headers: Record<string, string> }> {
    try {
      await this.render(request, options);
    } catch (error) {
      return { ...refusalOf(error as ServiceError), headers: flat((error as ServiceError).metadata) };
    }
    throw new Error("the call was accepted");
  }

  [Symbol.dispose](): void {
    this.client.close();
  }
}

/** Each name once; binary values as base64. */
export function flat(metadata: Metadata): Record<string, string> {
  const names = Object.keys(metadata.getMap());
  return Object.fromEntries(
    names.map((name) => [
      name,
      metadata
        .get(name)
        .map((value) => (typeof value === "string" ? value : value.toString("base64")))
        .join(","),
    ]),
  );
}

export interface Rig extends AsyncDisposable {
  broker: BrokerServer;
  stub: Stub;
  /** Runs until the rig ends. */
  work(handle: (worker: Worker) => Worker, url?: string): Worker;
}

export async function start(options: Partial<BrokerServerOptions> = {}): Promise<Rig> {
  const broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", ...options });
  const stub = new Stub(broker.grpcAddress);
  const workers: Worker[] = [];
  const stop = new AbortController();
  const running: Promise<void>[] = [];
  return {
    broker,
    stub,
    work(handle, url = `http://${broker.grpcAddress}`) {
      const worker = handle(createWorker({ url, concurrency: 8, logger: silent, drainTimeout: 1_000 }));
      workers.push(worker);
      running.push(worker.run({ signal: stop.signal }));
      return worker;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(running);
      stub[Symbol.dispose]();
      await broker.close();
    },
  };
}

const nothing = () => {};
export const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** Resolves once the service can be called here: a worker's first stream is on its way. */
export async function announced(stub: Stub): Promise<void> {
  // Looked at once the service is known: refused then, and nothing is stored.
  const probe = { headers: { "queuecall-priority": "5000" } };
  while ((await stub.refused({}, probe)).reason !== "INVALID_FIELD");
}
