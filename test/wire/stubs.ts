/** The .proto files through a gRPC library: what any language generates. Nothing here comes from the project's code. */
import { fileURLToPath } from "node:url";
import {
  type Client,
  type ClientDuplexStream,
  credentials,
  loadPackageDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const files = ["queuecall/v1/worker.proto", "queuecall/v1/broker.proto"];
const loaded = loadPackageDefinition(
  loadSync(files, {
    includeDirs: [fileURLToPath(new URL("../../proto", import.meta.url))],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  }),
);

type Stub<Methods> = new (address: string, security: object, options: object) => Client & Methods;
type Unary = (request: object, answered: (error: ServiceError | null, response: { job: Job }) => void) => void;
type Callers = Record<"Enqueue" | "EnqueueAndWait" | "WaitJob" | "GetJob" | "CancelJob", Unary>;
export type WorkStream = ClientDuplexStream<object, Message>;

const { WorkerService, BrokerService } = (
  loaded as unknown as {
    queuecall: { v1: { WorkerService: Stub<{ Work(): WorkStream }>; BrokerService: Stub<Callers> } };
  }
).queuecall.v1;

export interface Lease {
  queue: string;
  job_id: string;
  lease_token: Buffer;
}
export interface Delivery extends Lease {
  attempt: number;
  fence: string;
  payload: { data: Buffer } | null;
}
export interface Frame {
  seq: string;
  deliveries: Delivery[];
  settled: { settle_id: string; result: string; status: { message: string } | null }[];
  adopted: Lease[];
  lost: (Lease & { reason: string })[];
  cancels: Lease[];
  ping: { nonce: string } | null;
  pong: { nonce: string } | null;
  drain: { reason: string } | null;
}
export interface Welcome {
  broker_id: string;
  protocol_version: number;
}
export interface Message {
  welcome?: Welcome;
  frame?: Frame;
}
export interface Job {
  job_id: string;
  state: string;
  attempt: number;
  cancel_requested: boolean;
  result?: { data: Buffer };
  failure?: { kind: string; status: { code: number; message: string } };
}

// A connection per stream and caller, as separate processes have.
const options = { "grpc.use_local_subchannel_pool": 1 };

/** Opens a worker stream. Its connection closes with it. */
export function openWork(address: string): WorkStream {
  const client = new WorkerService(address, credentials.createInsecure(), options);
  const stream = client.Work();
  stream.on("error", () => {}); // the status says the same
  stream.on("status", () => client.close());
  return stream;
}

/** A caller: method name and request in, job out. */
export function openCaller(address: string) {
  const client = new BrokerService(address, credentials.createInsecure(), options);
  return {
    call: (method: keyof Callers, request: object) =>
      new Promise<Job>((resolve, reject) => {
        client[method](request, (error, { job } = {} as { job: Job }) => (error ? reject(error) : resolve(job)));
      }),
    close: () => client.close(),
  };
}
export type Caller = ReturnType<typeof openCaller>;
