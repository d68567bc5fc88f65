/**
 * Remembers what came last, in two halves: when the newer one is full, the older is dropped as a whole. A single set that
 * lost its oldest with each new one would have to search for it behind all that were there before.
 */
export class Recent {
  readonly #atLeast: number;
  #newer = new Set<string>();
  #older = new Set<string>();

  /** @param atLeast how many are remembered; at most twice as many are */
  constructor(atLeast: number) {
    this.#atLeast = atLeast;
  }

  add(key: string): void {
    if (this.#newer.size >= this.#atLeast) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    this.#newer.add(key);
  }

  has(key: string): boolean {
    return this.#newer.has(key) || this.#older.has(key);
  }
}
