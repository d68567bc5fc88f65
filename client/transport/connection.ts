/**
 * One HTTP/2 connection, opened by the first request and again after it was
 * lost. Connect's own manager is not used because it cannot tell a connection
 * on which the broker has spoken from one that only TCP accepted, and because
 * its pings can throw outside of any call once the session is destroyed.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { LinkState, TlsOptions } from "./transport.ts";

/** Milliseconds. Another set is for tests. */
export interface ConnectionTiming {
  /** A broker that has not spoken HTTP/2 this long after the connection was begun is taken as unreachable. */
  handshakeMs: number;
  /** While calls are open, silence of this length is ended by a ping. */
  pingIntervalMs: number;
  /** A ping without an answer for this long ends the connection. */
  pingTimeoutMs: number;
}

const defaultTiming: ConnectionTiming = { handshakeMs: 5_000, pingIntervalMs: 15_000, pingTimeoutMs: 10_000 };
/** Room for results: 1 MiB a call, 16 MiB in all. The HTTP/2 default of 64 KiB costs a round trip each. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const SESSION_WINDOW_BYTES = 16 * 1024 * 1024;
/** In units of 1 MB; what waits to be written counts, and Node's 10 would refuse bursts of large payloads. */
const SESSION_MEMORY = 256;

/** No byte of the request left this process: the broker cannot have seen it. Found as the cause of a ConnectError. */
export class NotSentError extends Error {
  override readonly name = "NotSentError";
}

function notSent(authority: string, cause: unknown): ConnectError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const error = new NotSentError(`cannot connect to ${authority}: ${code ?? message}`, { cause });
  return new ConnectError(error.message, Code.Unavailable, undefined, undefined, error);
}

/** Fits the `sessionManager` of Connect's Node transports. */
export class Connection {
  readonly authority: string;
  readonly #tls: TlsOptions;
  readonly #timing: ConnectionTiming;
  #session: Session | undefined;
  /** All that have not ended: the one above, and those that a GOAWAY closed while calls were still being answered. */
  readonly #sessions = new Set<Session>();
  #closed = false;

  constructor(url: string, tls: TlsOptions = {}, timing = defaultTiming) {
    this.authority = new URL(url).origin;
    this.#tls = tls;
    this.#timing = timing;
  }

