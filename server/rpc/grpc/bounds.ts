/**
 * What connections, streams and headers of the gRPC port may do. Each bound is for one who means harm or is broken, and
 * far from what anybody needs; docs/security.md lists them, test/transport holds them.
 */
import {
  constants,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { ServerOptions } from "@grpc/grpc-js";
import type { Clock } from "../../../protocol/clock.ts";
import { Code } from "../../../protocol/errors.ts";
import type { BrokerSettings } from "../../settings.ts";

/** Resets a connection may send at once, and per second after that. Rapid reset stays bounded: each costs a stream. */
const STREAM_RESET_BURST = 20_000;
const STREAM_RESET_RATE = 2_000;
/** Streams of one connection at one time. Above it Node refuses them, and ends a connection that goes on. */
const MAX_STREAMS = 32_768;
/** All headers of a request, names included, and 32 bytes for each. gRPC clients send at most 8 KiB by default. */
const MAX_HEADER_LIST_BYTES = 16 * 1024;
/** What HTTP/2 keeps for one connection: headers, and answers that are not read. Above it Node takes no further stream. */
const MAX_CONNECTION_MEGABYTES = 256;

/** With its jitter as long as a timer of Node can be: 22 days. Older ones are left alone. */
const MAX_CONNECTION_AGE_MS = 0.9 * (2 ** 31 - 1);

export interface Bounds {
  clock: Clock;
  settings: Pick<BrokerSettings, "maxConnections" | "maxConnectionAgeMs" | "handshakeTimeoutMs" | "requestTimeoutMs">;
  /** Methods whose requests stay open: bidirectional streams. They have time-outs of their own. */
  staysOpen(path: string): boolean;
  /** Told of each connection that could not be taken. */
  refused(why: string): void;
}

/** Those that grpc-js has an option for. */
export function grpcBounds({ settings }: Bounds): ServerOptions {
  const age = settings.maxConnectionAgeMs;
  return {
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    ...(age <= MAX_CONNECTION_AGE_MS && { "grpc.max_connection_age_ms": age }),
    "grpc.max_concurrent_streams": MAX_STREAMS,
    "grpc-node.max_session_memory": MAX_CONNECTION_MEGABYTES,
    "grpc.enable_channelz": 0,
  };
}

/** Those that Node's HTTP/2 has an option for. */
export function http2Bounds({ settings }: Bounds) {
  return {
    settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_LIST_BYTES },
    streamResetBurst: STREAM_RESET_BURST,
    streamResetRate: STREAM_RESET_RATE,
    handshakeTimeout: settings.handshakeTimeoutMs,
  };
}

/** The others. */
export function enforce(http2: Http2Server, bounds: Bounds): void {
  const { refused, settings } = bounds;
  http2.maxConnections = settings.maxConnections;
  http2.on("drop", () => refused(`${settings.maxConnections} are open, the limit: --max-connections`));
  // Of accepting, e.g. out of descriptors; without a listener it would end the process. Those of listening are the starter's.
  http2.once("listening", () => http2.on("error", (error) => refused(error.message)));
  http2.on("session", (session) => endUnlessGreeted(session, bounds));
  http2.prependListener("stream", (stream, headers, _flags, rawHeaders: readonly string[]) => {
    // Those of a connection that has not confirmed our settings are bounded by 64 KiB alone.
    if (bytesOf(rawHeaders) > MAX_HEADER_LIST_BYTES) return stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    refuseCompression(headers);
    endUnlessFinished(stream, headers[":path"] ?? "", bounds);
  });
}

/** A connection begins with the settings of both sides; that it has ours, a client confirms at once. */
function endUnlessGreeted(session: Http2Session, { clock, settings }: Bounds): void {
  let greeted = false;
  const end = () => greeted || session.destroy();
  // What a busy broker has not read yet counts: it gets its turn first.
  const timer = clock.setTimer(() => clock.defer(end), settings.handshakeTimeoutMs, { unref: true });
  const over = () => {
    greeted = true;
    timer.cancel();
  };
  session.once("localSettings", over).once("close", over);
}

/** As SETTINGS_MAX_HEADER_LIST_SIZE counts them. */
function bytesOf(rawHeaders: readonly string[]): number {
  return rawHeaders.reduce((bytes, text) => bytes + text.length, 16 * rawHeaders.length);
}

/**
 * A message of 10 KB can be made to unpack to 10 MB, thousands of times at once. grpc-js refuses an encoding that it does
 * not know, once a message is compressed.
 */
function refuseCompression(headers: IncomingHttpHeaders): void {
  const encoding = headers["grpc-encoding"];
  if (encoding !== undefined && encoding !== "identity") headers["grpc-encoding"] = "any (send messages as they are)";
}

/** A request has its time to end; where it stays open, it has it once the answer has ended. */
function endUnlessFinished(stream: ServerHttp2Stream, path: string, { clock, settings, staysOpen }: Bounds): void {
  const { requestTimeoutMs } = settings;
  const giveTime = () => {
    const timer = clock.setTimer(() => giveUp(stream, requestTimeoutMs), requestTimeoutMs, { unref: true });
    stream.once("end", () => timer.cancel()).once("close", () => timer.cancel());
  };
  if (staysOpen(path)) stream.once("finish", giveTime);
  else giveTime();
}

function giveUp(stream: ServerHttp2Stream, ms: number): void {
  if (stream.destroyed || stream.closed) return;
  if (!stream.headersSent) {
    const status = { "grpc-status": Code.DEADLINE_EXCEEDED, "grpc-message": `the request did not end within ${ms} ms` };
    stream.respond({ ":status": 200, "content-type": "application/grpc", ...status }, { endStream: true });
  }
  stream.close();
}
