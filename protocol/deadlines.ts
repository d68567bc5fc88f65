/**
 * Many deadlines, one timer. Nearly all of what has a deadline ends before it: a timer for each would cost more, and hold
 * more, than what it watches over. A binary heap, in which each item knows its place.
 */
import type { Clock, Timer } from "./clock.ts";

export interface Dated {
  /** On the monotonic clock. Milliseconds. */
  until: number;
  /** Kept here: where it is. Below 0: it is not watched. */
  place: number;
}

export class Deadlines<T extends Dated> implements Iterable<T> {
  readonly #clock: Clock;
  readonly #expired: (item: T) => void;
  readonly #unref: boolean;
  /** Each is due no later than those at twice its place, plus one and two. */
  readonly #heap: T[] = [];
  /** At the first deadline, or before it. */
  #timer: Timer | undefined;
  #at = Number.POSITIVE_INFINITY;

  /**
   * @param expired told of each whose time is over; it is watched no more then
   * @param options unref: false keeps the process alive as long as anything is watched. Default: true
   */
  constructor(clock: Clock, expired: (item: T) => void, { unref = true }: { unref?: boolean } = {}) {
    this.#clock = clock;
    this.#expired = expired;
    this.#unref = unref;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(item: T): void {
    this.#rise(item, this.#heap.length);
    if (item.until < this.#at) this.#wakeAt(item.until);
  }

  /** Whether it was watched until now. */
  delete(item: T): boolean {
    const { place } = item;
    if (place < 0) return false;
    item.place = -1;
    const last = this.#heap.pop() as T;
    if (last !== item) {
      this.#rise(last, place);
      if (last.place === place) this.#sink(last, place);
    }
    if (!this.#unref && this.#heap.length === 0) this.#sleep();
    return true;
  }

  /** In no order. */
  [Symbol.iterator](): Iterator<T> {
    return this.#heap.values();
  }

  close(): void {
    this.#sleep();
    for (const item of this.#heap.splice(0)) item.place = -1;
  }

  /** Puts it there, or above it. */
  #rise(item: T, at: number): void {
    let place = at;
    while (place > 0) {
      const up = (place - 1) >> 1;
      const above = this.#heap[up] as T;
      if (above.until <= item.until) break;
      this.#put(above, place);
      place = up;
    }
    this.#put(item, place);
  }

  /** Puts it there, or below it. */
  #sink(item: T, at: number): void {
    let place = at;
    for (;;) {
      let down = 2 * place + 1;
      const right = this.#heap[down + 1];
      if (right && right.until < (this.#heap[down] as T).until) down++;
      const below = this.#heap[down];
      if (!below || below.until >= item.until) break;
      this.#put(below, place);
      place = down;
    }
    this.#put(item, place);
  }

  #put(item: T, place: number): void {
    this.#heap[place] = item;
    item.place = place;
  }

  #sleep(): void {
    this.#timer?.cancel();
    this.#at = Number.POSITIVE_INFINITY;
  }

  #wakeAt(at: number): void {
    this.#timer?.cancel();
    this.#at = at;
    this.#timer = this.#clock.setTimer(() => this.#look(), at - this.#clock.monotonic(), { unref: this.#unref });
  }

  #look(): void {
    this.#at = Number.POSITIVE_INFINITY;
    const now = this.#clock.monotonic();
    for (let first = this.#heap[0]; first && first.until <= now; first = this.#heap[0]) {
      this.delete(first);
      this.#expired(first);
    }
    const next = this.#heap[0];
    if (next && next.until < this.#at) this.#wakeAt(next.until);
  }
}
