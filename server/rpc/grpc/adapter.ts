/** The services on @grpc/grpc-js: raw bytes in and out, so that malformed messages are answered by our own words. */
import type { handleUnaryCall, Server, ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import { CallError } from "../../../protocol/errors.ts";
import { maxMessageBytes } from "../../../protocol/limits.ts";
import type { Broker } from "../../broker/broker.ts";
import type { Visit } from "../access.ts";
import type { StreamMethod, UnaryMethod } from "../bytes.ts";
import { type Door, RevocableCall } from "../door.ts";
import { Exchanges, exchangePath, type PacedLink } from "../exchange.ts";
import { Counter, type OnBug } from "../in-flight.ts";
import { services } from "../services.ts";
import { Transparent } from "../transparent.ts";
import { WorkStream, workPath } from "../worker-service.ts";
import { type Caller, callOf, credentialsOf, grpcStatus, same } from "./calls.ts";
import { handleOthers } from "./http2-server.ts";
import { transparentHandler } from "./transparent.ts";

type Bytes = Uint8Array;

/** Calls under way, so that a drain can wait for them. */
export interface InFlight {
  readonly count: number;
  /** Streams of multiplexed calls. */
  readonly exchanges: number;
  /** For those of other ports. */
  readonly counter: Counter;
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
  const { unary, streams } = services(broker);
  for (const method of unary)
    server.register(method.path, unaryHandler(method, calls, onBug, door), same, same, "unary");
  for (const method of streams) {
    server.register(method.path, streamHandler(method, calls, onBug, door), same, same, "serverStream");
  }
  const work = bidiHandler(workPath, onBug, door, (link, _call, visit) => ({
    over: calls.begin(),
    stream: new WorkStream(broker, link, visit),
  }));
  server.register(workPath, work, same, same, "bidi");

  handleOthers(server, transparentHandler(new Transparent(broker), calls, onBug, door));

  const { brokerId, clock, settings } = broker;
  const exchanges = new Exchanges({
    brokerId,
    clock,
    methods: unary,
    maxMessageBytes: maxMessageBytes(Math.max(settings.maxPayloadBytes, settings.maxResultBytes)),
    begin: () => calls.begin(),
    onBug,
  });
  // Each call goes through the door by itself, so that it ends as an ordinary one does when its right is taken away.
  const exchange = bidiHandler(exchangePath, onBug, door, (link, call) => ({
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
    drain() {
      exchanges.drain();
      return calls.idle();
    },
  };
}

function unaryHandler(method: UnaryMethod, calls: Counter, onBug: OnBug, door?: Door): handleUnaryCall<Bytes, Bytes> {
  return (call, callback) => {
    const done = calls.begin();
    const answer = door
      ? door.through(credentialsOf(call), callOf(call), (inside, visit) => method.handle(call.request, inside, visit))
      : method.handle(call.request, callOf(call));
    answer
      .then(
        (answer) => callback(null, answer),
        (error) => callback(grpcStatus(error, method.path, onBug)),
      )
      .finally(done);
  };
}

function streamHandler(method: StreamMethod, calls: Counter, onBug: OnBug, door?: Door) {
  return async (call: ServerWritableStream<Bytes, Bytes>) => {
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
    let visit: Visit | undefined;
    try {
      visit = door?.enter(credentialsOf(call), fail);
      for await (const message of method.handle(call.request, inside, visit)) {
        if (gone) break;
        // A slow reader holds the generator, which reads the newest state when it goes on: nothing queues.
        if (!call.write(message)) await drained(call);
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
  onBug: OnBug,
  door: Door | undefined,
  open: (link: PacedLink, call: Caller, visit?: Visit) => { stream: ByteStream; over?: () => void },
) {
  return (call: ServerDuplexStream<Bytes, Bytes>) => {
    let writable = true;
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
    const link: PacedLink = {
      get writable() {
        return writable && !ended;
      },
      send(bytes) {
        if (!ended && !call.write(bytes)) writable = false;
      },
      read(on) {
        if (on !== call.isPaused()) return;
        if (on) call.resume();
        else call.pause();
      },
      end,
      // The peer is silent: the status may never arrive, and keepalive takes the connection down.
      destroy: () => end(new CallError("PROTOCOL_VIOLATION", "nothing was heard for 2.5 ping intervals: answer pings")),
    };
    const opened = open(link, call, visit);
    const { stream } = opened;
    over = opened.over;
    call.on("drain", () => {
      writable = true;
      stream.writable();
    });
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

function drained(call: ServerWritableStream<Bytes, Bytes>): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      call.off("drain", go).off("cancelled", go).off("close", go);
      resolve();
    };
    call.on("drain", go).on("cancelled", go).on("close", go);
  });
}
