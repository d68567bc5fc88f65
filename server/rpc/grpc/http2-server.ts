/**
 * @grpc/grpc-js with what its HTTP/2 server has no option for.
 *
 * - `grpc-timeout` above 2^31−1 ms wraps to an instant timeout (it is computed with `| 0`): clamped before it is read.
 * - Bounds on connections, streams, headers and time: bounds.ts.
 * - A path without a handler is answered UNIMPLEMENTED before anybody is asked: its table of handlers gets one for all others.
 * - What a call has sent is kept while it waits: forgetful.ts.
 * - What a call is sent is copied: in-pieces.ts.
 * - A stream cannot be dropped while the peer does not read it: `reset`.
 *
 * All of it reaches into the server, so tests hold it (test/rpc/bad-input.test.ts, test/rpc/bounds.test.ts, test/rpc/slow-readers.test.ts,
 * test/transport, test/transparent): an upgrade that moves something turns red.
 */
import { constants, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { Server, type ServerOptions } from "@grpc/grpc-js";
import { clampTimeout } from "../timeouts.ts";
import { type Bounds, enforce, grpcBounds, http2Bounds } from "./bounds.ts";
import { forgetful } from "./forgetful.ts";
import { inPieces } from "./in-pieces.ts";

interface Internals {
  handlers: Map<string, unknown>;
  commonServerOptions: object;
  createHttp2Server(credentials: unknown): Http2Server;
}

/** A grpc-js server, hardened. */
export function createGrpcServer(options: ServerOptions, bounds: Bounds): Server {
  const server = new Server({ ...grpcBounds(bounds), interceptors: [forgetful, inPieces], ...options });
  const internals = server as unknown as Internals;
  Object.assign(internals.commonServerOptions, http2Bounds(bounds));
  const original = internals.createHttp2Server.bind(server);
  internals.createHttp2Server = (credentials) => {
    const http2 = original(credentials);
    enforce(http2, bounds);
    http2.prependListener("stream", (_stream: unknown, headers: IncomingHttpHeaders) => {
      const timeout = headers["grpc-timeout"];
      if (typeof timeout === "string") headers["grpc-timeout"] = clampTimeout(timeout);
    });
    return http2;
  };
  return server;
}

/** Drops a stream at once, with all that was written and not sent; grpc-js itself would wait until the peer has read it. */
export function reset(call: object): void {
  const { stream } = (call as { call: { stream?: ServerHttp2Stream } }).call;
  stream?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  stream?.destroy();
}

type Handle = Parameters<Server["register"]>[1];

/** Takes the calls whose path no handler was registered for: bytes in, bytes out. */
export function handleOthers(server: Server, handle: Handle): void {
  const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const others = { func: handle, serialize: same, deserialize: same, type: "bidi" };
  class Handlers extends Map<string, unknown> {
    override get(path: string): unknown {
      // A call learns its path from its handler.
      return super.get(path) ?? { ...others, path };
    }
  }
  const internals = server as unknown as Internals;
  internals.handlers = new Handlers(internals.handlers);
}
