/** The HTTP port: Connect, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2, and JSON as curl sends it; the same jobs as on the gRPC port. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code as ConnectCode, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { BrokerService } from "../../gen/queuecall/v1/broker_pb.js";
import { wordsOf } from "../docs/blocks.ts";
import { complete, root } from "../support/processes.ts";
import { WireWorker } from "../support/wire-worker.ts";
import { announced, RENDER, type Rig, SERVICE, start, Thumbnailer } from "./rig.ts";

let rig: Rig;
let url: string;
let runs = 0;
beforeAll(async () => {
  rig = await start({ http: "127.0.0.1:0", settings: { corsOrigins: ["https://app.example.com"] } });
  url = `http://${rig.broker.httpAddress}`;
  rig.work((worker) =>
    worker.service(Thumbnailer, {
      render({ url, width }, context) {
        runs++;
        if (url === "missing") {
          const detail = { fieldViolations: [{ field: "url", description: "unknown" }] };
          throw new ConnectError("no such image", ConnectCode.NotFound, { "x-why": "gone" }, [
            { desc: BadRequestSchema, value: detail },
          ]);
        }
        if (url === "own detail") {
          const detail = { desc: Thumbnailer.method.render.input, value: { url } };
          throw new ConnectError("broken", ConnectCode.InvalidArgument, {}, [detail]);
        }
        context.responseHeader.set("x-tenant", context.requestHeader.get("x-tenant") ?? "");
        return { image: Buffer.from(`${url} ${width}`), mediaType: "image/png" };
      },
    }),
  );
  await announced(rig.stub);
});
afterAll(() => rig[Symbol.asyncDispose]());

const transports: [string, () => Transport][] = (["1.1", "2"] as const).flatMap(
  (httpVersion): [string, () => Transport][] => [
    [
      `Connect, protobuf, HTTP/${httpVersion}`,
      () => createConnectTransport({ baseUrl: url, httpVersion, useBinaryFormat: true }),
    ],
    [
      `Connect, JSON, HTTP/${httpVersion}`,
      () => createConnectTransport({ baseUrl: url, httpVersion, useBinaryFormat: false }),
    ],
    [`gRPC-Web, HTTP/${httpVersion}`, () => createGrpcWebTransport({ baseUrl: url, httpVersion })],
  ],
);
transports.push(["gRPC, HTTP/2", () => createGrpcTransport({ baseUrl: url })]);

describe.each(transports)("%s", (_, transport) => {
  test("a user's service: reply, metadata, id; the handler's error with its details", async () => {
    const client = createClient(Thumbnailer, transport());
    const headers = new Headers();
    const reply = await client.render(
      { url: "a", width: 3 },
      {
        headers: { "x-tenant": "acme" },
        onHeader(given) {
          for (const [name, value] of given) headers.set(name, value);
        },
        timeoutMs: 20_000,
      },
    );
    expect(Buffer.from(reply.image).toString()).toBe("a 3");
    expect(headers.get("x-tenant")).toBe("acme");
    expect(headers.get("queuecall-disposition")).toBe("created");
    const error = ConnectError.from(await client.render({ url: "missing" }).catch((error) => error));
    expect([error.code, error.rawMessage]).toEqual([ConnectCode.NotFound, "no such image"]);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("url");
    expect(error.metadata.get("x-why")).toBe("gone");
    expect(error.metadata.get("queuecall-reason")).toBe("JOB_FAILED");
  });

  test("the broker's own services: unary, a server stream, an error with its reason", async () => {
    const client = createClient(BrokerService, transport());
    const { job } = await client.enqueueAndWait({
      spec: { queue: SERVICE, method: RENDER, payload: { contentType: "application/protobuf" } },
      waitTimeout: { seconds: 20n },
    });
    expect(job?.outcome.case).toBe("result");
    const states: number[] = [];
    for await (const { job: now } of client.watchJob({ queue: SERVICE, jobId: job!.jobId })) states.push(now!.state);
    expect(states).toEqual([4]);
    const error = ConnectError.from(await client.getJob({ queue: "q", jobId: "none" }).catch((error) => error));
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("JOB_NOT_FOUND");
    expect(error.code).toBe(ConnectCode.NotFound);
  });

  test("what nobody announced, and a streaming method", async () => {
    const client = createClient(Thumbnailer, transport());
    const iterator = client.preview({ url: "a" })[Symbol.asyncIterator]();
    const error = ConnectError.from(await iterator.next().catch((error) => error));
    expect([error.code, error.rawMessage]).toEqual([
      ConnectCode.Unimplemented,
      expect.stringContaining("streaming method"),
    ]);
  });
});

describe("over HTTP/2, as on the gRPC port", () => {
  const versions = [ServerReflection, ServerReflectionAlpha] as const;

  test.each(versions)("$typeName: every service, the announced one with its files", async (service) => {
    const client = createClient(
      service as typeof ServerReflection,
      createConnectTransport({ baseUrl: url, httpVersion: "2" }),
    );
    const answers = [];
    const questions = async function* () {
      yield { messageRequest: { case: "listServices", value: "" } } as const;
      yield { messageRequest: { case: "fileContainingSymbol", value: SERVICE } } as const;
    };
    for await (const { messageResponse } of client.serverReflectionInfo(questions()))
      answers.push(messageResponse.value);
    expect(answers[0]).toMatchObject({
      service: expect.arrayContaining(
        [SERVICE, BrokerService.typeName].map((name) => expect.objectContaining({ name })),
      ),
    });
    const { fileDescriptorProto: files } = answers[1] as { fileDescriptorProto: Uint8Array[] };
    expect(fromBinary(FileDescriptorProtoSchema, files.at(-1)!).service.map(({ name }) => name)).toEqual([
      "Thumbnailer",
    ]);
  });

  test("health: what is now, then each change until the broker is gone; what is not known", async () => {
    await using other = await start({ http: "127.0.0.1:0", settings: { drainDelayMs: 200 } });
    const transport = createGrpcWebTransport({ baseUrl: `http://${other.broker.httpAddress}`, httpVersion: "2" });
    const client = createClient(Health, transport);
    await other.broker.serving;
    expect((await client.check({})).status).toBe(Serving.SERVING);
    expect((await client.list({})).statuses).toMatchObject({ "": { status: Serving.SERVING } });
    await expect(client.check({ service: "acme.v1.Other" })).rejects.toMatchObject({ code: ConnectCode.NotFound });
    const first = client.watch({ service: "acme.v1.Other" })[Symbol.asyncIterator]();
    expect((await first.next()).value).toMatchObject({ status: Serving.SERVICE_UNKNOWN });
    const states: number[] = [];
    const watching = (async () => {
      for await (const { status } of client.watch({ service: BrokerService.typeName })) {
        states.push(status);
        if (states.length === 1) void other.broker.drain();
        else break;
      }
    })();
    await watching;
    expect(states).toEqual([Serving.SERVING, Serving.NOT_SERVING]);
  });
});

const post = (path: string, body: string | Uint8Array, headers: Record<string, string> = {}) =>
  fetch(`${url}${path}`, { method: "POST", body, headers: { "content-type": "application/json", ...headers } });

describe("as curl does", () => {
  test("JSON in, JSON out; the same id gets the kept reply", async () => {
    const send = () => post(RENDER, '{"url":"curl","width":1}', { "queuecall-job-id": "from curl" });
    const first = await send();
    expect([first.status, await first.json()]).toEqual([
      200,
      { image: Buffer.from("curl 1").toString("base64"), mediaType: "image/png" },
    ]);
    runs = 0;
    expect((await send()).headers.get("queuecall-disposition")).toBe("cached");
    expect(runs).toBe(0);
  });

  test("malformed JSON, an unknown service, a bad header: an error in JSON", async () => {
    const bad = await post(RENDER, '{"url":7}');
    expect([bad.status, await bad.json()]).toMatchObject([400, { code: "invalid_argument" }]);
    const unknown = await post("/nobody.v1.Knows/It", "{}");
    expect([unknown.status, await unknown.json()]).toMatchObject([501, { code: "unimplemented" }]);
    const header = await post(RENDER, "{}", { "queuecall-priority": "high" });
    expect(await header.json()).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("queuecall-priority"),
    });
  });

  test("a message over the limit is refused, and one that is compressed", async () => {
    const large = await post(RENDER, JSON.stringify({ url: "x".repeat(1024 * 1024 + 1) }));
    expect(large.headers.get("queuecall-reason")).toBe("PAYLOAD_TOO_LARGE");
    const { gzipSync } = await import("node:zlib");
    const packed = await post(RENDER, gzipSync('{"url":"a"}'), { "content-encoding": "gzip" });
    expect(await packed.json()).toMatchObject({ code: "unimplemented" });
  });

  test("a timeout beyond what a timer holds is a long one", async () => {
    expect((await post(RENDER, '{"url":"a"}', { "connect-timeout-ms": "9999999999" })).status).toBe(200);
  });

  test("health and metrics are where they were; other paths are not there", async () => {
    expect(await (await fetch(`${url}/healthz`)).text()).toBe("ok\n");
    expect((await fetch(`${url}/other/path/here`)).status).toBe(404);
  });
});

test("without descriptors: protobuf passes through as it is, JSON is refused in clear words", async () => {
  await using other = await start({ http: "127.0.0.1:0" });
  const worker = new WireWorker(other.broker.grpcAddress);
  worker.hello({ subscriptions: [{ queue: SERVICE, methods: [RENDER] }] });
  await announced(other.stub);
  const baseUrl = `http://${other.broker.httpAddress}`;
  const client = createClient(
    Thumbnailer,
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true }),
  );
  const calling = client.render({ url: "bytes", width: 3 });
  const delivery = await worker.delivery();
  expect(Buffer.from(delivery.payload!.data).toString("latin1")).toBe("\n\u0005bytes\u0010\u0003");
  await worker.settle(delivery, {
    case: "completed",
    value: { payload: { data: Buffer.from("\n\u0002hi") } },
  } as never);
  expect(Buffer.from((await calling).image).toString()).toBe("hi");
  const json = await fetch(`${baseUrl}${RENDER}`, {
    method: "POST",
    body: "{}",
    headers: { "content-type": "application/json" },
  });
  expect(await json.json()).toMatchObject({
    code: "invalid_argument",
    message: expect.stringContaining("descriptor_set"),
  });
  worker.close();
});

describe("a browser's page", () => {
  const preflight = (origin: string) =>
    fetch(`${url}${RENDER}`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,queuecall-job-id,x-tenant,x-bad cookie,authorization,cookie",
      },
    });

  test("of an origin on the list may call", async () => {
    const { status, headers } = await preflight("https://app.example.com");
    expect([status, headers.get("access-control-allow-origin")]).toEqual([204, "https://app.example.com"]);
    expect(headers.get("access-control-allow-headers")).toBe("content-type, queuecall-job-id, x-tenant, authorization");
    const reply = await post(RENDER, "{}", { origin: "https://app.example.com" });
    expect(reply.headers.get("access-control-expose-headers")).toBe("*");
  });

  test("of another one is told nothing", async () => {
    const { headers } = await preflight("https://evil.example.com");
    expect(headers.get("access-control-allow-origin")).toBeNull();
    expect(
      (await post(RENDER, "{}", { origin: "https://evil.example.com" })).headers.get("access-control-allow-origin"),
    ).toBeNull();
  });
});

describe("docs/transparent.md", () => {
  const page = readFileSync(new URL("../../docs/transparent.md", import.meta.url), "utf8");
  /** The answers of a block of commands, each run at this broker. */
  async function run(begins: string, program: string, ...more: string[]): Promise<string[]> {
    const [, block = ""] = new RegExp(`^\`\`\`sh\\n(${begins} .*?)\\n\`\`\`$`, "ms").exec(page) ?? [];
    const answers = [];
    for (const line of block.split("\n")) {
      const words = wordsOf(line)
        .slice(begins.split(" ").length)
        .map((word) => word.replace("http://127.0.0.1:8455", url));
      const { code, stdout, stderr } = await complete([...more, ...words], { program });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      answers.push(stdout);
    }
    return answers;
  }

  test("curl's call", async () => {
    const [reply = ""] = await run("curl", "curl", "-s");
    expect(JSON.parse(reply)).toMatchObject({ mediaType: "image/png" });
  });

  test("buf curl, by reflection", async () => {
    const [services = "", reply = ""] = await run("buf curl", join(root, "node_modules/.bin/buf"), "curl");
    expect(services.split("\n")).toEqual(expect.arrayContaining([SERVICE, BrokerService.typeName]));
    expect(JSON.parse(reply)).toMatchObject({ mediaType: "image/png" });
  }, 180_000);
});

test("as JSON, details of a handler's own type come with its name alone", async () => {
  const post = (path: string, body: object, headers = {}) =>
    fetch(`${url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  await post(RENDER, { url: "own detail" }, { "queuecall-job-id": "own" });
  const answer = await post("/queuecall.v1.BrokerService/GetJob", { queue: SERVICE, jobId: "own" });
  const { job } = (await answer.json()) as { job: { failure: { status: { details: object[] } } } };
  expect(job.failure.status.details).toContainEqual({ "@type": "type.googleapis.com/acme.v1.RenderRequest" });
});
