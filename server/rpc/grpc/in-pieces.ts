/** grpc-js copies a message to put five bytes in front of it. Here a message that comes in pieces is written as it is. */
import type { ServerHttp2Stream } from "node:http2";
import type { ServerInterceptor } from "@grpc/grpc-js";
import { framed } from "../../../protocol/pieces.ts";

/** What is used of its BaseServerInterceptingCall. */
interface InterceptingCall {
  stream: ServerHttp2Stream;
  maybeSendMetadata(): void;
  serializeMessage(message: unknown): Buffer;
}

/** Not a real interceptor, but the place where grpc-js shows each call before anything of it is written. */
export const inPieces: ServerInterceptor = (_method, call) => {
  (call as unknown as InterceptingCall).serializeMessage = serializeMessage;
  return call as ReturnType<ServerInterceptor>;
};

/** grpc-js writes what this returns, the last piece: those before it are written here, behind the headers. */
function serializeMessage(this: InterceptingCall, message: unknown): Buffer {
  if (!Array.isArray(message)) return Object.getPrototypeOf(this).serializeMessage.call(this, message);
  const pieces = framed(message);
  const last = pieces.pop()!;
  if (pieces.length > 0) {
    const { stream } = this;
    this.maybeSendMetadata();
    // All in one system call.
    stream.cork();
    queueMicrotask(() => stream.uncork());
    for (const piece of pieces) stream.write(piece);
  }
  return last;
}
