/** The five bytes in front of each gRPC message: a flag and a length. */
import { Code, ConnectError } from "@connectrpc/connect";

const HEAD_BYTES = 5;

/** Bytes as they arrive, cut into messages. */
export class Envelopes {
  readonly #message: (bytes: Uint8Array) => void;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** How many bytes have to be there before anything can be cut. */
  #needed = HEAD_BYTES;

  constructor(message: (bytes: Uint8Array) => void) {
    this.#message = message;
  }

  /** @throws ConnectError for a compressed message: none was asked for */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#needed) return;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    for (;;) {
      this.#needed = HEAD_BYTES + (rest.length < HEAD_BYTES ? 0 : rest.readUInt32BE(1));
      if (rest.length < this.#needed) break;
      if (rest[0] !== 0) throw new ConnectError("protocol error: the broker sent a compressed message", Code.Internal);
      const message = rest.subarray(HEAD_BYTES, this.#needed);
      rest = rest.subarray(this.#needed);
      this.#message(message);
    }
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
  }
}
