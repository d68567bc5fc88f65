/** One listener for HTTP/1.1 and HTTP/2: by ALPN under TLS, by the first bytes of a connection without. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, createSecureServer } from "node:http2";
import { createServer as createNetServer, type Server, type Socket } from "node:net";
import type { TlsOptions } from "node:tls";
import { enforceTimes, type Times } from "./http2-times.ts";

/** Those of HTTP/2 are used as those of HTTP/1.1 are: Node made them so. */
export type Handle = (request: IncomingMessage, response: ServerResponse) => void;

export interface Listener {
  /** To listen with; nothing is to be added to it. */
  readonly server: Server;
  setSecureContext(options: TlsOptions): void;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** Milliseconds. Those of HTTP/1.1 end their headers within `headersTimeout`, too. */
export interface Bounds extends Times {
  /** How often Node looks at both. */
  connectionsCheckingInterval: number;
  handshakeTimeout: number;
}

const MAX_HEADERS = 100;
/** Of a connection of HTTP/2. Resets: callers with short deadlines make many, lawfully; at once, and per second after that. */
const http2Bounds = {
  settings: { maxConcurrentStreams: 1_000, maxHeaderListSize: 16 * 1024 },
  maxSessionMemory: 64,
  streamResetBurst: 20_000,
  streamResetRate: 2_000,
};

/**
 * @param bounds options of node:http, `handshakeTimeout`, and the clock for those that Node does not look after
 * @param tls absent: plain text
 */
export function createListener(handle: Handle, bounds: Bounds, tls: TlsOptions | undefined): Listener {
  const sockets = new Set<Socket>();
  const secure = tls && createSecureServer({ ...bounds, ...tls, ...http2Bounds, allowHTTP1: true }, handle as never);
  if (secure) enforceTimes(secure, bounds);
  const server = secure ?? plainServer(handle, bounds);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return {
    server,
    setSecureContext: (options) => secure?.setSecureContext(options),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function plainServer(handle: Handle, bounds: Bounds): Server {
  const http1 = createServer(bounds, handle);
  http1.maxHeadersCount = MAX_HEADERS;
  // It looks after its connections while it listens, or believes that it does.
  http1.emit("listening");
  const http2 = createHttp2Server(http2Bounds, handle as never);
  enforceTimes(http2, bounds);
  const server = createNetServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const gone = () => socket.destroy();
    socket.setTimeout(bounds.headersTimeout, gone);
    socket.once("error", gone);
    socket.once("readable", () => {
      const first: Buffer | null = socket.read();
      if (first === null) return gone();
      socket.setTimeout(0, gone).off("timeout", gone).off("error", gone);
      socket.unshift(first);
      // "PRI * HTTP/2.0" is how HTTP/2 begins; no method of HTTP/1.1 is called so.
      const chosen = first.subarray(0, 3).equals(Buffer.from("PRI")) ? http2 : http1;
      chosen.emit("connection", socket);
    });
  });
  server.once("close", () => http1.close());
  return server;
}
