/**
 * Queue names as metric labels. Names come from callers, so they are bounded:
 * the first MAX_QUEUE_LABELS that this broker sees keep their name, all others
 * share one.
 */

/** More would be more than a metrics server should be asked to keep for one process. */
export const MAX_QUEUE_LABELS = 1_000;
/** What queues beyond the bound are called together. */
export const OTHER_QUEUES = "other";

/** One thing per label, made when it is first asked for: the counters of a queue, already bound to its label. */
export class PerQueue<T> {
  readonly #make: (label: string) => T;
  readonly #byQueue = new Map<string, T>();
  readonly #max: number;
  #others: T | undefined;

  constructor(make: (label: string) => T, max = MAX_QUEUE_LABELS) {
    this.#make = make;
    this.#max = max;
  }

  of(queue: string): T {
    const known = this.#byQueue.get(queue);
    if (known !== undefined) return known;
    if (this.#byQueue.size >= this.#max) {
      this.#others ??= this.#make(OTHER_QUEUES);
      return this.#others;
    }
    const made = this.#make(queue);
    this.#byQueue.set(queue, made);
    return made;
  }
}
