/**
 * How long a connection of HTTP/2 may take, and a request on it: what Node's options of these names do for HTTP/1.1 only.
 * A connection that asks nothing is closed, be it at its beginning or once its last request has ended.
 */
import {
  constants,
  type Http2SecureServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { Clock } from "../../protocol/clock.ts";

/** A peer that is asked whether it is there, so often while requests are open, has so long to say so; as on the gRPC port. */
const PING_INTERVAL_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;

export interface Times {
  clock: Clock;
  /** Whether requests for the path do not end by themselves: bidirectional streams. They have time once the answer has ended. */
  staysOpen(path: string): boolean;
  /** From connecting to the first request. Milliseconds. */
  headersTimeout: number;
  /** From the headers of a request to its last byte, and from the end of the last answer to the next request. Milliseconds. */
  requestTimeout: number;
}

export function enforceTimes(server: Http2Server | Http2SecureServer, times: Times): void {
  server.on("session", (session: Http2Session) => endUnlessUsed(session, times));
}

function endUnlessUsed(session: Http2Session, times: Times): void {
  const { clock, headersTimeout, requestTimeout } = times;
  let open = 0;
  let timer = clock.setTimer(() => session.destroy(), headersTimeout, { unref: true });
  session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    if (open++ === 0) next(ask, PING_INTERVAL_MS);
    endUnlessFinished(stream, headers[":path"] ?? "", times);
    stream.once("close", () => {
      if (--open === 0) next(() => session.close(), requestTimeout);
    });
  });
  session.once("close", () => timer.cancel());

  const next = (fn: () => void, ms: number) => {
    timer.cancel();
    timer = clock.setTimer(fn, ms, { unref: true });
  };
  const ask = () => {
    let answered = false;
    session.ping(() => {
      answered = true;
      if (open > 0 && !session.destroyed) next(ask, PING_INTERVAL_MS);
    });
    // What a busy broker has not read yet counts: it gets its turn first.
    next(() => clock.defer(() => answered || session.destroy()), PING_TIMEOUT_MS);
  };
}

function endUnlessFinished(stream: ServerHttp2Stream, path: string, times: Times): void {
  if (stream.endAfterHeaders) return;
  const { clock, requestTimeout, staysOpen } = times;
  const giveTime = () => {
    const timer = clock.setTimer(() => giveUp(stream), requestTimeout, { unref: true });
    stream.once("end", () => timer.cancel()).once("close", () => timer.cancel());
  };
  if (staysOpen(path)) stream.once("finish", giveTime);
  else giveTime();
}

function giveUp(stream: ServerHttp2Stream): void {
  if (stream.destroyed || stream.closed) return;
  if (!stream.headersSent) stream.respond({ ":status": 408 }, { endStream: true });
  stream.close(constants.NGHTTP2_CANCEL);
}
