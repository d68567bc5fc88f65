/** The services on @grpc/grpc-js: raw bytes in and out, so that malformed messages are answered by our own words. */
import type { handleUnaryCall, Server, ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import { CallError } from "../../../protocol/errors.ts";
import { maxMessageBytes } from "../../../protocol/limits.ts";
import type { Broker } from "../../broker/broker.ts";
import type { Visit } from "../access.ts";
import type { ByteLink } from "../byte-link.ts";
import type { StreamMethod, UnaryMethod } from "../bytes.ts";
import { type Door, RevocableCall } from "../door.ts";
import { Exchanges, exchangePath } from "../exchange.ts";
import { Counter, type OnBug } from "../in-flight.ts";
import { type Flow, Outflow } from "../outflow.ts";
import { RequestBytes } from "../request.ts";
import { services } from "../services.ts";
import { Transparent } from "../transparent.ts";
import { WorkStream, workPath } from "../worker-service.ts";
import { type Caller, callOf, credentialsOf, type GrpcCall, grpcStatus, same } from "./calls.ts";
import { handleOthers, reset } from "./http2-server.ts";
import { transparentHandler } from "./transparent.ts";

type Bytes = Uint8Array;

/** Calls under way, so that a drain can wait for them. */
export interface InFlight {
  readonly count: number;
  /** Multiplexed streams. */
  readonly exchanges: number;
  /** For those of other ports. */
  readonly counter: Counter;
  /** What peers have not read. */
  readonly unreadBytes: number;
  /** Sends multiplexed callers elsewhere, and resolves once no call is under way. */
  drain(): Promise<void>;
}

/** Whether requests of the method do not end by themselves: bidirectional streams. */
export function staysOpen(path: string): boolean {
  return path === workPath || path === exchangePath || path.startsWith("/grpc.reflection.");
}

/** @param door absent: everybody may do everything */
export function register(server: Server, broker: Broker, onBug: OnBug, door?: Door): InFlight {
  const calls = new Counter();
  const outflow = new Outflow(broker.settings.maxUnreadBytes);
  const port: Port = { broker, calls, outflow, onBug, door };
  const { unary, streams } = services(broker);
  // grpc-js keeps the request as long as the call: it keeps a box that can be emptied.
  const boxed = (bytes: Buffer) => new RequestBytes(bytes);
  for (const method of unary) server.register(method.path, unaryHandler(method, port), same, boxed, "unary");
  for (const method of streams) {
    server.register(method.path, streamHandler(method, port), same, boxed, "serverStream");
  }
  const work = bidiHandler(workPath, port, (link, _call, visit) => ({
    // First: it may be refused.
    stream: new WorkStream(broker, link, visit),
    over: calls.begin(),
  }));
  server.register(workPath, work, same, same, "bidi");

  handleOthers(server, transparentHandler(new Transparent(broker), calls, onBug, door));

  const { brokerId, clock, settings } = broker;
  const exchanges = new Exchanges({
    brokerId,
    clock,
    methods: unary,
    maxStreams: settings.maxExchanges,
    maxMessageBytes: maxMessageBytes(Math.max(settings.maxPayloadBytes, settings.maxResultBytes)),
    begin: () => calls.begin(),
    onBug,
  });
  // Each call goes through the door by itself, so that it ends as an ordinary one does when its right is taken away.
  const exchange = bidiHandler(exchangePath, port, (link, call) => ({
    stream: exchanges.open(link, (inside, run) =>
      door ? door.through(credentialsOf(call), inside, run) : run(inside),
    ),
  }));
  server.register(exchangePath, exchange, same, same, "bidi");

  return {
    get count() {
      return calls.count;
    },
    get exchanges() {
      return exchanges.streams.size;
    },
    counter: calls,
    get unreadBytes() {
      return outflow.bytes;
    },
    drain() {
      exchanges.drain();
      return calls.idle();
    },
  };
}

/** What every handler of the port works with. */
interface Port {
  broker: Broker;
  calls: Counter;
  outflow: Outflow;
  onBug: OnBug;
  door: Door | undefined;
}

/** What waits for the peer of this call. Where that is too much, the call is dropped, with all of it. */
function flowOf(call: GrpcCall, { broker, outflow }: Port): Flow {
  const flow = outflow.open(() => {
    broker.refusals.count(new CallError("RATE_LIMITED", "the peer does not read"));
    reset(call);
  });
  call.on("cancelled", () => flow.close());
  return flow;
}

function unaryHandler(method: UnaryMethod, port: Port): handleUnaryCall<RequestBytes, Bytes> {
  const { calls, door, onBug } = port;
  return (call, callback) => {
    const done = calls.begin();
    const answer = door
      ? door.through(credentialsOf(call), callOf(call), (inside, visit) =>
          method.handle(call.request.take(), inside, visit),
        )
      : method.handle(call.request.take(), callOf(call));
    answer
      .then(
        (answer) => {
          flowOf(call, port).wrote(answer.length);
          callback(null, answer);
        },
        (error) => callback(grpcStatus(error, method.path, onBug)),
      )
      .finally(done);
  };
}

function streamHandler(method: StreamMethod, port: Port) {
  const { calls, door, onBug } = port;
  return async (call: ServerWritableStream<RequestBytes, Bytes>) => {
    const done = calls.begin();
    const inside = new RevocableCall(callOf(call));
    let gone = false;
    let over = false;
    call.on("cancelled", () => (gone = true));
    const fail = (error: unknown) => {
      if (over) return;
      gone = over = true;
      call.emit("error", grpcStatus(error, method.path, onBug));
      inside.gone();
    };
    const put = putter(call, flowOf(call, port));
    let visit: Visit | undefined;
    try {
      visit = door?.enter(credentialsOf(call), fail);
      for await (const message of method.handle(call.request.take(), inside, visit)) {
        if (gone) break;
        await put(message);
      }
      if (!over) call.end();
    } catch (error) {
      fail(error);
    } finally {
      visit?.leave();
      done();
    }
  };
}

/**
 * Writes a message, and resolves once the peer has taken it or is gone. A slow reader holds the generator with it, which
 * reads the newest state when it goes on: one message is kept for it, however often the job changes.
 */
function putter(call: ServerWritableStream<RequestBytes, Bytes>, flow: Flow): (message: Bytes) => Promise<void> {
  let release = () => {};
  call.on("cancelled", () => release());
  return (message) =>
    new Promise((resolve) => {
      release = resolve;
      flow.wrote(message.length);
      call.write(message, () => {
        flow.took(message.length);
        resolve();
      });
    });
}

/** What a bidirectional stream is fed with. */
interface ByteStream {
  message(bytes: Bytes): void;
  writable(): void;
  /** The peer has half-closed. */
  ended(): void;
  closed(): void;
}

/** @param open makes the stream of a call; `over` is called once when it has ended */
function bidiHandler(
  path: string,
  port: Port,
  open: (link: ByteLink, call: Caller, visit?: Visit) => { stream: ByteStream; over?: () => void },
) {
  const { door, onBug } = port;
  return (call: ServerDuplexStream<Bytes, Bytes>) => {
    const flow = flowOf(call, port);
    let ended = false;
    let visit: Visit | undefined;
    const end = (error?: Error) => {
      if (ended) return;
      ended = true;
      visit?.leave();
      over?.();
      if (error) call.emit("error", grpcStatus(error, path, onBug));
      else call.end();
    };
    let over: (() => void) | undefined;
    try {
      visit = door?.enter(credentialsOf(call), (error) => {
        end(error);
        stream.closed();
      });
    } catch (error) {
      return end(error as Error);
    }
    const link: ByteLink = {
      get writable() {
        return !flow.full && !ended;
      },
      send(bytes) {
        if (ended) return;
        flow.wrote(bytes.length);
        call.write(bytes, () => {
          const wasFull = flow.full;
          flow.took(bytes.length);
          if (wasFull && !flow.full && !ended) stream.writable();
        });
      },
      hold: (bytes) => flow.hold(bytes),
      read(on) {
        if (on !== call.isPaused()) return;
        if (on) call.resume();
        else call.pause();
      },
      end,
      destroy() {
        end(new CallError("PROTOCOL_VIOLATION", "nothing was heard for 2.5 ping intervals: answer pings"));
        // Behind what the peer does not read, the status would wait as long as the connection lives.
        if (flow.bytes > 0) reset(call);
      },
    };
    let stream: ByteStream;
    try {
      const opened = open(link, call, visit);
      stream = opened.stream;
      over = opened.over;
    } catch (error) {
      return end(error as Error);
    }
    call.on("data", (bytes: Bytes) => !ended && stream.message(bytes));
    call.on("end", () => stream.ended());
    const closed = () => {
      end();
      stream.closed();
    };
    call.on("cancelled", closed);
    call.on("close", closed);
    call.on("error", () => {
      // The stream broke, or our own status passed by: "cancelled" or "close" follows.
    });
  };
}
