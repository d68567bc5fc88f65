/** By the full name of a message: undefined where the message or its bytes are not regular. */
export declare const codecs: ReadonlyMap<
  string,
  {
    encode(message: unknown): Uint8Array<ArrayBuffer> | undefined;
    encodeInPieces(message: unknown): Uint8Array[] | undefined;
    decode(bytes: Uint8Array): unknown;
  }
>;
