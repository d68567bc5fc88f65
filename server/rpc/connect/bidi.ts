/** Bidirectional streams on connect-node: workers and multiplexed callers. They need HTTP/2. */

import { constants, type Http2ServerRequest } from "node:http2";
import { type DescMethodBiDiStreaming, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { CallError } from "../../../protocol/errors.ts";
import type { Pieces } from "../../../protocol/pieces.ts";
import { BidiCall, type BidiMethod, type Carrier } from "../bidi.ts";
import type { Front } from "../front.ts";
import { credentialsOf, requestOf } from "./calls.ts";
import { connectError } from "./errors.ts";

export function addBidi(router: ConnectRouter, desc: DescMethodBiDiStreaming, method: BidiMethod, front: Front): void {
  router.rpc(desc, async function* (messages: AsyncIterable<unknown>, context: HandlerContext) {
    const carrier = new PulledCarrier(context);
    const bidi = new BidiCall(method, carrier, front);
    const gone = () => bidi.closed();
    context.signal.addEventListener("abort", gone, { once: true });
    void feed(messages, (message) => toBinary(desc.input, message as never), bidi, carrier);
    try {
      for await (const bytes of carrier) yield fromBinary(desc.output, bytes);
    } catch (error) {
      throw error instanceof ConnectError ? error : connectError(error, method.path, front.onBug);
    } finally {
      context.signal.removeEventListener("abort", gone);
      bidi.closed();
    }
  } as never);
}

/** What comes in, one message after the other, while it is wanted. */
async function feed(
  messages: AsyncIterable<unknown>,
  encode: (message: unknown) => Uint8Array,
  bidi: BidiCall,
  carrier: PulledCarrier,
): Promise<void> {
  try {
    for await (const message of messages) {
      bidi.message(encode(message));
      await carrier.wanted;
    }
    bidi.halfClosed();
  } catch (error) {
    bidi.end(error instanceof ConnectError ? refused(error) : undefined);
    bidi.closed();
  }
}

/** What connect made of a message: too large, or none of its kind. Or the caller went away, and nobody reads this. */
function refused(error: ConnectError): Error {
  const malformed = error.code === Code.Internal || error.code === Code.InvalidArgument;
  return malformed ? new CallError("PROTOCOL_VIOLATION", `a message is malformed: ${error.rawMessage}`) : error;
}

interface Message {
  bytes: Uint8Array;
  taken: () => void;
}

/** Holds what is sent until connect asks for it, which it does once the peer has room. */
class PulledCarrier implements Carrier {
  readonly #context: HandlerContext;
  readonly #messages: Message[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #error: Error | undefined;
  #held: PromiseWithResolvers<void> | undefined;

  constructor(context: HandlerContext) {
    this.#context = context;
  }

  /** Resolves once a message is wanted. */
  get wanted(): Promise<void> | undefined {
    return this.#held?.promise;
  }

  credentials() {
    return credentialsOf(this.#context);
  }

  write(message: Pieces, taken: () => void): void {
    this.#messages.push({ bytes: Buffer.concat(message), taken });
    this.#wake?.();
  }

  read(on: boolean): void {
    if (!on) {
      this.#held ??= Promise.withResolvers();
      return;
    }
    this.#held?.resolve();
    this.#held = undefined;
  }

  end(error?: Error): void {
    this.#ended = true;
    this.#error = error;
    this.read(true);
    this.#wake?.();
  }

  reset(): void {
    this.#messages.length = 0;
    const { stream } = requestOf(this.#context) as unknown as Http2ServerRequest;
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    stream.destroy();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const message = this.#messages.shift();
      if (message) {
        yield message.bytes;
        message.taken();
      } else if (this.#ended) {
        if (this.#error) throw this.#error;
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }
}
