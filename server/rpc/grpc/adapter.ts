/** The services on @grpc/grpc-js: raw bytes in and out, so that malformed messages are answered by our own words. */

import type { handleUnaryCall, Server, ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import type { Pieces } from "../../../protocol/pieces.ts";
import type { Visit } from "../access.ts";
import { BidiCall, type BidiMethod } from "../bidi.ts";
import type { StreamMethod, UnaryMethod } from "../bytes.ts";
import { RevocableCall } from "../door.ts";
import type { Front } from "../front.ts";
import type { Flow } from "../outflow.ts";
import { RequestBytes } from "../request.ts";
import { callOf, credentialsOf, type GrpcCall, grpcStatus, same } from "./calls.ts";
import { handleOthers, reset } from "./http2-server.ts";
import { transparentHandler } from "./transparent.ts";

type Bytes = Uint8Array;

/** Not used: in-pieces.ts. */
const joined = (pieces: Pieces) => Buffer.concat(pieces);

export function register(server: Server, front: Front): void {
  // grpc-js keeps the request as long as the call: it keeps a box that can be emptied.
  const boxed = (bytes: Buffer) => new RequestBytes(bytes);
  for (const method of front.unary) server.register(method.path, unaryHandler(method, front), same, boxed, "unary");
  for (const method of front.streams) {
    server.register(method.path, streamHandler(method, front), same, boxed, "serverStream");
  }
  for (const method of front.bidi) server.register(method.path, bidiHandler(method, front), joined, same, "bidi");
  handleOthers(server, transparentHandler(front));
}

/** What waits for the peer of this call. */
function flowOf(call: GrpcCall, front: Front): Flow {
  const flow = front.flow(() => reset(call));
  call.on("cancelled", () => flow.close());
  return flow;
}

function unaryHandler(method: UnaryMethod, front: Front): handleUnaryCall<RequestBytes, Bytes> {
  const { calls, door, onBug } = front;
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
          flowOf(call, front).wrote(answer.length);
          callback(null, answer);
        },
        (error) => callback(grpcStatus(error, method.path, onBug)),
      )
      .finally(done);
  };
}

function streamHandler(method: StreamMethod, front: Front) {
  const { calls, door, onBug } = front;
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
    const put = putter(call, flowOf(call, front));
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

function bidiHandler(method: BidiMethod, front: Front) {
  return (call: ServerDuplexStream<Bytes, Pieces>) => {
    const bidi = new BidiCall(
      method,
      {
        credentials: () => credentialsOf(call),
        write: (message, taken) => void call.write(message, taken),
        read(on) {
          if (on !== call.isPaused()) return;
          if (on) call.resume();
          else call.pause();
        },
        end(error) {
          if (error) call.emit("error", grpcStatus(error, method.path, front.onBug));
          else call.end();
        },
        reset: () => reset(call),
      },
      front,
    );
    call.on("data", (bytes: Bytes) => bidi.message(bytes));
    call.on("end", () => bidi.halfClosed());
    call.on("cancelled", () => bidi.closed());
    call.on("close", () => bidi.closed());
    call.on("error", () => {
      // The stream broke, or our own status passed by: "cancelled" or "close" follows.
    });
  };
}
