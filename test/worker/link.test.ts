/** The grpc-js link: bytes over a real socket, half-close, status, back-pressure. */
import { once } from "node:events";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Metadata, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { HelloSchema, WorkRequestSchema, WorkResponseSchema } from "../../gen/queuecall/v1/worker_pb.js";
import { grpcDial, type LinkEnd, parseUrl } from "../../worker/link.ts";

type Call = ServerDuplexStream<Buffer, Buffer>;

async function serve(work: (call: Call) => void) {
  const server = new Server();
  const same = (bytes: Buffer) => bytes;
  const definition = {
    path: "/queuecall.v1.WorkerService/Work",
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService({ work: definition }, { work });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, got) =>
      error ? reject(error) : resolve(got),
    ),
  );
  return { url: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => server.forceShutdown() };
}

const welcome = Buffer.from(
  toBinary(WorkResponseSchema, create(WorkResponseSchema, { kind: { case: "welcome", value: { brokerId: "b" } } })),
);
const hello = (workerId: string) =>
  create(WorkRequestSchema, { kind: { case: "hello", value: create(HelloSchema, { workerId }) } });

test("messages both ways, the token, half-close, the broker's status", async () => {
  const calls: Call[] = [];
  using server = await serve((call) => {
    calls.push(call);
    call.on("data", () => call.write(welcome));
    call.on("end", () => call.emit("error", { code: 10, details: "superseded", metadata: new Metadata() }));
  });
  const ended = Promise.withResolvers<LinkEnd>();
  const got = Promise.withResolvers<unknown>();
  const link = grpcDial({ token: "secret" })(server.url, {
    message: ({ kind }) => got.resolve(kind),
    writable() {},
    ended: ended.resolve,
  });
  link.send(hello("w"));
  expect(await got.promise).toMatchObject({ case: "welcome", value: { brokerId: "b" } });
  expect(calls[0]?.metadata.get("authorization")).toEqual(["Bearer secret"]);
  link.end();
  expect(await ended.promise).toEqual({ code: 10, message: "superseded" });
  link.destroy();
  link.destroy();
});

test("a broker that does not read makes the link unwritable, until it reads", async () => {
  let call: Call | undefined;
  const opened = Promise.withResolvers<void>();
  using server = await serve((got) => {
    call = got;
    opened.resolve();
  });
  const drained = Promise.withResolvers<void>();
  const link = grpcDial({})(server.url, { message() {}, writable: drained.resolve, ended() {} });
  const large = hello("w".repeat(512 * 1024));
  let sent = 0;
  while (link.writable && sent < 100) {
    link.send(large);
    sent++;
  }
  expect(link.writable).toBe(false);
  expect(sent).toBeLessThan(100);
  await opened.promise;
  let read = 0;
  call?.on("data", (bytes: Buffer) => {
    expect(fromBinary(WorkRequestSchema, bytes).kind.case).toBe("hello");
    if (++read === sent) call?.end();
  });
  await drained.promise;
  expect(link.writable).toBe(true);
  await once(call as Call, "finish");
  link.destroy();
});

test("nobody there: the link ends UNAVAILABLE", async () => {
  const ended = Promise.withResolvers<LinkEnd>();
  const link = grpcDial({})("http://127.0.0.1:1", { message() {}, writable() {}, ended: ended.resolve });
  link.send(hello("w"));
  expect((await ended.promise).code).toBe(14);
  link.destroy();
});

test.each([
  ["http://host:7455", { address: "host:7455", secure: false }],
  ["https://host", { address: "host:443", secure: true }],
  ["http://[::1]:7455/", { address: "[::1]:7455", secure: false }],
  ["unix:/run/q.sock", { address: "unix:/run/q.sock", secure: false }],
])("%s is %o", (url, address) => {
  expect(parseUrl(url)).toEqual(address);
});
