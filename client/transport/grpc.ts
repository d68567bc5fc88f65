/** Plain gRPC: each call is one HTTP/2 stream. */
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Connection } from "./connection.ts";
import type { Link, LinkOptions } from "./transport.ts";

export function openGrpcLink(url: string, options: Omit<LinkOptions, "clock">): Link {
  const connection = new Connection(url, options.tls);
  const transport = createGrpcTransport({
    baseUrl: url,
    sessionManager: connection,
    interceptors: options.interceptors,
    // Payloads are the user's own; compressing them is the user's choice.
    acceptCompression: [],
  });
  return {
    url,
    transport,
    get state() {
      return connection.state;
    },
    close: () => connection.close(),
  };
}