  get state(): LinkState {
    const connected = [...this.#sessions].filter((session) => session.connected);
    if (connected.length === 0) return "closed";
    return connected.some((session) => session.heard) ? "heard" : "open";
  }

  async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: object,
  ): Promise<ClientHttp2Stream> {
    if (this.#closed) throw notSent(this.authority, new Error("the client is closed"));
    const session = await this.#ready();
    try {
      return session.request({ ...headers, ":method": method, ":path": path }, options);
    } catch (cause) {
      throw notSent(this.authority, cause);
    }
  }

  notifyResponseByteRead(stream: ClientHttp2Stream): void {
    for (const session of this.#sessions) if (session.owns(stream)) session.noteAlive();
  }

  /** A long-lived stream has nothing to wait for: it keeps neither the process alive nor the connection watched. */
  rest(stream: ClientHttp2Stream): void {
    for (const session of this.#sessions) if (session.owns(stream)) session.rest(stream);
  }

  /** It waits for something again. */
  hold(stream: ClientHttp2Stream): void {
    for (const session of this.#sessions) if (session.owns(stream)) session.hold(stream);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#sessions].map((session) => session.close()));
  }

  async #ready(): Promise<Session> {
    if (!this.#session?.usable) this.#session = this.#open();
    const session = this.#session;
    try {
      await session.opened;
    } catch (cause) {
      throw notSent(this.authority, cause);
    }
    return session;
  }

  #open(): Session {
    const session = new Session(this.authority, this.#tls, this.#timing);
    this.#sessions.add(session);
    session.ended.then(() => this.#sessions.delete(session));
    return session;
  }
}

/** In the words of node:tls. */
function tlsOptions({ serverName, ...same }: TlsOptions): object {
  return serverName === undefined ? same : { ...same, servername: serverName };
}

/** One connection from its first packet to its last. */
class Session {
  readonly opened: Promise<void>;
  readonly ended: Promise<void>;
  /** The broker has spoken HTTP/2 on it. */
  heard = false;
  readonly #session: ClientHttp2Session;
  readonly #timing: ConnectionTiming;
  readonly #handshake: NodeJS.Timeout;
  #connected = false;
  /** The streams that somebody waits for. */
  readonly #held = new Set<ClientHttp2Stream>();
  #aliveAt = performance.now();
  #ping: NodeJS.Timeout | undefined;

  constructor(authority: string, tls: TlsOptions, timing: ConnectionTiming) {
    this.#timing = timing;
    const session = connect(authority, {
      ...tlsOptions(tls),
      maxSessionMemory: SESSION_MEMORY,
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
    });
    this.#session = session;
    this.#handshake = setTimeout(() => this.#destroy("the broker does not answer"), timing.handshakeMs).unref();
    const { promise: opened, resolve: open, reject: fail } = Promise.withResolvers<void>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.opened = opened;
    this.ended = ended;
    session.once("connect", (_session, socket) => {
      // Ahead of the session's own listener, which would call it an internal error and leave the socket open.
      socket.prependOnceListener("error", (error: NodeJS.ErrnoException) => {
        if (!/^ERR_SSL/.test(String(error.code))) return;
        this.#destroy(`TLS failed: ${/alert [\w ]+/.exec(error.message)?.[0] ?? error.code}`);
        socket.destroy();
      });
      // Node says so of a session that was destroyed meanwhile, too.
      if (session.destroyed) return;
      this.#connected = true;
      session.setLocalWindowSize(SESSION_WINDOW_BYTES);
      // The calls that waited for the connection hold it from here on.
      if (this.#held.size === 0) session.unref();
      open();
    });
    session.once("remoteSettings", () => {
      this.heard = true;
      clearTimeout(this.#handshake);
    });
    session.on("error", fail);
    session.once("close", () => {
      fail(new Error("the connection was closed"));
      clearTimeout(this.#handshake);
      clearTimeout(this.#ping);
      end();
    });
    opened.catch(() => {});
  }

  /** New calls may start on it. False after a GOAWAY too. */
  get usable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** TCP, and TLS where there is any, are through, and it has not ended. */
  get connected(): boolean {
    return this.#connected && !this.#session.destroyed;
  }

  owns(stream: ClientHttp2Stream): boolean {
    return stream.session === this.#session;
  }

  noteAlive(): void {
    this.#aliveAt = performance.now();
  }

  request(headers: OutgoingHttpHeaders, options: object): ClientHttp2Stream {
    const stream = this.#session.request(headers, options);
    let answered = false;
    stream.once("trailers", () => {
      answered = true;
    });
    stream.once("response", (_headers, flags) => {
      answered ||= (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      this.noteAlive();
    });
    stream.once("close", () => {
      // A reset without a code ends the stream without an error, and whoever waits for the answer would wait for ever.
      if (!answered && stream.listenerCount("error") > 0) {
        stream.emit("error", new ConnectError("the stream ended without an answer", Code.Unavailable));
      }
      this.rest(stream);
    });
    this.hold(stream);
    return stream;
  }

  hold(stream: ClientHttp2Stream): void {
    if (this.#held.has(stream) || stream.destroyed) return;
    this.#held.add(stream);
    if (this.#held.size > 1) return;
    this.#session.ref();
    this.#watch();
  }

  rest(stream: ClientHttp2Stream): void {
    if (!this.#held.delete(stream) || this.#held.size > 0) return;
    clearTimeout(this.#ping);
    if (!this.#session.destroyed) this.#session.unref();
  }

  close(): Promise<void> {
    this.#session.destroy();
    return this.ended;
  }

  /** Pings whenever nothing was heard for an interval: at once after an idle time, for the link may have died in it. */
  #watch(): void {
    const { pingIntervalMs, pingTimeoutMs } = this.#timing;
    const left = pingIntervalMs - (performance.now() - this.#aliveAt);
    if (left > 0) {
      this.#ping = setTimeout(() => this.#watch(), left).unref();
      return;
    }
    if (this.#session.destroyed) return;
    this.#ping = setTimeout(() => this.#destroy("the broker is silent"), pingTimeoutMs).unref();
    this.#session.ping((error) => {
      clearTimeout(this.#ping);
      if (error !== null) return;
      this.noteAlive();
      if (this.#held.size > 0) this.#watch();
    });
  }

  #destroy(why: string): void {
    this.#session.destroy(new ConnectError(why, Code.Unavailable), constants.NGHTTP2_CANCEL);
  }
}
