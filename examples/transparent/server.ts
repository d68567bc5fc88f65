/** The server as it always was: gRPC, and not a word of queues. node examples/transparent/server.ts [PORT] */
import { createServer } from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Thumbnailer } from "./gen/acme/v1/thumbnailer_pb.js";
import { thumbnailer } from "./thumbnailer.ts";

const server = createServer(connectNodeAdapter({ routes: (router) => router.service(Thumbnailer, thumbnailer) }));
server.listen(Number(process.argv[2] ?? 9000), "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object") console.log(`listening on http://127.0.0.1:${address?.port}`);
});
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit());
