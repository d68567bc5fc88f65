/** Which attempts run and which wait for room, in order of arrival. */
import type { Clock } from "../protocol/clock.ts";
import { Table } from "../protocol/table.ts";
import type { Attempt } from "./attempt.ts";
import type { Outcome } from "./outcome.ts";

export interface SlotsHost {
  readonly clock: Clock;
  /** The handler has ended. Without an outcome there is nothing to settle. */
  ended(attempt: Attempt, outcome: Outcome | undefined): void;
}

export class Slots {
  readonly #concurrency: number;
  readonly #host: SlotsHost;
  readonly #waiting = new Table<string, Attempt>();
  readonly #running = new Table<string, Attempt>();
  #starting = false;
  #strays = 0;

  constructor(concurrency: number, host: SlotsHost) {
    this.#concurrency = concurrency;
    this.#host = host;
  }

  get running(): readonly Attempt[] {
    return [...this.#running.values()];
  }

  /** Handlers that still run although their job is not ours any more. Each takes room that no delivery can use. */
  get strays(): number {
    return this.#strays;
  }

  add(attempt: Attempt): void {
    this.#waiting.set(attempt.token, attempt);
    this.#startSoon();
  }

  /** Takes an attempt out of the line. False: it was not in it. */
  remove(attempt: Attempt): boolean {
    return this.#waiting.delete(attempt.token);
  }

  /** To be told before the job of an attempt is given up: a handler that runs is a stray from here on. */
  strand(attempt: Attempt): void {
    if (attempt.phase === "running") this.#strays++;
  }

  /** Empties the line. */
  removeAll(): Attempt[] {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    return all;
  }

  /** After this turn's frames: the receipt leaves before a handler can block the event loop. */
  #startSoon(): void {
    if (this.#starting) return;
    this.#starting = true;
    this.#host.clock.defer(() => {
      this.#starting = false;
      for (const attempt of this.#waiting.values()) {
        if (this.#running.size >= this.#concurrency) return;
        this.#waiting.delete(attempt.token);
        void this.#run(attempt);
      }
    });
  }

  async #run(attempt: Attempt): Promise<void> {
    this.#running.set(attempt.token, attempt);
    const outcome = await attempt.run();
    this.#running.delete(attempt.token);
    if (attempt.phase !== "running") this.#strays--;
    if (this.#waiting.size > 0) this.#startSoon();
    this.#host.ended(attempt, outcome);
  }
}
