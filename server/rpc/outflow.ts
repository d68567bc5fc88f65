/**
 * What is ready for peers and has not been taken by them: of each stream, and of
 * all together. A stream that does not read is not written to; and where all of
 * them hold more than they may, the one that has stood still longest is ended.
 */

/** A stream that holds this much is full. Bytes. */
export const FULL_BYTES = 256 * 1024;

export class Outflow {
  readonly #maxBytes: number;
  /** Those that hold something, the one that has stood still longest first. */
  readonly #holding = new Set<Flow>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** What all streams hold now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param cut ends the stream, and drops what it holds */
  open(cut: () => void): Flow {
    return new Flow(cut, (flow, bytes) => this.#changed(flow, bytes));
  }

  #changed(flow: Flow, bytes: number): void {
    this.#bytes += bytes;
    // What takes something moves on, behind those that do not.
    if (bytes < 0) this.#holding.delete(flow);
    if (flow.bytes > 0) this.#holding.add(flow);
    if (bytes > 0 && this.#bytes > this.#maxBytes) this.#cut();
  }

  #cut(): void {
    for (const flow of [...this.#holding]) {
      if (this.#bytes <= this.#maxBytes) return;
      flow.cut();
    }
  }
}

/** What one stream holds. */
export class Flow {
  readonly #cut: () => void;
  readonly #changed: (flow: Flow, bytes: number) => void;
  #bytes = 0;
  #written = 0;
  #closed = false;

  constructor(cut: () => void, changed: (flow: Flow, bytes: number) => void) {
    this.#cut = cut;
    this.#changed = changed;
  }

  /** Written or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Enough is written that the peer has not taken: no more for now. */
  get full(): boolean {
    return this.#written >= FULL_BYTES;
  }

  /** So many bytes more, or fewer, wait to be written. */
  hold(bytes: number): void {
    this.#add(bytes);
  }

  wrote(bytes: number): void {
    this.#written += bytes;
    this.#add(bytes);
  }

  /** The peer took so much of what was written. */
  took(bytes: number): void {
    this.#written -= bytes;
    this.#add(-bytes);
  }

  /** The stream is over, and with it what it held. */
  close(): void {
    this.#add(-this.#bytes);
    this.#closed = true;
  }

  cut(): void {
    this.close();
    this.#cut();
  }

  #add(bytes: number): void {
    if (this.#closed || bytes === 0) return;
    this.#bytes += bytes;
    this.#changed(this, bytes);
  }
}
