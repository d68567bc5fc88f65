/** The transport's end of a bidirectional stream: bytes. */
export interface ByteLink {
  /** True while the stream takes more without holding it for a peer that does not read. */
  readonly writable: boolean;
  send(bytes: Uint8Array): void;
  /** So many bytes more, or fewer, wait on this side for the stream to become writable. Too many end it. */
  hold(bytes: number): void;
  /** Whether to take more of what the peer sends. */
  read(on: boolean): void;
  /** Ends the stream: with OK, or with the error. Safe to call more than once. */
  end(error?: Error): void;
  /** Drops the stream without a word: the peer is taken for dead. */
  destroy(): void;
}
