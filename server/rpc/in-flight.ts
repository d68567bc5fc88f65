/** Calls under way on one port, whatever they speak. */

/** Told of what should not happen: a bug, never a caller's mistake. */
export type OnBug = (error: unknown, path: string) => void;

export class Counter {
  count = 0;
  #waiting: (() => void)[] = [];

  begin(): () => void {
    this.count++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (--this.count === 0) for (const resolve of this.#waiting.splice(0)) resolve();
    };
  }

  idle(): Promise<void> {
    return this.count === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}
