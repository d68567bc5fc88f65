/**
 * grpc-js keeps the bytes of a message, and the whole chunk that its first byte came in, until the next message begins: for
 * as long as a call waits or a stream is idle. Here they go as soon as the message is whole.
 */
import type { ServerInterceptor } from "@grpc/grpc-js";

/** What is used of its StreamDecoder. */
interface Decoder {
  /** 0: between two messages. */
  readState: number;
  readCompressFlag: Buffer;
  readPartialMessage: Buffer[];
  write(data: Buffer): Buffer[];
}

const NOTHING = Buffer.alloc(0);

/** Not a real interceptor, but the place where grpc-js shows each call before anything of it is read. */
export const forgetful: ServerInterceptor = (_method, call) => {
  (call as unknown as { decoder: Decoder }).decoder.write = write;
  return call as ReturnType<ServerInterceptor>;
};

function write(this: Decoder, data: Buffer): Buffer[] {
  const messages = Object.getPrototypeOf(this).write.call(this, data);
  if (this.readState === 0) {
    // Both are set anew by the next message.
    this.readCompressFlag = NOTHING;
    this.readPartialMessage = [];
  }
  return messages;
}
