/** Who takes his time, or comes in great number: nothing of it is held for ever. In times that are short here. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EnqueueAndWaitRequestSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { exchangePath } from "../../server/rpc/exchange.ts";
import { workPath } from "../../server/rpc/worker-service.ts";
import { Authority, hasOpenssl } from "../access/certificates.ts";
import { methods, pathOf } from "../support/grpc.ts";
import { Child } from "../support/processes.ts";
import { Bystander } from "./bystander.ts";
import { Flag, frame, grpcHeaders, headersFrame, message, RawHttp2, Type } from "./raw-http2.ts";

const MAX_CONNECTIONS = 50;
const settings = { handshakeTimeoutMs: 500, requestTimeoutMs: 500, maxConnections: MAX_CONNECTIONS };

const warnings: object[] = [];
let broker: BrokerServer;
let address: string;
beforeAll(async () => {
  const logger = { debug() {}, info() {}, warn: (fields: object) => void warnings.push(fields), error: console.error };
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", settings, logger });
  address = broker.grpcAddress;
});
afterAll(() => broker.close());

const WITHIN = { timeout: 60_000 };

function served(bystander: Bystander): Promise<boolean> {
  return bystander.isServed().then(
    () => true,
    () => false,
  );
}

/** Sends a little now and then until the connection is over. */
async function drip(raw: RawHttp2, pieces: Iterable<Uint8Array>): Promise<void> {
  for (const piece of pieces) {
    if (raw.over) return;
    await raw.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const bytesOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => Buffer.of(byte));

describe("a connection ends", () => {
  const beginnings: [string, (raw: RawHttp2) => unknown][] = [
    ["that says nothing", () => {}],
    ["that says half of the beginning", (raw) => raw.socket.write("PRI * HTTP/2.0\r\n")],
    [
      "that begins byte by byte",
      (raw) => drip(raw, bytesOf(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".repeat(10)))),
    ],
  ];
  test.each(beginnings)("%s", async (_, begin) => {
    await using bystander = new Bystander(address);
    await using raw = await RawHttp2.open(address);
    void begin(raw);
    await raw.closed;
    expect(raw.count(Type.ping), "it is not for keepalive to find it").toBe(0);
    await bystander.isServed();
  });

  test("that does not confirm the settings", async () => {
    await using raw = await RawHttp2.begin(address, { confirms: false });
    await raw.closed;
    expect(raw.count(Type.ping), "it is not for keepalive to find it").toBe(0);
  });
});

describe.skipIf(!hasOpenssl)("a handshake of TLS ends", () => {
  let folder: string;
  let secure: BrokerServer;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "queuecall-"));
    const tls = new Authority(folder, "authority").sign("broker", "IP:127.0.0.1");
    secure = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", tls, settings });
  });
  afterAll(async () => {
    await secure.close();
    rmSync(folder, { recursive: true });
  });

  test.each([
    ["that does not begin", ""],
    ["of which half comes", "16030100f8010000f40303"],
  ])("%s", async (_, hex) => {
    await using raw = await RawHttp2.open(secure.grpcAddress);
    raw.socket.write(Buffer.from(hex, "hex"));
    await raw.closed;
  });
});

