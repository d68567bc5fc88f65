/**
 * The client as it always was; only the address is another. The server's own, or a broker's: it cannot tell them apart.
 *
 *   node examples/transparent/client.ts [URL-OF-SERVER-OR-BROKER [IMAGE [WIDTH]]]
 */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Thumbnailer } from "./gen/acme/v1/thumbnailer_pb.js";

const [baseUrl = "http://127.0.0.1:7455", url = "cat.jpg", width = "64"] = process.argv.slice(2);
const thumbnailer = createClient(Thumbnailer, createGrpcTransport({ baseUrl }));
const { image, mediaType } = await thumbnailer.render({ url, width: Number(width) }, { timeoutMs: 30_000 });
console.log(mediaType, Buffer.from(image).toString());
process.exit();
