/** The same on the HTTP port: slow, wrong and many. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ManualClock } from "../../protocol/manual-clock.ts";
import { type HttpPort, listenHttp } from "../../server/http/http-server.ts";
import { Flag, frame, type Header, headersFrame, RawHttp2, Type } from "./raw-http2.ts";

const metrics = { contentType: "text/plain", text: async () => "" };
const bugs: unknown[] = [];
const held: ServerResponse[] = [];
let port: HttpPort;
beforeAll(async () => {
  const times = { headersTimeoutMs: 400, requestTimeoutMs: 400 };
  const onBug = (error: unknown) => void bugs.push(error);
  // It answers when it is told to.
  const mount = (_request: unknown, response: ServerResponse) => {
    held.push(response);
    return true;
  };
  port = await listenHttp("127.0.0.1:0", { unready: () => undefined, metrics, mount, onBug, ...times });
});
afterAll(async () => {
  await port.close();
  expect(bugs).toEqual([]);
});

/** A connection, what came on it, and its end. */
class Visitor {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  answer = "";

  constructor() {
    const [host, number] = port.address.split(":");
    this.socket = connect(Number(number), host);
    this.socket.setEncoding("latin1").on("data", (text: string) => (this.answer += text));
    this.socket.on("error", () => {});
    this.closed = once(this.socket, "close");
  }

  /** Says it piece by piece, for as long as somebody listens. */
  async drip(text: string): Promise<void> {
    for (const letter of text) {
      if (!this.socket.writable) return;
      this.socket.write(letter);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function isServed(): Promise<void> {
  expect((await fetch(`http://${port.address}/healthz`)).status).toBe(200);
}

const GET = "GET /healthz HTTP/1.1\r\nhost: b\r\n";

describe("ends", () => {
  const slow: [string, (visitor: Visitor) => unknown][] = [
    ["a connection that says nothing", () => {}],
    ["headers that do not end", ({ socket }) => socket.write(GET)],
    ["headers that come letter by letter", (visitor) => visitor.drip(`${GET}x: ${"y".repeat(1_000)}`)],
    [
      "a body that does not end",
      ({ socket }) => socket.write(`POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 9\r\n\r\n1`),
    ],
    ["a second request that does not", ({ socket }) => socket.write(`${GET}\r\n${GET}`)],
  ];
  test.each(slow)("%s", async (_, begin) => {
    const visitor = new Visitor();
    void begin(visitor);
    await visitor.closed;
    await isServed();
  });
});

const request = (method: string, path: string): Header[] => [
  [":method", method],
  [":scheme", "http"],
  [":path", path],
  [":authority", "broker"],
];

describe("ends, of HTTP/2,", () => {
  const HEADERS = Flag.endHeaders;
  test("a connection that says no more than its greeting", async () => {
    await using raw = await RawHttp2.begin(port.address);
    await raw.closed;
    expect(raw.count(Type.headers)).toBe(0);
  });

  test("one that does not even confirm the settings", async () => {
    await using raw = await RawHttp2.begin(port.address, { confirms: false });
    await raw.closed;
  });

  test("one that has been answered, and asks nothing more", async () => {
    await using raw = await RawHttp2.begin(port.address);
    await raw.write(headersFrame(1, request("GET", "/healthz"), HEADERS | Flag.endStream));
    await raw.closed;
    expect([raw.count(Type.headers), raw.count(Type.goaway) > 0]).toEqual([1, true]);
  });

  test("a request whose body does not end, not its connection", async () => {
    await using raw = await RawHttp2.begin(port.address);
    await raw.write(headersFrame(1, request("POST", "/no/such"), HEADERS), frame(Type.data, 0, 1, Buffer.from("1")));
    await raw.until(() => raw.count(Type.headers) > 0 && raw.count(Type.reset) > 0);
    expect(raw.over).toBe(false);
    held.splice(0);
  });

  test("but none that waits for its answer", async () => {
    await using raw = await RawHttp2.begin(port.address);
    await raw.write(headersFrame(1, request("POST", "/a/long/call"), HEADERS | Flag.endStream));
    // Another connection that says nothing has had all the time there is.
    await using silent = await RawHttp2.begin(port.address);
    await silent.closed;
    await using later = await RawHttp2.begin(port.address);
    await later.closed;
    expect(raw.over).toBe(false);
    for (const response of held.splice(0)) response.end("at last");
    await raw.until(() => raw.count(Type.headers) === 1 && raw.count(Type.data) > 0);
  });
});

test("a stream that stays open has no end of its own; its connection is asked whether it is there, and ends where it says nothing", async () => {
  const clock = new ManualClock();
  const onBug = (error: unknown) => void bugs.push(error);
  const mount = (_request: unknown, response: ServerResponse) => {
    response.writeHead(200).write("welcome");
    return true;
  };
  const staysOpen = (path: string) => path === "/work";
  const options = { unready: () => undefined, metrics, mount, staysOpen, clock, onBug };
  const own = await listenHttp("127.0.0.1:0", options);
  // Answers pings, as node:http2 does by itself.
  const awake = connectHttp2(`http://${own.address}`).on("error", () => {});
  let closed = false;
  awake.once("close", () => (closed = true));
  const [, silent] = await Promise.all([
    once(awake.request({ ":method": "POST", ":path": "/work" }, { endStream: false }), "response"),
    RawHttp2.begin(own.address),
  ]);
  await silent.write(headersFrame(1, request("POST", "/work"), Flag.endHeaders));
  await silent.until(() => silent.count(Type.data) > 0);
  await clock.advance(29_000);
  expect(silent.count(Type.ping)).toBe(0);
  for (let n = 0; n < 3; n++) {
    const pinged = once(awake, "ping");
    await clock.advance(n === 0 ? 1_000 : 30_000);
    await pinged;
    // That its answer has come back shows in one of ours.
    await new Promise((resolve) => awake.ping(resolve));
    if (n === 0) await silent.until(() => silent.count(Type.ping) === 1);
    await clock.advance(0);
  }
  await silent.closed;
  expect(closed).toBe(false);
  awake.destroy();
  await own.close();
});

describe("refuses", () => {
  test.each([
    ["headers of 20 KB", `${GET}x: ${"y".repeat(20_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
    ["rubbish", "\x00\x01\x02\r\n\r\n", /^HTTP\/1.1 400 /],
    ["HTTP/2 that goes on with rubbish", `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"y".repeat(64)}`, /^(?!HTTP)/],
    ["a length that is none", `POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 1x\r\n\r\n`, /^HTTP\/1.1 400 /],
    [
      "two lengths",
      `POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12`,
      /^HTTP\/1.1 400 /,
    ],
    [
      "a length and pieces",
      `POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1.1 400 /,
    ],
    ["pieces that lie", `POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n`, /^HTTP\/1.1 40[04] /],
    ["no host", "GET /healthz HTTP/1.1\r\n\r\n", /^HTTP\/1.1 400 /],
  ])("%s", async (_, text, answer) => {
    const visitor = new Visitor();
    visitor.socket.write(text, "latin1");
    await visitor.closed;
    expect(visitor.answer).toMatch(answer);
    await isServed();
  });
});

test("nine hundred that say nothing leave again, and others are served meanwhile", async () => {
  const many = Array.from({ length: 900 }, () => new Visitor());
  await isServed();
  await Promise.all(many.map(({ closed }) => closed));
  await isServed();
});
