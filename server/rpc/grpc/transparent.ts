/** Transparent calls on @grpc/grpc-js. Whether a path can be called is known before its messages are read, so that every kind of call gets its answer at once. */
import type { Metadata, ServerDuplexStream } from "@grpc/grpc-js";
import type { Headers } from "../../../protocol/metadata.ts";
import type { Front } from "../front.ts";
import { noStreams, Transparent, type TransparentReply } from "../transparent.ts";
import { callOf, credentialsOf, grpcStatus, metadataOf } from "./calls.ts";

type Bytes = Uint8Array;
type Stream = ServerDuplexStream<Bytes, Bytes>;

export function transparentHandler({ broker, calls, onBug, door }: Front) {
  const transparent = new Transparent(broker);
  return async (stream: Stream): Promise<void> => {
    const done = calls.begin();
    // The stream broke, or our own status passed by.
    stream.on("error", () => {});
    const path = stream.getPath();
    const request = { path, headers: headersOf(stream.metadata), message: () => onlyMessage(stream, path) };
    const call = callOf(stream);
    try {
      const reply = await (door
        ? door.through(credentialsOf(stream), call, (inside, visit) => transparent.handle(request, inside, visit))
        : transparent.handle(request, call));
      answer(stream, reply);
    } catch (error) {
      stream.emit("error", grpcStatus(error, path, onBug));
    } finally {
      done();
    }
  };
}

function answer(stream: Stream, { message, headers }: TransparentReply): void {
  stream.sendMetadata(metadataOf(headers));
  stream.write(message);
  stream.end();
}

function headersOf(metadata: Metadata): Headers {
  return Object.entries(metadata.toHttp2Headers()).map(([name, values]) => [name, [values].flat().join(",")] as const);
}

/** A second message is a stream of them, which is no job; so is none. */
function onlyMessage(stream: Stream, path: string): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    let message: Bytes | undefined;
    const refuse = (what?: string) => reject(noStreams(path, what));
    stream.on("data", (bytes: Bytes) => {
      if (message) refuse();
      message ??= bytes;
    });
    stream.on("end", () => (message ? resolve(message) : refuse("no message")));
    stream.on("cancelled", () => refuse("no end"));
  });
}
