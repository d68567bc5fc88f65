/** Faults as they are done: each is written into the history, and what it broke is brought back in time or when all is healed. */
import type { Event, Fault } from "../history/events.ts";
import type { Time } from "./time.ts";

export class Troubles {
  readonly #time: Time;
  readonly #record: (event: Event) => void;
  readonly #revivals = new Set<() => void>();

  constructor(time: Time, record: (event: Event) => void) {
    this.#time = time;
    this.#record = record;
  }

  /** A fault that lasts; `over` brings things back, in time or when all is healed. */
  during(fault: Omit<Fault, "at" | "by" | "kind" | "phase">, ms: number, over: () => void): void {
    this.note({ ...fault, phase: "begin" });
    const revive = () => {
      if (!this.#revivals.delete(revive)) return;
      timer.cancel();
      this.note({ ...fault, phase: "end" });
      over();
    };
    const timer = this.#time.after(ms, revive);
    this.#revivals.add(revive);
  }

  /** A fault that healing does not end: what it holds back arrives when it is over. */
  lasting(fault: Omit<Fault, "at" | "by" | "kind" | "phase">, ms: number, over: () => void): void {
    this.note({ ...fault, phase: "begin" });
    this.#time.after(ms, () => {
      this.note({ ...fault, phase: "end" });
      over();
    });
  }

  /** A fault of one moment. */
  note(fault: Omit<Fault, "at" | "by" | "kind">): void {
    this.#record({ at: this.#time.now, by: "driver", kind: "fault", ...fault });
  }

  /** What is dead or stopped comes back. */
  heal(): void {
    for (const revive of [...this.#revivals]) revive();
  }
}
