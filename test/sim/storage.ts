/**
 * One `memory:` storage for several brokers: each gets a view with a name, hints
 * and faults of its own. What the storage does is the real one's work; who is to
 * be told of it, which a storage with one user never asks, is kept here by the
 * rules of storage/redis/lua/prelude.lua.
 */
import { isTerminal, type JobKey, type JobStatus } from "../../server/job/job.ts";
import type { Attached, Hint, Listen, Storage } from "../../server/storage/storage.ts";
import type { Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";
import type { Time } from "./time.ts";

/** What can become of a verb. */
export type VerbFault = "not-done" | "reply-lost" | "late" | "twice";
export type HintFault = "lost" | "doubled" | "late";

/** What a view is told. */
interface ToldView {
  hinted(hint: Hint, lateMs: number): void;
  reconnected(): void;
}

interface Listeners {
  waiters: Set<string>;
  watchers: Set<string>;
}

export class SharedStorage {
  readonly time: Time;
  readonly random: Random;
  readonly inner: Storage;
  readonly ledger: Ledger;
  /** Probability of each fault, now. */
  readonly verbFaults = new Map<VerbFault, number>();
  readonly hintFaults = new Map<HintFault, number>();
  /** Nothing is answered before. */
  stalledUntil = 0;
  readonly #views = new Map<string, ToldView>();
  readonly #listeners = new Map<string, Listeners>();
  readonly #hungry = new Map<string, string[]>();
  readonly #announced = new Map<string, { attached: Attached; until: number }>();

  constructor(inner: Storage, time: Time, random: Random, ledger: Ledger) {
    this.inner = inner;
    this.time = time;
    this.random = random;
    this.ledger = ledger;
  }

  /** A broker has come. */
  join(brokerId: string, view: ToldView): void {
    this.#views.set(brokerId, view);
  }

  /** Brokers are told that hints may have been lost, as after a reconnect. */
  reconnected(): void {
    for (const view of this.#views.values()) view.reconnected();
  }

  heal(): void {
    this.verbFaults.clear();
    this.hintFaults.clear();
  }

  verbFault(): VerbFault | undefined {
    for (const [fault, rate] of this.verbFaults) if (this.random.chance(rate)) return fault;
    return undefined;
  }

  post(broker: string, hint: Hint): void {
    const fault = [...this.hintFaults].find(([, rate]) => this.random.chance(rate))?.[0];
    if (fault === "lost") return void this.ledger.count("hint lost");
    this.#views.get(broker)?.hinted(hint, fault === "late" ? this.random.between(50, 3_000) : 0);
    if (fault !== "doubled") return;
    this.ledger.count("hint doubled");
    this.#views.get(broker)?.hinted(hint, this.random.between(0, 500));
  }

  listen(key: JobKey, list: Listen, broker: string): void {
    const id = `${key.queue}/${key.jobId}`;
    const known = this.#listeners.get(id) ?? { waiters: new Set(), watchers: new Set() };
    this.#listeners.set(id, known);
    known[list].add(broker);
  }

  /** Whom a change concerns: its end, and a new run, also those that only wait. */
  tell(status: JobStatus, me: string, newRun = false): string[] {
    const known = this.#listeners.get(`${status.queue}/${status.jobId}`);
    if (!known) return [];
    const all = newRun || isTerminal(status.state) ? [...known.waiters, ...known.watchers] : [...known.watchers];
    return [...new Set(all)].filter((broker) => broker !== me);
  }

  /** Takes one other broker off the list of the hungry, the newest first. */
  wake(status: JobStatus, me: string, hungryHere: boolean): string[] {
    const hungry = this.#hungry.get(status.queue) ?? [];
    if (status.state !== "queued" || hungryHere) return [];
    const broker = hungry.findLast((each) => each !== me);
    if (broker === undefined) return [];
    hungry.splice(hungry.indexOf(broker), 1);
    return [broker];
  }

  hungry(queue: string, broker: string): void {
    const others = (this.#hungry.get(queue) ?? []).filter((each) => each !== broker);
    this.#hungry.set(queue, [...others, broker]);
  }

  announce(broker: string, attached: Attached, validMs: number): void {
    this.#announced.set(broker, { attached, until: this.time.now + validMs });
  }

  announced(): Map<string, Attached> {
    const valid = [...this.#announced].filter(([, { until }]) => until > this.time.now);
    return new Map(valid.map(([broker, { attached }]) => [broker, attached]));
  }

  sated(queue: string): string[] {
    const all = this.#hungry.get(queue) ?? [];
    this.#hungry.delete(queue);
    return all;
  }
}
