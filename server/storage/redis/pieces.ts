/**
 * Bytes behind one another, in few pieces: what is small is copied together, what is large stays where it is. A copy of
 * it costs little itself, but its memory makes the garbage collector run: it was most of what large payloads cost.
 */

/** From here on bytes are a piece of their own. */
const LARGE_BYTES = 4 * 1024;
/** What small bytes are copied into; a piece ends where it is full. */
const USUAL_BYTES = 16 * 1024;
/** Units. V8 makes views and ropes of longer texts; to read those one by one costs more than a call. */
const SHORT_TEXT = 12;
/** Of a unit in UTF-8. */
const MOST_BYTES = 3;

export class PieceWriter {
  readonly #out = Buffer.allocUnsafeSlow(USUAL_BYTES);
  #at = 0;
  #pieces: Uint8Array[] = [];

  /** All that was put, at least one piece; the next begin anew. */
  take(): Uint8Array[] {
    const pieces = this.#pieces;
    if (this.#at > 0 || pieces.length === 0) this.#cut();
    this.#pieces = [];
    return pieces;
  }

  byte(value: number): void {
    this.#room(1);
    this.#out[this.#at++] = value;
  }

  uint16(value: number): void {
    this.#room(2);
    this.#at = this.#out.writeUInt16BE(value, this.#at);
  }

  uint32(value: number): void {
    this.#room(4);
    this.#at = this.#out.writeUInt32BE(value, this.#at);
  }

  double(value: number): void {
    this.#room(8);
    this.#at = this.#out.writeDoubleBE(value, this.#at);
  }

  bytes(value: Uint8Array): void {
    const { length } = value;
    if (length >= LARGE_BYTES) {
      if (this.#at > 0) this.#cut();
      this.#pieces.push(value);
      return;
    }
    this.#room(length);
    this.#out.set(value, this.#at);
    this.#at += length;
  }

  /** @param head puts what stands in front of so many bytes, no more than there are `headBytes` */
  text(value: string, head: (bytes: number) => void, headBytes: number): void {
    const { length } = value;
    if (length * MOST_BYTES >= LARGE_BYTES) {
      const bytes = Buffer.from(value);
      head(bytes.length);
      this.bytes(bytes);
      return;
    }
    this.#room(headBytes + length * MOST_BYTES);
    const start = this.#at;
    // Mostly as many bytes as units.
    head(length);
    if (this.#ascii(value, length)) return;
    this.#at = start;
    head(Buffer.byteLength(value));
    this.#at += this.#out.write(value, this.#at);
  }

  #ascii(value: string, length: number): boolean {
    if (length > SHORT_TEXT) {
      const bytes = this.#out.write(value, this.#at);
      this.#at += bytes;
      return bytes === length;
    }
    let at = this.#at;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return false;
      this.#out[at++] = code;
    }
    this.#at = at;
    return true;
  }

  #room(bytes: number): void {
    if (this.#at + bytes > USUAL_BYTES) this.#cut();
  }

  #cut(): void {
    this.#pieces.push(Buffer.from(this.#out.subarray(0, this.#at)));
    this.#at = 0;
  }
}
