/** Calls under way on one port, whatever they speak. */

/** Told of what should not happen: a bug, never a caller's mistake. */
export type OnBug = (error: unknown, path: string) => void;

export class Counter {
  count = 0;
  #waiting: (() => void)[] = [];

  enter(): void {
    this.count++;
  }

  /** Once for each that entered. */
  leave(): void {
    if (--this.count === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** The same, for who may leave more than once. */
  begin(): () => void {
    this.enter();
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.leave();
    };
  }

  idle(): Promise<void> {
    return this.count === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
