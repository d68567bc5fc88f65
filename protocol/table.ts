/**
 * A map for what comes and goes by the thousand. When a Map of V8 outgrows its table, or shrinks, or is cleared, the table
 * that it leaves points to the next one, for the sake of iterators. Once one such table has grown old, it keeps all later
 * ones alive, with what was in them, until a full collection: nothing that went through a busy Map dies young. So here
 * the Map only knows at which place a value is, and the values are in an array, which forgets.
 */
export class Table<K extends string | number | bigint, V> implements Iterable<[K, V]> {
  readonly #places = new Map<K, number>();
  readonly #values: (V | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#places.size;
  }

  get(key: K): V | undefined {
    const place = this.#places.get(key);
    return place === undefined ? undefined : this.#values[place];
  }

  has(key: K): boolean {
    return this.#places.has(key);
  }

  set(key: K, value: V): void {
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.#free.pop() ?? this.#values.length;
      this.#places.set(key, place);
    }
    this.#values[place] = value;
  }

  /** Whether it was there. */
  delete(key: K): boolean {
    const place = this.#places.get(key);
    if (place === undefined) return false;
    this.#places.delete(key);
    this.#values[place] = undefined;
    this.#free.push(place);
    return true;
  }

  clear(): void {
    this.#places.clear();
    this.#values.length = 0;
    this.#free.length = 0;
  }

  /** In the order in which they came, as with a Map: also while they come and go. */
  *values(): Generator<V, void> {
    for (const place of this.#places.values()) yield this.#values[place] as V;
  }

  *[Symbol.iterator](): Generator<[K, V], void> {
    for (const [key, place] of this.#places) yield [key, this.#values[place] as V];
  }
}
