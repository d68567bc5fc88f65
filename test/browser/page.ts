/** What a page does with connect-web. Runs in the browser; what came of each call is posted to where the page is from. */
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { Thumbnailer } from "../../examples/transparent/gen/acme/v1/thumbnailer_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { BrokerService, WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";

const baseUrl = new URL(import.meta.url).searchParams.get("broker") ?? "";

/** Long enough for a machine that does other things as well. Milliseconds. */
const patience = { timeoutMs: 30_000 };

/** An error as the test reads it. */
interface Refused {
  code: string;
  message: string;
  reason: string | undefined;
  field: string | undefined;
  waitsFor: string | undefined;
  header: string | null;
}

async function refused(call: Promise<unknown>): Promise<Refused | string> {
  try {
    await call;
    return "it was answered";
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    return {
      code: Code[error.code],
      message: error.rawMessage,
      reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
      field: error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field,
      waitsFor: error.findDetails(WaitTimeoutSchema)[0]?.jobId,
      header: error.metadata.get("queuecall-reason"),
    };
  }
}

async function first<T>(stream: AsyncIterable<T>): Promise<T | undefined> {
  for await (const each of stream) return each;
  return undefined;
}

/** What came of each kind of call. */
async function outcomes(name: string, transport: Transport) {
  const thumbnailer = createClient(Thumbnailer, transport);
  const broker = createClient(BrokerService, transport);
  const render = async (url: string) => {
    let headers = new Headers();
    const { image, mediaType } = await thumbnailer.render(
      { url, width: 3 },
      {
        ...patience,
        headers: { "x-tenant": "acme", "queuecall-job-id": `${name} ${url}` },
        onHeader: (given) => (headers = given),
      },
    );
    const said = ["queuecall-job-id", "queuecall-disposition", "x-tenant"].map((each) => headers.get(each));
    return [new TextDecoder().decode(image), mediaType, ...said];
  };
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 200);
  const states: number[] = [];
  const answered = [await render("a"), await render("a")];
  for await (const { job } of broker.watchJob({ queue: Thumbnailer.typeName, jobId: `${name} a` }))
    states.push(job?.state ?? 0);
  return {
    answered,
    states,
    failed: await refused(thumbnailer.render({ url: "missing" }, patience)),
    late: await refused(
      thumbnailer.render({ url: "slow" }, { timeoutMs: 3_000, headers: { "queuecall-job-id": `${name} slow` } }),
    ),
    aborted: await refused(thumbnailer.render({ url: "slow" }, { signal: stop.signal })),
    stream: await refused(first(thumbnailer.preview({ url: "a" }))),
    brokers: await refused(broker.getJob({ queue: "q", jobId: "none" })),
    health: (await createClient(Health, transport).check({})).status,
  };
}

export type Outcomes = Awaited<ReturnType<typeof outcomes>>;

/** What came of it all. */
export interface Report {
  outcomes: Record<string, Outcomes>;
  /** What went wrong with the page itself. */
  error?: string;
}

const transports: Record<string, Transport> = {
  "Connect, JSON": createConnectTransport({ baseUrl }),
  "Connect, protobuf": createConnectTransport({ baseUrl, useBinaryFormat: true }),
  "gRPC-Web": createGrpcWebTransport({ baseUrl }),
};

const report: Report = { outcomes: {} };
try {
  for (const [name, transport] of Object.entries(transports)) report.outcomes[name] = await outcomes(name, transport);
} catch (error) {
  report.error = String(error);
}
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
