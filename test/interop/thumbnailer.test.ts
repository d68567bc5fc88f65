/** One .proto file of somebody's own: every caller with every worker, and `queuecall forward` between callers and servers that know of nothing. */
import { type CallOptions, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createQueueClient, jobOptions } from "../../client/index.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { Child } from "../support/processes.ts";
import { announced, SERVICE, Stub, silent, Thumbnailer } from "../transparent/rig.ts";
import { absent, type Language, languages, start, startExample } from "./rig.ts";

interface Call {
  url: string;
  width?: number;
  job_id?: string;
  /** Its deadline. Default 60. */
  seconds?: number;
}

/** What a call ended with. */
type Answer = { image: string; media_type: string; disposition: string } | { code: string; message: string };

type Caller = (broker: BrokerServer, calls: Call[]) => Promise<Answer[]>;

/** Calls with a language's stub, all at once. */
const stubOf =
  (language: Language): Caller =>
  async ({ grpcAddress }, calls) => {
    const { code, stdout, stderr } = await start(language, "calls", [grpcAddress], { input: JSON.stringify(calls) })
      .ended;
    if (code !== 0) throw new Error(`calls in ${language} ended with ${code}: ${stderr}`);
    return stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  };

/** Calls with a Connect client, all at once. @param named what a call says of the id of its job */
async function overConnect(transport: Transport, calls: Call[], named: (jobId: string) => CallOptions) {
  const thumbnailer = createClient(Thumbnailer, transport);
  const call = async ({ url, width = 0, job_id, seconds = 60 }: Call): Promise<Answer> => {
    let disposition = "";
    const { headers, ...options } = job_id ? named(job_id) : {};
    const onHeader = (given: Headers) => {
      disposition = given.get("queuecall-disposition") ?? "";
    };
    const all = { ...options, headers: { "x-tenant": "acme", ...headers }, timeoutMs: seconds * 1_000, onHeader };
    try {
      const { image, mediaType } = await thumbnailer.render({ url, width }, all);
      return { image: Buffer.from(image).toString(), media_type: mediaType, disposition };
    } catch (error) {
      const { code, rawMessage } = ConnectError.from(error);
      return { code: Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase(), message: rawMessage };
    }
  };
  return await Promise.all(calls.map(call));
}

const connect: Caller = ({ httpAddress }, calls) => {
  const transport = createConnectTransport({ baseUrl: `http://${httpAddress}`, httpVersion: "1.1" });
  return overConnect(transport, calls, (jobId) => ({ headers: { "queuecall-job-id": jobId } }));
};

const queueClient: Caller = async ({ grpcAddress }, calls) => {
  await using client = createQueueClient({ url: `http://${grpcAddress}` });
  return await overConnect(client.transport(), calls, (jobId) => ({ contextValues: jobOptions({ jobId }) }));
};

/** What a shell has: JSON in, JSON out. */
const curl: Caller = ({ httpAddress }, calls) =>
  Promise.all(
    calls.map(async ({ url, width, job_id }): Promise<Answer> => {
      const headers = ["content-type: application/json", ...(job_id ? [`queuecall-job-id: ${job_id}`] : [])];
      const args = ["-s", "-i", ...headers.flatMap((each) => ["-H", each]), "-d", JSON.stringify({ url, width })];
      const target = `http://${httpAddress}/acme.v1.Thumbnailer/Render`;
      const { stdout } = await new Child([...args, target], { program: "curl" }).ended;
      const [head = "", body = "{}"] = stdout.split("\r\n\r\n");
      const { code, message, image = "", mediaType } = JSON.parse(body);
      if (code) return { code: code.toUpperCase(), message };
      const disposition = /^queuecall-disposition: (\w+)/im.exec(head)?.[1] ?? "";
      return { image: Buffer.from(image, "base64").toString(), media_type: mediaType, disposition };
    }),
  );

const callers: Record<string, Caller> = {
  "TypeScript (Connect)": connect,
  "TypeScript (client.transport())": queueClient,
  "curl (JSON)": curl,
  ...Object.fromEntries(languages.map((language) => [language, stubOf(language)])),
};

/** Serves until it is disposed of. */
type Serve = (broker: BrokerServer) => AsyncDisposable;

