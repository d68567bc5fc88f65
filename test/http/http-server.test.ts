/** The HTTP port: health, readiness that follows storage and drain, metrics, and nothing else. */
import { createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { listenHttp } from "../../server/http/http-server.ts";
import { type BrokerServer, createBroker, ListenRefused } from "../../server/index.ts";
import { Child } from "../support/processes.ts";

const brokers: BrokerServer[] = [];
afterEach(() => Promise.all(brokers.splice(0).map((broker) => broker.close())));

async function start(
  options: { storage?: string; settings?: object } = {},
): Promise<{ broker: BrokerServer; url: string }> {
  const ports = { grpc: "127.0.0.1:0", http: "127.0.0.1:0" };
  const broker = await createBroker({ storage: "memory:", ...ports, ...options });
  brokers.push(broker);
  return { broker, url: `http://${broker.httpAddress}` };
}

const get = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init);
  return { status: response.status, body: await response.text(), type: response.headers.get("content-type") };
};

describe("a broker", () => {
  test("is off unless it is told otherwise", async () => {
    const broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
    brokers.push(broker);
    expect(broker.httpAddress).toBeUndefined();
  });

  test("answers health, readiness and metrics; 404 to everything else", async () => {
    const { url } = await start();
    expect(await get(`${url}/healthz`)).toMatchObject({ status: 200, body: "ok\n" });
    expect(await get(`${url}/readyz?verbose`)).toMatchObject({ status: 200, body: "ready\n" });
    const metrics = await get(`${url}/metrics`);
    expect(metrics.status).toBe(200);
    expect(metrics.type).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await get(`${url}/healthz`, { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
    for (const path of ["/", "/health", "/metrics/", "//healthz", "/readyz/.."]) {
      expect((await get(url + path)).status, path).toBe(404);
    }
    expect((await get(`${url}/healthz`, { method: "POST", body: "x" })).status).toBe(404);
  });

  test("is not ready while its storage is away, and says so; it is healthy all the same", async () => {
    const { url } = await start({ storage: "redis://127.0.0.1:1/0" });
    const { status, body } = await get(`${url}/readyz`);
    expect(status).toBe(503);
    expect(body).toMatch(/^storage redis:\/\/127\.0\.0\.1:1\S* does not answer[^\n]*\n$/);
    expect((await get(`${url}/healthz`)).status).toBe(200);
    expect((await get(`${url}/metrics`)).body).toMatch(/^queuecall_storage_ready 0$/m);
  });

  test("is not ready from the first moment of a drain, and gone after it", async () => {
    const { broker, url } = await start({ settings: { drainDelayMs: 300 } });
    const drained = broker.drain();
    expect(await get(`${url}/readyz`)).toMatchObject({ status: 503, body: "draining\n" });
    expect((await get(`${url}/healthz`)).status).toBe(200);
    expect((await get(`${url}/metrics`)).body).toMatch(/^queuecall_draining 1$/m);
    await drained;
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test("refuses an address in use with one line, and lets go of what it had", async () => {
    const { broker } = await start();
    const grpc = `127.0.0.1:${await freePort()}`;
    const http = broker.httpAddress as string;
    const error = await createBroker({ storage: "memory:", grpc, http }).catch((each) => each);
    expect(error).toBeInstanceOf(ListenRefused);
    expect(error.message).toMatch(/^HTTP address 127\.0\.0\.1:\d+ is in use: [^\n]* --http HOST:PORT, or off/);
    brokers.push(await createBroker({ storage: "memory:", grpc }));
  });
});

describe("the port", () => {
  const metrics = { contentType: "text/plain", text: async () => "" };

  test("asks what is mounted for other paths, and answers for what fails", async () => {
    const bugs: string[] = [];
    const port = await listenHttp("127.0.0.1:0", {
      unready: () => undefined,
      metrics: { ...metrics, text: () => Promise.reject(new Error("no metrics")) },
      mount(request, response) {
        if (request.url !== "/mounted") return false;
        response.end(`mounted ${request.method}`);
        return true;
      },
      onBug: (_, path) => bugs.push(path),
    });
    const url = `http://${port.address}`;
    expect((await get(`${url}/mounted`, { method: "POST" })).body).toBe("mounted POST");
    expect((await get(`${url}/other`)).status).toBe(404);
    expect(await get(`${url}/metrics`)).toMatchObject({ status: 500, body: "internal error\n" });
    expect(bugs).toEqual(["/metrics"]);
    await port.close();
  });

  test("listens on IPv6 as well", async () => {
    const port = await listenHttp("[::1]:0", { unready: () => undefined, metrics, onBug: () => {} });
    expect(port.address).toMatch(/^\[::1\]:\d+$/);
    expect((await get(`http://${port.address}/healthz`)).status).toBe(200);
    await port.close();
  });
});

test("the ready line names it", async () => {
  const args = ["cli/main.ts", "serve", "--storage", "memory:", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
  await using broker = new Child(args);
  const [, address] = await broker.line(/^ready grpc=127\.0\.0\.1:\d+ http=(127\.0\.0\.1:\d+) storage=memory: /);
  expect((await get(`http://${address}/readyz`)).status).toBe(200);
  expect((await broker.kill("SIGTERM")).code).toBe(0);
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
