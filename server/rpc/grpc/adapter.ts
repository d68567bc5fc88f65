/** The services on @grpc/grpc-js: raw bytes in and out, so that malformed messages are answered by our own words. */
import {
  type handleUnaryCall,
  Metadata,
  type Server,
  type ServerDuplexStream,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import { CallError } from "../../../protocol/errors.ts";
import type { Broker, Call } from "../../broker/broker.ts";
import type { Visit } from "../access.ts";
import type { StreamMethod, UnaryMethod } from "../broker-service.ts";
import { services } from "../services.ts";
import { toWireStatus } from "../status.ts";
import { WorkStream, workPath } from "../worker-service.ts";
import { type Caller, type Door, RevocableCall } from "./door.ts";

type Bytes = Uint8Array;
interface GrpcCall extends Caller {
  getDeadline(): number | Date;
  on(event: "cancelled", fn: () => void): unknown;
}

/** Told of what should not happen: a bug, never a caller's mistake. */
export type OnBug = (error: unknown, path: string) => void;

/** Calls under way, so that a drain can wait for them. */
export interface InFlight {
  readonly count: number;
  idle(): Promise<void>;
}

const same = (bytes: Bytes): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** @param door absent: everybody may do everything */
export function register(server: Server, broker: Broker, onBug: OnBug, door?: Door): InFlight {
  const calls = new Counter();
  const { unary, streams } = services(broker);
  for (const method of unary)
    server.register(method.path, unaryHandler(method, calls, onBug, door), same, same, "unary");
  for (const method of streams) {
    server.register(method.path, streamHandler(method, calls, onBug, door), same, same, "serverStream");
  }
  server.register(workPath, workHandler(broker, calls, onBug, door), same, same, "bidi");
  return calls;
}

function unaryHandler(method: UnaryMethod, calls: Counter, onBug: OnBug, door?: Door): handleUnaryCall<Bytes, Bytes> {
  return (call, callback) => {
    const done = calls.begin();
    const answer = door
      ? door.through(call, callOf(call), (inside, visit) => method.handle(call.request, inside, visit))
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
      visit = door?.enter(call, fail);
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

function workHandler(broker: Broker, calls: Counter, onBug: OnBug, door?: Door) {
  return (call: ServerDuplexStream<Bytes, Bytes>) => {
    const done = calls.begin();
    let writable = true;
    let ended = false;
    let visit: Visit | undefined;
    const end = (error?: Error) => {
      if (ended) return;
      ended = true;
      visit?.leave();
      done();
      if (error) call.emit("error", grpcStatus(error, workPath, onBug));
      else call.end();
    };
    try {
      visit = door?.enter(call, (error) => {
        end(error);
        stream.closed();
      });
    } catch (error) {
      return end(error as Error);
    }
    const link = {
      get writable() {
        return writable && !ended;
      },
      send(bytes: Bytes) {
        if (!ended && !call.write(bytes)) writable = false;
      },
      end,
      // The peer is silent: the status may never arrive, and keepalive takes the connection down.
      destroy: () => end(new CallError("PROTOCOL_VIOLATION", "nothing was heard for 2.5 ping intervals: answer pings")),
    };
    const stream = new WorkStream(broker, link, visit);
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

function callOf(call: GrpcCall): Call {
  const deadline = Number(call.getDeadline());
  return {
    deadlineMs: Number.isFinite(deadline) ? Math.max(0, deadline - Date.now()) : undefined,
    // grpc-js says "cancelled" after a normal end as well: what is called back must bear that.
    onGone: (fn) => void call.on("cancelled", fn),
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

export function grpcStatus(error: unknown, path: string, onBug: OnBug) {
  const { code, message, details, trailers } = toWireStatus(error);
  if (trailers["queuecall-reason"] === "INTERNAL") onBug(error, path);
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", same(details));
  for (const [name, value] of Object.entries(trailers)) metadata.set(name, value);
  return Object.assign(new Error(message), { code, details: message, metadata });
}

class Counter implements InFlight {
  count = 0;
  #waiting: (() => void)[] = [];

  begin(): () => void {
    this.count++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (--this.count === 0) for (const resolve of this.#waiting.splice(0)) resolve();
    };
  }

  idle(): Promise<void> {
    return this.count === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
