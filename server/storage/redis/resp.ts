/** Commands as bytes of the Redis protocol. */
import { lengthOf, type Pieces } from "../../../protocol/pieces.ts";
import { PieceWriter } from "./pieces.ts";

const CR = 13;
const LF = 10;
/** Of "$", a length and the end of its line. */
const HEAD_BYTES = 16;

const out = new PieceWriter();

/**
 * "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", in pieces.
 * @param more arguments behind the others, each in pieces
 */
export function respOf(name: string, args: readonly (string | Buffer)[], more: readonly Pieces[] = []): Uint8Array[] {
  head("*", 1 + args.length + more.length);
  text(name);
  for (const arg of args) {
    if (typeof arg === "string") text(arg);
    else bytes(arg);
  }
  for (const pieces of more) {
    size(lengthOf(pieces));
    for (const piece of pieces) out.bytes(piece);
    line();
  }
  return out.take();
}

function head(mark: "*" | "$", count: number): void {
  out.byte(mark.charCodeAt(0));
  digits(count);
  line();
}

const size = (bytes: number): void => head("$", bytes);

function digits(count: number): void {
  if (count > 9) digits(Math.floor(count / 10));
  out.byte(48 + (count % 10));
}

function line(): void {
  out.byte(CR);
  out.byte(LF);
}

function text(value: string): void {
  out.text(value, size, HEAD_BYTES);
  line();
}

function bytes(value: Buffer): void {
  size(value.length);
  out.bytes(value);
  line();
}
