/** What grpc-js sees of a broker. The same checks as those in go/conformance and conformance.py. */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  compressionAlgorithms,
  connectivityState,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { BrokerService } from "../../gen/queuecall/v1/broker_pb.js";
import { JobState } from "../../gen/queuecall/v1/job_pb.js";
import { GrpcCaller, type Refusal } from "../support/grpc.ts";

const SOON = { deadlineMs: 30_000 };
/** Broker, worker and callers are one process here: where the machine is busy, what is done at once takes its time. */
const LATE = { deadlineMs: 120_000 };
const NAMES = ["", "queuecall.v1.BrokerService", "nobody.Knows"];
const { enqueue, enqueueAndWait, getJob, waitJob, watchJob } = BrokerService.method;

interface HealthAnswer {
  status: string;
}
interface ReflectionAnswer {
  list_services_response?: { service: { name: string }[] };
  file_descriptor_response?: { file_descriptor_proto: Buffer[] };
  error_response?: { error_code: number };
}
interface Health extends Client {
  Check(request: object, metadata: Metadata, options: object, answer: Answer<HealthAnswer>): void;
  Watch(request: object): ClientReadableStream<HealthAnswer>;
}
interface Reflection extends Client {
  ServerReflectionInfo(): ClientDuplexStream<object, ReflectionAnswer>;
}
type Answer<T> = (error: ServiceError | null, answer?: T) => void;
type Stub<T> = new (address: string, security: object) => T;

const files = ["health/v1/health", "reflection/v1/reflection", "reflection/v1alpha/reflection"];
const { grpc } = loadPackageDefinition(
  loadSync(
    files.map((file) => `grpc/${file}.proto`),
    { includeDirs: [fileURLToPath(new URL("../../proto", import.meta.url))], enums: String, keepCase: true },
  ),
) as unknown as {
  grpc: {
    health: { v1: { Health: Stub<Health> } };
    reflection: Record<"v1" | "v1alpha", { ServerReflection: Stub<Reflection> }>;
  };
};

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "OK",
    (error: ServiceError) => status[error.code] ?? String(error),
  );

function detailsOf({ code, info, badRequest, waitTimeout }: Refusal) {
  return {
    code: status[code],
    reason: info?.reason,
    domain: info?.domain,
    ...(badRequest && { field: badRequest.fieldViolations[0]?.field }),
    ...(waitTimeout && { job: waitTimeout.jobId }),
  };
}

