/** TLS and client certificates, through the libraries and the command. */
import { copyFileSync, writeFileSync } from "node:fs";
import { get as httpsGet } from "node:https";
import { connect } from "node:tls";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { BrokerService } from "../../gen/queuecall/v1/broker_pb.js";
import { AccessRefused, createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { command } from "../support/command.ts";
import { Authority, hasOpenssl, type Pair, pemOf } from "./certificates.ts";
import { bearer, Folder, role, startGuarded } from "./rig.ts";

describe.skipIf(!hasOpenssl)("tls", () => {
  const folder = new Folder();
  let authority: Authority;
  let stranger: Authority;
  let broker: Pair;
  let mailer: Pair;
  let foreign: Pair;
  beforeAll(() => {
    authority = new Authority(folder.path, "authority");
    stranger = new Authority(folder.path, "stranger");
    broker = authority.sign("broker", "DNS:broker.test,DNS:localhost,IP:127.0.0.1");
    mailer = authority.sign("mailer", "DNS:mailer.internal,URI:spiffe://corp/mailer");
    foreign = stranger.sign("foreign", "DNS:mailer.internal");
  });
  afterAll(() => folder[Symbol.dispose]());

  const start = (options = {}, more = {}) =>
    createBroker({ storage: "memory:", grpc: "127.0.0.1:0", tls: { ...broker, ...options }, ...more });

  /** What a broker's HTTP port answers; the broker is closed at the end of the test. */
  async function page(server: Awaited<ReturnType<typeof start>>) {
    onTestFinished(() => server.close());
    const get = (url: string, options: object) =>
      new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
        const request = httpsGet(url, { ...options, agent: false }, async (response) => {
          resolve({ status: response.statusCode, body: (await response.toArray()).join("") });
        });
        request.on("error", reject);
      });
    return { url: `https://${server.httpAddress}`, get };
  }

  /** One call through a client and a worker of these options. */
  async function round(address: string, tls: Record<string, unknown>): Promise<unknown> {
    const options = { url: `https://${address}`, tls };
    const quiet = { debug() {}, info() {}, warn() {}, error() {} };
    const stop = new AbortController();
    const worker = createWorker({ ...options, logger: quiet }).handle<number>("q", (n) => n + 1);
    const running = worker.run({ signal: stop.signal });
    try {
      await using client = createQueueClient({ ...options, retry: false });
      return await client.queue("q").enqueueAndWait("", 1, { timeout: 5_000 });
    } finally {
      stop.abort();
      await running;
    }
  }

  test("a client and a worker that trust the authority, by address and by another name", async () => {
    await using server = await start();
    const ca = authority.pem;
    expect(await round(server.grpcAddress, { ca })).toBe(2);
    expect(await round(server.grpcAddress.replace("127.0.0.1", "localhost"), { ca: ca.toString() })).toBe(2);
    expect(await round(server.grpcAddress, { ca, serverName: "broker.test" })).toBe(2);
  });

  test("the HTTP port speaks HTTPS with the same certificates, and asks for the client's", async () => {
    const { url, get } = await page(await start({ clientCa: authority.file }, { http: "127.0.0.1:0" }));
    expect(await get(`${url}/healthz`, { ca: authority.pem, ...pemOf(mailer) })).toMatchObject({
      status: 200,
      body: "ok\n",
    });
    await expect(get(`${url}/healthz`, { ca: stranger.pem, ...pemOf(mailer) })).rejects.toThrow();
    await expect(get(`${url}/healthz`, { ca: authority.pem })).rejects.toThrow();
  });

  test("not one that does not, that expects another name, or that speaks plain text", async () => {
    await using server = await start();
    const fails = async (url: string, tls?: object) => {
      await using client = createQueueClient({ url, retry: false, tls });
      await expect(client.queue("q").get("a")).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
    };
    await fails(`https://${server.grpcAddress}`, { ca: stranger.pem });
    await fails(`https://${server.grpcAddress}`, { ca: authority.pem, serverName: "other.test" });
    await fails(`http://${server.grpcAddress}`);
  });

  test("TLS 1.2 and 1.3, nothing older", async () => {
    await using server = await start();
    const port = Number(server.grpcAddress.split(":")[1]);
    const protocol = (version: "TLSv1.1" | "TLSv1.2" | "TLSv1.3") =>
      new Promise((resolve) => {
        const ciphers = version === "TLSv1.1" ? { ciphers: "DEFAULT@SECLEVEL=0" } : {};
        const range = { minVersion: version, maxVersion: version, ...ciphers };
        const socket = connect({ port, host: "127.0.0.1", ca: authority.pem, ALPNProtocols: ["h2"], ...range }, () => {
          resolve(socket.getProtocol());
          socket.destroy();
        });
        socket.on("error", () => resolve("refused"));
      });
    expect(await Promise.all([protocol("TLSv1.1"), protocol("TLSv1.2"), protocol("TLSv1.3")])).toEqual([
      "refused",
      "TLSv1.2",
      "TLSv1.3",
    ]);
  });

  test("client certificates: of the authority, or not at all", async () => {
    await using server = await start({ clientCa: authority.file });
    const ca = authority.pem;
    expect(await round(server.grpcAddress, { ca, ...pemOf(mailer) })).toBe(2);
    // Whose certificate is refused may find the connection reset before the alert is read.
    const refused = [
      { tls: { ca }, message: /certificate required/ },
      { tls: { ca, ...pemOf(foreign) }, message: /./ },
    ];
    for (const { tls, message } of refused) {
      await using client = createQueueClient({ url: `https://${server.grpcAddress}`, retry: false, tls });
      await expect(client.queue("q").get("a")).rejects.toMatchObject({
        code: "BROKER_UNAVAILABLE",
        message: expect.stringMatching(message),
      });
    }
  });

  test("a name in a client certificate is a principal of the token file", async () => {
    const entry = {
      name: "mailer",
      san: "URI:spiffe://corp/mailer",
      rights: [{ queues: ["mail/*"], verbs: ["enqueue"] }],
    };
    await using rig = await startGuarded([entry], { tls: { ...broker, clientCa: authority.file } });
    const url = `https://${rig.broker.grpcAddress}`;
    await using client = createQueueClient({ url, tls: { ca: authority.pem, ...pemOf(mailer) } });
    expect((await client.queue("mail/a").enqueue("a", 1)).disposition).toBe("created");
    await expect(client.queue("mail/a").get("a")).rejects.toMatchObject({
      message: expect.stringContaining("mailer has no right to wait on queue mail/a"),
    });
    await using other = createQueueClient({ url, tls: { ca: authority.pem, ...pemOf(broker) } });
    await expect(other.queue("mail/a").enqueue("a", 1)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });

  test("the HTTP port's calls, by TLS and by client certificates, whatever they speak", async () => {
    const san = "URI:spiffe://corp/mailer";
    const entry = { name: "mailer", san, rights: [{ queues: ["mail"], verbs: ["enqueue"] }] };
    const tls = { ...broker, clientCa: authority.file };
    await using rig = await startGuarded([entry], { tls, http: "127.0.0.1:0" });
    const baseUrl = `https://${rig.broker.httpAddress}`;
    const make = (own: object): [string, Transport][] => {
      const nodeOptions = { ca: authority.pem, ...own };
      return [
        ["Connect, HTTP/1.1", createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions })],
        ["Connect, HTTP/2", createConnectTransport({ baseUrl, httpVersion: "2", nodeOptions })],
        ["gRPC-Web, HTTP/1.1", createGrpcWebTransport({ baseUrl, httpVersion: "1.1", nodeOptions })],
        ["gRPC", createGrpcTransport({ baseUrl, nodeOptions })],
      ];
    };
    const codeOf = (call: Promise<unknown>) =>
      call.then(
        () => "OK",
        (error) => Code[ConnectError.from(error).code],
      );
    for (const [name, transport] of make(pemOf(mailer))) {
      const client = createClient(BrokerService, transport);
      expect([name, await codeOf(client.enqueue({ spec: { queue: "mail" } }))]).toEqual([name, "OK"]);
      expect([name, await codeOf(client.enqueue({ spec: { queue: "other" } }))]).toEqual([name, "PermissionDenied"]);
    }
    const call = (transport: Transport) =>
      codeOf(createClient(BrokerService, transport).enqueue({ spec: { queue: "mail" } }));
    // Of the authority, and nobody's principal; of another authority; none.
    for (const [name, transport] of make(pemOf(broker)))
      expect([name, await call(transport)]).toEqual([name, "Unauthenticated"]);
    for (const own of [pemOf(foreign), {}]) {
      for (const [name, transport] of make(own)) expect([name, await call(transport)]).not.toEqual([name, "OK"]);
    }
  });

  test("reflection on the HTTP port is for who may come in; health for everybody", async () => {
    const { entry, token } = role("anybody", "none", "wait");
    await using rig = await startGuarded([entry], { tls: broker, http: "127.0.0.1:0" });
    const nodeOptions = { ca: authority.pem };
    const transport = createConnectTransport({
      baseUrl: `https://${rig.broker.httpAddress}`,
      httpVersion: "2",
      nodeOptions,
    });
    const ask = async (headers = {}) => {
      const question = async function* () {
        yield { messageRequest: { case: "listServices", value: "" } } as const;
      };
      const names = [];
      for await (const { messageResponse } of createClient(ServerReflection, transport).serverReflectionInfo(
        question(),
        { headers },
      )) {
        if (messageResponse.case === "listServicesResponse") names.push(...messageResponse.value.service);
      }
      return names.length > 0;
    };
    expect(await ask(bearer(token))).toBe(true);
    await expect(ask()).rejects.toMatchObject({ code: Code.Unauthenticated });
    expect(await createClient(Health, transport).check({})).toMatchObject({ status: 1 });
  });

  test("new files hold for new connections; open ones stay, and half a change changes nothing", async () => {
    const pair = { cert: folder.file("live.crt"), key: folder.file("live.key") };
    const replace = ({ cert, key }: Pair) => {
      copyFileSync(cert, pair.cert);
      copyFileSync(key, pair.key);
    };
    replace(broker);
    const errors: string[] = [];
    const none = () => {};
    const logger = { debug: none, info: none, warn: none, error: (_: object, text: string) => void errors.push(text) };
    await using server = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", tls: pair, logger });
    const seen = async (ca: Buffer) => {
      await using client = createQueueClient({ url: `https://${server.grpcAddress}`, retry: false, tls: { ca } });
      return await client
        .queue("q")
        .enqueue("", 1)
        .then(
          () => true,
          () => false,
        );
    };
    await using open = createQueueClient({
      url: `https://${server.grpcAddress}`,
      retry: false,
      tls: { ca: authority.pem },
    });
    await open.queue("q").enqueue("", 1);

    const other = stranger.sign("other", "IP:127.0.0.1");
    copyFileSync(other.cert, pair.cert);
    await server.reload();
    expect(errors.join()).toMatch(
      /live\.key is not the key of --tls-cert .*live\.crt; the certificates read before stay/,
    );
    expect([await seen(authority.pem), await seen(stranger.pem)]).toEqual([true, false]);

    replace(other);
    await vi.waitFor(async () => expect(await seen(stranger.pem)).toBe(true), { timeout: 12_000, interval: 100 });
    expect(await seen(authority.pem)).toBe(false);
    await open.queue("q").enqueue("", 1);
  });

  test("files that cannot be used are refused in one line", async () => {
    const bad = folder.file("bad.pem");
    writeFileSync(bad, "no certificate");
    const missing = folder.file("missing.pem");
    const refused = async (tls: object, text: RegExp) => {
      await expect(start(tls)).rejects.toThrow(AccessRefused);
      await expect(start(tls)).rejects.toThrow(text);
    };
    await refused({ cert: missing }, /^--tls-cert: cannot read .*missing\.pem: there is no such file$/);
    await refused({ cert: bad }, /^--tls-cert .*bad\.pem is no PEM certificate$/);
    await refused({ key: bad }, /^--tls-key .*bad\.pem is no PEM private key without a passphrase$/);
    await refused({ key: mailer.key }, /^--tls-key .*mailer\.key is not the key of --tls-cert .*broker\.crt$/);
    await refused({ clientCa: bad }, /^--tls-client-ca .*bad\.pem is no PEM certificate$/);
  });

  test("the command: --tls-ca, --tls-cert, --tls-key", async () => {
    await using server = await start({ clientCa: authority.file });
    const enqueue = ["enqueue", "q", "--url", `https://${server.grpcAddress}`, "--timeout", "3s"];
    const own = ["--tls-ca", authority.file, "--tls-cert", mailer.cert, "--tls-key", mailer.key];
    const ended = await command([...enqueue, ...own]);
    expect([ended.code, JSON.parse(ended.stdout).disposition]).toEqual([0, "created"]);
    const health = ["health", "--url", `https://${server.grpcAddress}`];
    expect((await command([...health, ...own])).code).toBe(0);
    expect((await command([...enqueue, "--tls-ca", authority.file])).code).toBe(69);
    expect((await command([...enqueue, "--tls-cert", mailer.cert])).stderr).toContain(
      "give both --tls-cert and --tls-key",
    );
  });
});
