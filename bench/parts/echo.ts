/** The floor: a bare unary echo on @grpc/grpc-js, with no queue behind it. */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { answer } from "./part.ts";

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

answer({
  listen() {
    const server = new Server();
    server.register(
      "/bench.Echo/Echo",
      (call: { request: Buffer }, done: (error: null, reply: Buffer) => void) => done(null, call.request),
      same,
      same,
      "unary",
    );
    return new Promise((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(`127.0.0.1:${port}`),
      );
    });
  },
});
