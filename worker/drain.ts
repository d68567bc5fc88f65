/** How long a stopping worker is patient: handlers may finish, then are aborted, then their jobs are handed back, then it goes. */
import type { Clock, Timer } from "../protocol/clock.ts";

/** Handlers get this long to end after their signal was aborted. */
const ABORTED_MS = 1_000;
/** Then settlements get this long to be confirmed. */
const CONFIRM_MS = 5_000;

export interface DrainSteps {
  /** Asks the handlers that still run to stop. */
  abort(): void;
  /** Hands their jobs back, whatever they do. */
  release(): void;
  /** Leaves without the broker's confirmation. */
  giveUp(): void;
}

export class DrainPatience {
  readonly #clock: Clock;
  #timer: Timer;
  #over = false;

  constructor(clock: Clock, drainTimeoutMs: number, steps: DrainSteps) {
    this.#clock = clock;
    this.#timer = clock.setTimer(() => {
      this.#next(ABORTED_MS, () => {
        this.#over = true;
        this.#next(CONFIRM_MS, () => steps.giveUp());
        steps.release();
      });
      steps.abort();
    }, drainTimeoutMs);
  }

  /** Handlers are not waited for any more. */
  get over(): boolean {
    return this.#over;
  }

  end(): void {
    this.#timer.cancel();
  }

  #next(ms: number, fn: () => void): void {
    this.#timer = this.#clock.setTimer(fn, ms);
  }
}
