/**
 * The frames that are being filled for one caller. Everything that becomes
 * ready in one turn of the event loop leaves in one message, cut by size, and
 * nothing while the stream is not writable.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ExchangeReplySchema,
  type ExchangeResponse,
  ExchangeResponseSchema,
} from "../../gen/queuecall/v1/multiplex_pb.js";
import type { Clock } from "../../protocol/clock.ts";
import { Code } from "../../protocol/errors.ts";
import { EXCHANGE_FRAME_BYTES } from "../../protocol/limits.ts";
import { encodeInPieces } from "../../protocol/wire.ts";
import type { ByteLink } from "./byte-link.ts";
import { toWireStatus } from "./status.ts";

type Frame = Exclude<MessageInitShape<typeof ExchangeResponseSchema>, ExchangeResponse>;
type Reply = MessageInitShape<typeof ExchangeReplySchema>;

const bytesOf = ({ message }: Reply): number => message?.length ?? 0;

export class ReplyBox {
  readonly #clock: Clock;
  readonly #link: Pick<ByteLink, "writable" | "send" | "hold">;
  readonly #flushed: () => void;
  #replies: Reply[] = [];
  /** All but replies. */
  #control: Frame = {};
  #flushing = false;
  #closed = false;

  /** @param flushed called when something has left */
  constructor(clock: Clock, link: Pick<ByteLink, "writable" | "send" | "hold">, flushed: () => void) {
    this.#clock = clock;
    this.#link = link;
    this.#flushed = flushed;
  }

  get empty(): boolean {
    return this.#replies.length === 0 && !this.#flushing;
  }

  answer(callId: number, message: Uint8Array): void {
    this.#push({ callId, message });
  }

  refuse(callId: number, error: unknown): void {
    const { trailers, ...status } = toWireStatus(error);
    this.#push({ callId, status, trailers });
  }

  /** In the words that grpc-js has for an ordinary call. */
  expired(callId: number): void {
    this.#push({ callId, status: { code: Code.DEADLINE_EXCEEDED, message: "Deadline exceeded" } });
  }

  /** Adds to the frame of this turn. */
  say(put: (frame: Frame) => unknown): void {
    put(this.#control);
    this.#flushSoon();
  }

  flush(): void {
    let sent = 0;
    while (!this.#closed && this.#link.writable) {
      const replies = this.#batch(sent);
      const control = Object.keys(this.#control).length > 0;
      if (replies.length === 0 && !control) break;
      const frame = encodeInPieces(ExchangeResponseSchema, { ...this.#control, replies });
      this.#control = {};
      sent += replies.length;
      // It waits in the stream from here on, which counts it.
      this.#link.hold(-sum(replies));
      this.#link.send(frame);
    }
    this.#replies.splice(0, sent);
    this.#flushed();
  }

  close(): void {
    this.#closed = true;
    this.#replies = [];
  }

  #push(reply: Reply): void {
    this.#replies.push(reply);
    this.#flushSoon();
    // Last: it may end the stream.
    this.#link.hold(bytesOf(reply));
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#clock.soon(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  /** As many replies as go into one frame. */
  #batch(from: number): Reply[] {
    let to = from;
    let bytes = 0;
    for (; to < this.#replies.length; to++) {
      bytes += bytesOf(this.#replies[to]!);
      if (to > from && bytes > EXCHANGE_FRAME_BYTES) break;
    }
    return this.#replies.slice(from, to);
  }
}

function sum(replies: readonly Reply[]): number {
  return replies.reduce((bytes, reply) => bytes + bytesOf(reply), 0);
}
