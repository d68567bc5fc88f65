/** The connection under a client, against peers that misbehave. */
import { once } from "node:events";
import {
  createServer as createHttp2Server,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { Connection, NotSentError } from "../../client/transport/connection.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen<S extends Server | Http2Server>(server: S): Promise<{ server: S; url: string; port: number }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { server, url: `http://127.0.0.1:${port}`, port };
}

/** An HTTP/2 server, its sessions, and what it does with each stream. */
async function peer(onStream: (stream: ServerHttp2Stream) => void) {
  const sessions: ServerHttp2Session[] = [];
  const listening = await listen(createHttp2Server());
  listening.server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
    closers.push(() => session.destroy());
  });
  listening.server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    onStream(stream);
  });
  return { ...listening, sessions };
}

function open(url: string, timing = {}): Connection {
  const connection = new Connection(
    url,
    {},
    { handshakeMs: 5_000, pingIntervalMs: 15_000, pingTimeoutMs: 10_000, ...timing },
  );
  closers.push(() => connection.close());
  return connection;
}

const request = (connection: Connection) => connection.request("POST", "/", {}, {});
const answer = (stream: ServerHttp2Stream) => stream.respond({ ":status": 200 }, { endStream: true });

it("connects once for many requests, and tells when the broker has spoken", async () => {
  const { url, sessions } = await peer(answer);
  const connection = open(url);
  expect(connection.state).toBe("closed");
  const streams = await Promise.all([request(connection), request(connection)]);
  await Promise.all(streams.map((stream) => once(stream.resume(), "close")));
  expect(connection.state).toBe("heard");
  expect(sessions).toHaveLength(1);
});

it("makes an error of a stream that ends without an answer", async () => {
  const { url } = await peer((stream) => stream.close(0));
  const [error] = await once(await request(open(url)), "error");
  expect(error).toMatchObject({ code: 14, rawMessage: "the stream ended without an answer" });
});

it("leaves a connection that says GOAWAY, and lets its calls end", async () => {
  const streams: ServerHttp2Stream[] = [];
  const { url, sessions } = await peer((stream) => void streams.push(stream));
  const connection = open(url);
  const old = await request(connection);
  old.end();
  while (streams.length < 1) await new Promise((resolve) => setImmediate(resolve));
  const goaway = once(old.session!, "goaway");
  sessions[0]!.goaway();
  await goaway;

  const fresh = await request(connection);
  fresh.end();
  while (streams.length < 2) await new Promise((resolve) => setImmediate(resolve));
  expect(sessions).toHaveLength(2);
  const answered = once(old, "response");
  answer(streams[0]!);
  await answered;
});

it("says that nothing was sent where it cannot connect", async () => {
  const { url, server } = await listen(createServer());
  server.close();
  await expect(request(open(url))).rejects.toMatchObject({ code: 14, cause: expect.any(NotSentError) });
});

it("gives up a peer that accepts and never speaks", async () => {
  const { url, server } = await listen(createServer());
  server.on("connection", (socket: Socket) => closers.push(() => socket.resume().destroy()));
  const stream = await request(open(url, { handshakeMs: 30 }));
  const [error] = await once(stream, "error");
  expect(error).toMatchObject({ rawMessage: "the broker does not answer" });
});

it("gives up a peer that has fallen silent, and connects anew", async () => {
  const { port, sessions } = await peer(() => {});
  const sockets: Socket[] = [];
  const proxy = await listen(createServer());
  proxy.server.on("connection", (inner: Socket) => {
    const outer = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      from.on("error", () => {});
      from.on("data", (data) => to.write(data));
    }
    sockets.push(inner, outer);
    for (const socket of [inner, outer]) closers.push(() => void socket.destroy());
  });
  const connection = open(proxy.url, { pingIntervalMs: 20, pingTimeoutMs: 60 });
  const stream = await request(connection);
  const failed = once(stream, "error");
  while (connection.state !== "heard") await new Promise((resolve) => setImmediate(resolve));
  for (const socket of sockets) socket.removeAllListeners("data").pause();
  const [error] = await failed;
  expect(error).toMatchObject({ rawMessage: "the broker is silent" });
  expect(connection.state).toBe("closed");
  await request(connection);
  while (sessions.length < 2) await new Promise((resolve) => setImmediate(resolve));
});

it("keeps a quiet connection whose peer answers pings", async () => {
  const streams: ServerHttp2Stream[] = [];
  const { url, sessions } = await peer((stream) => void streams.push(stream));
  const connection = open(url, { pingIntervalMs: 10, pingTimeoutMs: 5_000 });
  const stream = await request(connection);
  while (sessions.length < 1) await new Promise((resolve) => setImmediate(resolve));
  for (let pings = 0; pings < 3; pings++) await once(sessions[0]!, "ping");
  expect(connection.state).toBe("heard");
  expect(stream.destroyed).toBe(false);
});

it("refuses requests once it is closed", async () => {
  const { url } = await peer(answer);
  const connection = open(url);
  const pending = request(connection);
  await connection.close();
  await expect(pending).rejects.toMatchObject({ cause: expect.any(NotSentError) });
  await expect(request(connection)).rejects.toMatchObject({ cause: expect.any(NotSentError) });
  expect(connection.state).toBe("closed");
});
