/** Bytes behind one another, where one piece would be a copy: of what is large, it costs more than all else that is done with it. */
export type Pieces = readonly Uint8Array[];

/** Of the head of a gRPC message: a flag, which says that it is not compressed, and a length. */
const HEAD_BYTES = 5;

export function lengthOf(pieces: Pieces): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}

/** A gRPC message with its head, which goes with the first piece: that is small where others follow. */
export function framed([first = new Uint8Array(0), ...others]: Pieces): Buffer[] {
  const head = Buffer.allocUnsafe(HEAD_BYTES + first.length);
  head[0] = 0;
  head.writeUInt32BE(first.length + lengthOf(others), 1);
  head.set(first, HEAD_BYTES);
  return [head, ...(others as Buffer[])];
}
