/**
 * How long a connection of HTTP/2 may take, and a request on it: what Node's options of these names do for HTTP/1.1 only.
 * A connection that asks nothing is closed, be it at its beginning or once its last request has ended.
 */
import {
  constants,
  type Http2SecureServer,
  type Http2Server,
  type Http2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Clock } from "../../protocol/clock.ts";

export interface Times {
  clock: Clock;
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
  session.on("stream", (stream: ServerHttp2Stream) => {
    open++;
    timer.cancel();
    endUnlessFinished(stream, times);
    stream.once("close", () => {
      if (--open === 0) timer = clock.setTimer(() => session.close(), requestTimeout, { unref: true });
    });
  });
  session.once("close", () => timer.cancel());
}

function endUnlessFinished(stream: ServerHttp2Stream, { clock, requestTimeout }: Times): void {
  if (stream.endAfterHeaders) return;
  const timer = clock.setTimer(() => giveUp(stream), requestTimeout, { unref: true });
  stream.once("end", () => timer.cancel()).once("close", () => timer.cancel());
}

function giveUp(stream: ServerHttp2Stream): void {
  if (stream.destroyed || stream.closed) return;
  if (!stream.headersSent) stream.respond({ ":status": 408 }, { endStream: true });
  stream.close(constants.NGHTTP2_CANCEL);
}
