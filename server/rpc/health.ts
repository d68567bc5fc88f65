/** What supervisors are told, on every port: which of the services serve. Everybody may ask. */

/** The process is fine. */
export const PROCESS = "";
/** Calls are accepted. */
export const CALLS = "queuecall.v1.BrokerService";

type Listener = (service: string, serving: boolean) => void;

export class Health {
  readonly #serving = new Map([
    [PROCESS, false],
    [CALLS, false],
  ]);
  readonly #listeners = new Set<Listener>();

  get services(): ReadonlyMap<string, boolean> {
    return this.#serving;
  }

  set(service: typeof PROCESS | typeof CALLS, serving: boolean): void {
    if (this.#serving.get(service) === serving) return;
    this.#serving.set(service, serving);
    for (const listener of [...this.#listeners]) listener(service, serving);
  }

  /** @returns stops it */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
