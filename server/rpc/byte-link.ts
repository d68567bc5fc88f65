import type { Pieces } from "../../protocol/pieces.ts";

/** The transport's end of a bidirectional stream: bytes. */
export interface ByteLink {
  /** True while the stream takes more without holding it for a peer that does not read. */
  readonly writable: boolean;
  /** A message, in pieces that follow each other. They must stay as they are until they have left. */
  send(message: Pieces): void;
  /** So many bytes more, or fewer, wait on this side for the stream to become writable. Too many end it. */
  hold(bytes: number): void;
  /** Whether to take more of what the peer sends. */
  read(on: boolean): void;
  /** Ends the stream: with OK, or with the error. Safe to call more than once. */
  end(error?: Error): void;
  /** Drops the stream without a word: the peer is taken for dead. */
  destroy(): void;
}