const typescriptWorker: Serve = ({ grpcAddress }) => {
  const worker = createWorker({ url: `http://${grpcAddress}`, concurrency: 4, logger: silent }).service(Thumbnailer, {
    render({ url, width }) {
      if (url === "missing") throw new ConnectError("no such image", Code.NotFound);
      return { image: Buffer.from(`${url} ${width}`), mediaType: "image/png" };
    },
  });
  const running = worker.run();
  return {
    async [Symbol.asyncDispose]() {
      await worker.close();
      await running;
    },
  };
};

const servers: Record<string, Serve> = {
  TypeScript: typescriptWorker,
  ...Object.fromEntries(
    languages.map((language) => [language, ({ grpcAddress }) => startExample(language, "worker", grpcAddress)]),
  ),
};

test.skip.for(absent)("%s: %s", () => {});

describe.for(Object.entries(servers))("a %s worker", ([, serve]) => {
  let broker: BrokerServer;
  let worker: AsyncDisposable;
  beforeAll(async () => {
    broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", http: "127.0.0.1:0" });
    worker = serve(broker);
    await known(broker.grpcAddress);
  });
  afterAll(async () => {
    await worker[Symbol.asyncDispose]();
    await broker.close();
  });

  test.for(Object.entries(callers))("called from %s", async ([name, call]) => {
    const id = `${name}, once`;
    const [plain, missing, first] = await call(broker, [
      { url: "a", width: 7 },
      { url: "missing" },
      { url: "Grüße", job_id: id },
    ]);
    expect(plain).toEqual({ image: "a 7", media_type: "image/png", disposition: "created" });
    expect(missing).toEqual({ code: "NOT_FOUND", message: "no such image" });
    expect(first).toEqual({ image: "Grüße 0", media_type: "image/png", disposition: "created" });
    const again = await call(broker, [{ url: "Grüße", job_id: id }]);
    expect(again).toEqual([{ image: "Grüße 0", media_type: "image/png", disposition: "cached" }]);
  });
});

/** Resolves once a worker has announced the service. */
async function known(address: string): Promise<void> {
  using stub = new Stub(address);
  await announced(stub);
}

async function succeeded({ grpcAddress }: BrokerServer): Promise<number> {
  await using client = createQueueClient({ url: `http://${grpcAddress}` });
  const { queues } = await client.admin.listQueues({});
  return Number(queues.find(({ queue }) => queue === SERVICE)?.succeeded ?? 0);
}

/** An unmodified server of one language, an unmodified client of the other. */
const pairs = languages.map((language, i) => [language, languages[(i + 1) % languages.length]!] as const);

describe.for(pairs)("queuecall forward before a %s server, called from %s", ([serverLanguage, callerLanguage]) => {
  const ends: AsyncDisposable[] = [];
  let broker: BrokerServer;
  let server: Child;
  let port: string;
  const startServer = async (at: string) => {
    server = startExample(serverLanguage, "server", at);
    ends.push(server);
    [, port] = (await server.line(/^serving (\d+)$/)) as unknown as [string, string];
  };

  beforeEach(async () => {
    broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", http: "127.0.0.1:0" });
    await startServer("0");
    const args = ["cli/main.ts", "forward", "--to", `http://127.0.0.1:${port}`, "--service", "acme.v1.Thumbnailer"];
    ends.push(new Child(args, { env: { QUEUECALL_URL: `http://${broker.grpcAddress}` } }));
    await known(broker.grpcAddress);
  });
  afterEach(async () => {
    for (const each of ends.splice(0)) await each[Symbol.asyncDispose]();
    await broker.close();
  });

  test("500 calls, in whose midst the server is killed and started again: all succeed, and are kept by their ids", async () => {
    const calls = Array.from({ length: 500 }, (_, n) => ({ url: `image-${n}`, job_id: `call-${n}`, seconds: 100 }));
    const call = stubOf(callerLanguage);
    const answers = call(broker, calls);
    while ((await succeeded(broker)) < 50);
    await server.kill("SIGKILL");
    expect(await succeeded(broker)).toBeLessThan(500);
    await startServer(port);
    expect((await answers).map((answer) => ("image" in answer ? answer.image : answer))).toEqual(
      calls.map(({ url }) => `${url} 0`),
    );
    const repeated = await call(broker, calls.slice(0, 20));
    expect(repeated).toEqual(
      calls.slice(0, 20).map(({ url }) => ({ image: `${url} 0`, media_type: "image/png", disposition: "cached" })),
    );
  });
});
