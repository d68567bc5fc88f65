/** Chance that can be repeated: the same seed gives the same numbers (sfc32). */
export class Random {
  readonly #state: [number, number, number, number];

  constructor(seed: number | string) {
    // FNV-1a spreads names and small numbers over the state.
    const word = (salt: string) => {
      let hash = 2_166_136_261;
      for (const char of `${salt}:${seed}`) hash = Math.imul(hash ^ char.charCodeAt(0), 16_777_619);
      return hash | 0;
    };
    this.#state = [word("a"), word("b"), word("c"), 1];
    for (let i = 0; i < 12; i++) this.next();
  }

  /** From 0 (inclusive) to 1 (exclusive). */
  next(): number {
    const state = this.#state;
    const [a, b, c, counter] = state;
    const sum = (((a + b) | 0) + counter) | 0;
    state[0] = b ^ (b >>> 9);
    state[1] = (c + (c << 3)) | 0;
    state[2] = (((c << 21) | (c >>> 11)) + sum) | 0;
    state[3] = (counter + 1) | 0;
    return (sum >>> 0) / 4_294_967_296;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  /** A whole number, both ends included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)] as T;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.int(0, 255));
  }
}
