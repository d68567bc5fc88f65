/** Somebody's gRPC server that knows nothing of queues, as a process: `node server.ts PORT`. Prints "ready PORT". */
import { Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { StubClass } from "./rig.ts";

interface Request {
  url: string;
  width: number;
}

const server = new Server();
server.addService(StubClass.service, {
  render(call: ServerUnaryCall<Request, object>, callback: sendUnaryData<object>) {
    const { url, width } = call.request;
    const trailers = new Metadata();
    trailers.set("x-seen", String(call.metadata.get("x-tenant")[0] ?? ""));
    trailers.set("x-secret", String(call.metadata.get("authorization")[0] ?? "none"));
    trailers.set("x-deadline", Number.isFinite(Number(call.getDeadline())) ? "some" : "none");
    if (url === "missing") return callback({ code: 5, details: "no such image", metadata: trailers });
    if (url === "aborted") return callback({ code: 10, details: "again", metadata: trailers });
    setTimeout(() => callback(null, { image: Buffer.from(`${url} ${width}`), mediaType: "image/png" }, trailers), 20);
  },
});
server.bindAsync(`127.0.0.1:${process.argv[2] ?? 0}`, ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`ready ${port}`);
});
