/** Where calls come in, on either port: the only place that authenticates. */
import type { CallError } from "../../protocol/errors.ts";
import type { Call } from "../broker/callers.ts";
import type { Credentials, Gate, Visit } from "./access.ts";

export class Door {
  readonly #gate: Gate;

  constructor(gate: Gate) {
    this.#gate = gate;
  }

  /**
   * For calls that end by themselves through `revoked`. Leave the visit when the call is over.
   * @throws CallError as {@link Gate}
   */
  enter(credentials: Credentials, revoked: (error: CallError) => void): Visit {
    return this.#gate.enter(credentials, revoked);
  }

  /** Runs a call that is abandoned where its right to go on is taken away. */
  async through<T>(credentials: Credentials, call: Call, run: (call: Call, visit: Visit) => Promise<T>): Promise<T> {
    const { promise: shownOut, reject: showOut } = Promise.withResolvers<never>();
    const revocable = new RevocableCall(call);
    const visit = this.enter(credentials, (error) => {
      showOut(error);
      revocable.gone();
    });
    try {
      return await Promise.race([run(revocable, visit), shownOut]);
    } finally {
      visit.leave();
    }
  }
}

/** A call whose caller is gone as well once it has been shown out. */
export class RevocableCall implements Call {
  readonly deadlineMs: number | undefined;
  readonly #call: Call;
  readonly #onGone: (() => void)[] = [];

  constructor(call: Call) {
    this.deadlineMs = call.deadlineMs;
    this.#call = call;
  }

  onGone(fn: () => void): void {
    this.#call.onGone(fn);
    this.#onGone.push(fn);
  }

  gone(): void {
    for (const fn of this.#onGone) fn();
  }
}