describe("a request ends", () => {
  const enqueue = pathOf(methods.enqueue);
  const requests: [string, (raw: RawHttp2) => unknown][] = [
    ["without a body", (raw) => raw.write(headersFrame(1, grpcHeaders(enqueue)))],
    [
      "of which half comes",
      (raw) =>
        raw.write(
          headersFrame(1, grpcHeaders(enqueue)),
          frame(Type.data, 0, 1, message(Buffer.alloc(5), { length: 100 })),
        ),
    ],
    [
      "whose message is there, and which does not end",
      (raw) => raw.write(headersFrame(1, grpcHeaders(enqueue)), frame(Type.data, 0, 1, message(Buffer.alloc(0)))),
    ],
    [
      "that comes byte by byte",
      (raw) => {
        const frames = bytesOf(message(Buffer.alloc(1_000))).map((byte) => frame(Type.data, 0, 1, byte));
        return drip(raw, [headersFrame(1, grpcHeaders(enqueue)), ...frames]);
      },
    ],
    ["of a stream of answers", (raw) => raw.write(headersFrame(1, grpcHeaders(pathOf(methods.watchJob))))],
    ["of a method that is not there", (raw) => raw.write(headersFrame(1, grpcHeaders("/no/such")))],
    [
      "that is no gRPC",
      (raw) =>
        raw.write(
          headersFrame(
            1,
            grpcHeaders(enqueue).map(([name, value]) => [name, name === "content-type" ? "text/html" : value]),
          ),
        ),
    ],
    [
      "that is refused, on a stream of a worker that does not end either",
      (raw) =>
        raw.write(headersFrame(1, grpcHeaders(workPath)), frame(Type.data, 0, 1, message(Buffer.alloc(3, 0xff)))),
    ],
    [
      "that is refused, on a stream of calls that does not end either",
      (raw) =>
        raw.write(headersFrame(1, grpcHeaders(exchangePath)), frame(Type.data, 0, 1, message(Buffer.alloc(3, 0xff)))),
    ],
  ];
  test.each(requests)("%s", async (_, begin) => {
    await using raw = await RawHttp2.begin(address);
    void begin(raw);
    // An answer that says why, and the end of the stream.
    await raw.until(() => raw.count(Type.headers) > 0 && raw.count(Type.reset) > 0);
    expect(raw.over).toBe(false);
  });

  test("that waits for a long time after it has ended does not", async () => {
    await using raw = await RawHttp2.begin(address);
    const request = create(EnqueueAndWaitRequestSchema, { spec: { queue: "long" } });
    const body = message(toBinary(EnqueueAndWaitRequestSchema, request));
    await raw.write(headersFrame(1, grpcHeaders(pathOf(methods.enqueueAndWait))));
    await raw.write(frame(Type.data, Flag.endStream, 1, body));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect([raw.count(Type.headers), raw.count(Type.reset), broker.stats.waiting]).toEqual([0, 0, 1]);
  });
});

describe("many connections", () => {
  test("above the limit they are closed, which is said once, and those that are there are served", async () => {
    await using bystander = new Bystander(address);
    await bystander.isServed();
    const many = await Promise.all(Array.from({ length: 3 * MAX_CONNECTIONS }, () => RawHttp2.open(address)));
    await expect.poll(() => many.filter((raw) => raw.over).length, WITHIN).toBeGreaterThanOrEqual(2 * MAX_CONNECTIONS);
    for (const raw of many) await raw[Symbol.asyncDispose]();
    await expect.poll(() => served(bystander), WITHIN).toBe(true);
    expect(warnings).toEqual([{ port: "gRPC", why: `${MAX_CONNECTIONS} are open, the limit: --max-connections` }]);
  });

  test("more than there are descriptors: those that are there are served, and later others again", async () => {
    const serve = 'ulimit -n 64; exec "$0" cli/main.ts serve --storage memory: --grpc 127.0.0.1:0 --http 127.0.0.1:0';
    await using child = new Child(["-c", serve, process.execPath], { program: "sh" });
    const [, grpc = "", http = ""] = await child.line(/^ready grpc=(\S+) http=(\S+)/);
    await using bystander = new Bystander(grpc);
    await bystander.isServed();
    const [host, port] = http.split(":");
    const many = [
      ...(await Promise.all(Array.from({ length: 100 }, () => RawHttp2.open(grpc)))).map((raw) => raw.socket),
      ...Array.from({ length: 100 }, () => connectTcp(Number(port), host).on("error", () => {})),
    ];
    await Promise.all(many.map((socket) => socket.pending && once(socket, "connect").catch(() => {})));
    for (const socket of many) socket.destroy();
    await expect.poll(() => served(bystander), WITHIN).toBe(true);
    expect(await child.kill("SIGTERM")).toMatchObject({ code: 0 });
  }, 180_000);
});
