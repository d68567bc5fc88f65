/**
 * The HTTP port: health for supervisors, metrics for Prometheus. Connect,
 * gRPC-Web and the dashboard come in by `mount`, on this same server: they are
 * asked for every path that is not one of the three below.
 *
 *   GET /healthz   200 while the process is fine
 *   GET /readyz    200 while calls are accepted, else 503 and why, in one line
 *   GET /metrics   Prometheus text; with tokens on, for those who may `admin` all queues
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo, Server } from "node:net";
import type { TLSSocket, TlsOptions } from "node:tls";
import { type Clock, systemClock } from "../../protocol/clock.ts";
import { CallError, type Reason } from "../../protocol/errors.ts";
import { EVERY_QUEUE, type Gate, namesIn } from "../rpc/access.ts";
import { type Bounds, createListener } from "./two-protocols.ts";

/** Connections at one time. A browser has a few, a proxy some for all its callers. */
const MAX_CONNECTIONS = 10_000;

/** Prometheus text, written when it is asked for. */
export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Handlers of other paths. Answers false where the path is none of theirs; nothing may be written then. */
export type Mount = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Certificate and key, and those that follow them. */
export interface Certificates {
  readonly options: TlsOptions;
  /** @returns stops it */
  onChange(fn: (options: TlsOptions) => void): () => void;
}

export interface HttpServerOptions {
  /** Why calls are not accepted now, in one line; undefined while they are. */
  unready(): string | undefined;
  metrics: Exposition;
  /** HTTPS with these certificates, read again when they change. */
  tls?: Certificates | undefined;
  /** Who may see the metrics. Without it, whoever connects. */
  gate?: Gate | undefined;
  mount?: Mount;
  /** Whether requests for the path do not end by themselves: bidirectional streams. Default: none. */
  staysOpen?(path: string): boolean;
  /** From connecting to the end of a request's headers, TLS apart. Milliseconds. Default 10,000. */
  headersTimeoutMs?: number;
  /** From the start of a request to its last byte. Milliseconds. Default 60,000. */
  requestTimeoutMs?: number;
  clock?: Clock;
  /** Told that connections could not be taken. */
  refused?(why: string): void;
  /** Told of what should not happen: a bug. */
  onBug(error: unknown, path: string): void;
}

export interface HttpPort {
  /** "HOST:PORT" as it is listened on. */
  readonly address: string;
  /** Ends every connection. */
  close(): Promise<void>;
}

/**
 * Listens on "HOST:PORT"; port 0 takes a free one.
 * @throws the error of `listen`, e.g. EADDRINUSE
 */
export async function listenHttp(address: string, options: HttpServerOptions): Promise<HttpPort> {
  const listener = createListener(
    (request, response) => void answer(request, response, options),
    boundsOf(options),
    options.tls?.options,
  );
  const stopReloading = options.tls?.onChange((renewed) => listener.setSecureContext(renewed));
  const { server } = listener;
  server.maxConnections = MAX_CONNECTIONS;
  const { host, port } = hostAndPort(address);
  await listening(server, port, host);
  // Of accepting, e.g. out of descriptors. Without a listener it would end the process.
  server.on("error", (error: Error) => options.refused?.(error.message));
  const { port: taken } = server.address() as AddressInfo;
  return {
    address: `${address.slice(0, address.lastIndexOf(":"))}:${taken}`,
    close() {
      stopReloading?.();
      return listener.close();
    },
  };
}

/** Who sends a little now and then holds a connection for as long as this, and not longer. */
function boundsOf({
  clock = systemClock,
  headersTimeoutMs = 10_000,
  requestTimeoutMs = 60_000,
  staysOpen = () => false,
}: HttpServerOptions): Bounds {
  return {
    clock,
    staysOpen,
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    // How often Node looks at both.
    connectionsCheckingInterval: headersTimeoutMs / 2,
    handshakeTimeout: headersTimeoutMs,
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: HttpServerOptions): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0] as string;
  try {
    const own =
      request.method === "GET" || request.method === "HEAD" ? await ownPage(path, request, options) : undefined;
    if (own) return send(response, own);
    if (!options.mount?.(request, response)) send(response, { status: 404, body: "not found\n" });
  } catch (error) {
    options.onBug(error, path);
    if (response.headersSent) response.destroy();
    else send(response, { status: 500, body: "internal error\n" });
  }
}

interface Page {
  status: number;
  body: string;
  contentType?: string;
}

async function ownPage(
  path: string,
  request: IncomingMessage,
  { unready, metrics, gate }: HttpServerOptions,
): Promise<Page | undefined> {
  switch (path) {
    case "/healthz":
      return { status: 200, body: "ok\n" };
    case "/readyz": {
      const reason = unready();
      return reason === undefined ? { status: 200, body: "ready\n" } : { status: 503, body: `${reason}\n` };
    }
    case "/metrics":
      return (
        (gate && refusal(gate, request)) ?? {
          status: 200,
          body: await metrics.text(),
          contentType: metrics.contentType,
        }
      );
    default:
      return undefined;
  }
}

const statuses: Partial<Record<Reason, number>> = { UNAUTHENTICATED: 401, RATE_LIMITED: 429 };

/** Metrics name every queue: only for those who may look over all of them. Health is for everybody, as on the gRPC port. */
function refusal(gate: Gate, { headers, socket }: IncomingMessage): Page | undefined {
  const certificateNames = () => namesIn((socket as TLSSocket).getPeerCertificate?.()?.subjectaltname);
  try {
    const credentials = { peer: socket.remoteAddress ?? "", authorization: headers.authorization, certificateNames };
    const visit = gate.enter(credentials, () => {});
    visit.leave();
    visit.check("admin", EVERY_QUEUE);
    return undefined;
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    return { status: statuses[error.reason] ?? 403, body: `${error.message}\n` };
  }
}

function send(response: ServerResponse, { status, body, contentType = "text/plain; charset=utf-8" }: Page): void {
  const headers = {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
  };
  // Node leaves the body out where HEAD was asked.
  response.writeHead(status, headers);
  response.end(body);
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** "[::1]:8455" has its brackets for the colons only. */
function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port: Number(address.slice(colon + 1)) };
}