async function using<T extends Client, R>(client: T, run: (client: T) => Promise<R>): Promise<R> {
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

/**
 * @param ageing address of a broker with a maximum connection age of a second
 * @returns what each check saw, by its name
 */
export async function checksOf(address: string, ageing: string): Promise<Record<string, unknown>> {
  const caller = new GrpcCaller(address);
  const saw: Record<string, unknown> = {};
  for (const [name, check] of Object.entries(checks(address, ageing, caller))) saw[name] = await check();
  caller.close();
  return saw;
}

function checks(address: string, ageing: string, caller: GrpcCaller): Record<string, () => Promise<unknown>> {
  const echo = async (jobId: string, data: Uint8Array, through = caller, limit = SOON): Promise<Buffer> => {
    const { job } = await through.call(enqueueAndWait, { spec: { queue: "echo", jobId, payload: { data } } }, limit);
    return Buffer.from(job?.outcome.case === "result" ? job.outcome.value.data : []);
  };
  const store = (jobId: string) => caller.call(enqueue, { spec: { queue: "nobody", jobId } }, SOON);
  const byName = async (look: (service: string) => Promise<string>) =>
    Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await look(name)])));

  return {
    health: () =>
      using(new grpc.health.v1.Health(address, credentials.createInsecure()), (client) =>
        byName(
          (service) =>
            new Promise((resolve) =>
              client.Check({ service }, new Metadata(), {}, (error, answer) =>
                resolve(error ? (status[error.code] ?? "") : (answer?.status ?? "")),
              ),
            ),
        ),
      ),

    "health-watch": () =>
      using(new grpc.health.v1.Health(address, credentials.createInsecure()), (client) =>
        byName(async (service) => {
          const stream = client.Watch({ service }).on("error", () => {});
          const [first] = await once(stream, "data");
          stream.cancel();
          return first.status;
        }),
      ),

    async reflection() {
      const look = (version: "v1" | "v1alpha") =>
        using(new grpc.reflection[version].ServerReflection(address, credentials.createInsecure()), async (client) => {
          const stream = client.ServerReflectionInfo();
          const answers: ReflectionAnswer[] = [];
          stream.on("data", (answer) => answers.push(answer));
          stream.write({ list_services: "" });
          stream.write({ file_containing_symbol: "queuecall.v1.BrokerService" });
          stream.write({ file_containing_symbol: "nobody.Knows" });
          stream.end();
          await once(stream, "end");
          const [list, file, unknown] = answers;
          const found = file?.file_descriptor_response?.file_descriptor_proto ?? [];
          return {
            listed: list?.list_services_response?.service.some(({ name }) => name === "queuecall.v1.BrokerService"),
            found: found.some((bytes) => bytes.includes("queuecall/v1/broker.proto")),
            unknown: unknown?.error_response?.error_code,
          };
        });
      return { v1: await look("v1"), v1alpha: await look("v1alpha") };
    },

    async deadline() {
      await store("js-deadline");
      const wait = (deadlineMs: number) =>
        caller.call(waitJob, { queue: "nobody", jobId: "js-deadline" }, { deadlineMs });
      return { late: detailsOf(await caller.refused(wait(3_000))), short: await codeOf(wait(1)) };
    },

    async cancellation() {
      await store("js-cancelled");
      const stream = caller.client.makeServerStreamRequest(
        "/queuecall.v1.BrokerService/WatchJob",
        (bytes: Buffer) => bytes,
        (bytes) => bytes,
        // The wire form of {queue, job_id}: both are strings.
        Buffer.from("\x0a\x06nobody\x12\x0cjs-cancelled"),
      );
      stream.once("data", () => stream.cancel());
      const [error] = await once(stream, "error");
      const { job } = await caller.call(getJob, { queue: "nobody", jobId: "js-cancelled" }, SOON);
      return { code: status[error.code], job: `JOB_STATE_${JobState[job?.state ?? 0]}` };
    },

    async metadata() {
      const metadata = { "x-bytes-bin": Buffer.from([0, 255, 128]), "x-text": "text" };
      const asked = caller.call(getJob, { queue: "nobody", jobId: "ein Märchen" }, { ...SOON, metadata });
      const { code, trailers } = await caller.refused(asked);
      return {
        code: status[code],
        reason: trailers.get("queuecall-reason")[0],
        job_id: trailers.get("queuecall-job-id")[0],
        binary: (trailers.get("grpc-status-details-bin")[0] as Buffer)[0] === 8,
      };
    },

    async large() {
      const data = Buffer.alloc(2 ** 20, 7);
      const same = (await echo("js-large", data)).equals(data);
      const tooLarge = await codeOf(echo("js-too-large", Buffer.alloc(5 * 2 ** 20)));
      return { same, code: "OK", too_large: tooLarge, after: await codeOf(echo("js-after", Buffer.alloc(0))) };
    },

    async compression() {
      const data = Buffer.from("again ".repeat(10_000));
      const compressed = async (way: compressionAlgorithms) => {
        const options = { "grpc.default_compression_algorithm": way };
        const own = new GrpcCaller(address, credentials.createInsecure(), options);
        const code = await codeOf(echo(`js-${way}`, data, own));
        own.close();
        return code;
      };
      const { gzip, deflate } = compressionAlgorithms;
      return { gzip: await compressed(gzip), other: await compressed(deflate), after: await codeOf(echo("", data)) };
    },

    details: async () => detailsOf(await caller.refused(caller.call(enqueue, { spec: { queue: "no queue" } }, SOON))),

    async unimplemented() {
      const paths = ["/queuecall.v1.BrokerService/Nothing", "/nobody.Knows/Nothing"];
      const call = async (path: string) => [path, await codeOf(caller.raw(path, Buffer.alloc(0), SOON))];
      return Object.fromEntries(await Promise.all(paths.map(call)));
    },

    async keepalive() {
      await store("js-keepalive");
      const pings = { "grpc.keepalive_time_ms": 500, "grpc.keepalive_permit_without_calls": 1 };
      const own = new GrpcCaller(address, credentials.createInsecure(), pings);
      const wait = { queue: "nobody", jobId: "js-keepalive", waitTimeout: { seconds: 5n } };
      const { reason } = await own.refused(own.call(waitJob, wait, SOON));
      own.close();
      return reason;
    },

    async "connection-age"() {
      const own = new GrpcCaller(ageing);
      await own.call(enqueue, { spec: { queue: "nobody", jobId: "js-held" } }, SOON);
      const channel = own.client.getChannel();
      const moved = new Promise((resolve) =>
        channel.watchConnectivityState(connectivityState.READY, Infinity, (error) => resolve(error === undefined)),
      );
      const wait = { queue: "nobody", jobId: "js-held", waitTimeout: { seconds: 4n } };
      let held: string | undefined;
      void own.refused(own.call(waitJob, wait, SOON)).then(({ reason }) => (held = reason));
      let failed = 0;
      while (held === undefined) {
        if ((await codeOf(own.call(getJob, { queue: "nobody", jobId: "js-held" }, SOON))) !== "OK") failed++;
      }
      own.close();
      return { held, failed, moved: await moved };
    },

    async watch() {
      await echo("js-watched", Buffer.alloc(0));
      const states: string[] = [];
      for await (const { job } of caller.stream(watchJob, { queue: "echo", jobId: "js-watched" }))
        states.push(`JOB_STATE_${JobState[job?.state ?? 0]}`);
      return { state: states[0], ends: states.length === 1 };
    },

    async many() {
      const codes = await Promise.all(
        Array.from({ length: 500 }, () => codeOf(echo("", Buffer.from("x"), caller, LATE))),
      );
      const others = codes.filter((code) => code !== "OK");
      // What they ended with says why.
      return others.length === 0 ? codes.length : [codes.length - others.length, ...new Set(others)];
    },
  };
}
