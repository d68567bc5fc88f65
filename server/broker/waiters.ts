/**
 * Who wants to know of which job, in this process. A notification is a hint;
 * stored state is the truth: each listener is armed with the version that it
 * read, takes only what is newer, and is re-read on reconnect and by a slow
 * sweep, so that it never hangs although its job finished.
 */
import type { Clock, Timer } from "../../protocol/clock.ts";
import { isTerminal, type JobKey, type JobStatus } from "../job/job.ts";
import type { Storage } from "../storage/storage.ts";

/** Keys that one sweep step re-reads; a step runs at most every SWEEP_STEP_MS, so a sweep never floods the storage. */
const SWEEP_STEP = 500;
const SWEEP_STEP_MS = 100;

export type WaitEnd =
  | { kind: "ended"; status: JobStatus }
  /** The job vanished while one waited. */
  | { kind: "gone" }
  | { kind: "timeout"; status: JobStatus }
  /** The broker drains. */
  | { kind: "interrupted" }
  /** The caller went away. */
  | { kind: "abandoned" };

/** There may be a hundred thousand of them: what implements it is the listener itself, without a function for each of these. */
interface Listener {
  /** It knows of a version: only then can it be told that the job is gone. */
  armed(): boolean;
  changed(status: JobStatus): void;
  gone(): void;
  interrupted(): void;
}

/** Those who listen to one job. */
interface Entry {
  key: JobKey;
  listeners: Set<Listener>;
}

export const keyOf = (key: JobKey): string => `${key.queue}\0${key.jobId}`;

export class Waiters {
  readonly #clock: Clock;
  readonly #storage: Storage;
  readonly #sweepIntervalMs: number;
  readonly #byKey = new Map<string, Entry>();
  readonly #rereads = new Map<string, JobKey>();
  #rereading = false;
  #size = 0;
  #sweepTimer: Timer | undefined;

  constructor(clock: Clock, storage: Storage, sweepIntervalMs: number) {
    this.#clock = clock;
    this.#storage = storage;
    this.#sweepIntervalMs = sweepIntervalMs;
    this.#scheduleSweep();
  }

  /** Listeners now. */
  get size(): number {
    return this.#size;
  }

  /** Waits for one job's end. Open it before the read or enqueue that arms it, so that nothing is missed in between. */
  wait(key: JobKey): Waiter {
    const entry = this.#entry(key);
    return this.#add(entry, new Waiter(this.#clock, this, entry));
  }

  /** Watches one job: resolves whenever something newer may be there. */
  watch(key: JobKey): Watcher {
    const entry = this.#entry(key);
    return this.#add(entry, new Watcher(this.#clock, this, entry));
  }

  /** It listens no more. Safe to call more than once. */
  remove(entry: Entry, listener: Listener): void {
    if (!entry.listeners.delete(listener)) return;
    this.#size--;
    const id = keyOf(entry.key);
    if (entry.listeners.size === 0 && this.#byKey.get(id) === entry) this.#byKey.delete(id);
  }

  /** A job changed, as this process or a hint says. */
  notify(status: JobStatus): void {
    const entry = this.#byKey.get(keyOf(status));
    if (entry) for (const listener of [...entry.listeners]) listener.changed(status);
  }

  /** A job may have changed: look. */
  reread(key: JobKey): void {
    const id = keyOf(key);
    if (!this.#byKey.has(id)) return;
    this.#rereads.set(id, key);
    void this.#drainRereads();
  }

  /** Hints may have been lost: look at every job that somebody here listens to. */
  rereadAll(): void {
    for (const [id, { key }] of this.#byKey) this.#rereads.set(id, key);
    void this.#drainRereads();
  }

  /** Ends every wait and watch: the broker drains. */
  interruptAll(): void {
    for (const { listeners } of [...this.#byKey.values()])
      for (const listener of [...listeners]) listener.interrupted();
  }

  close(): void {
    this.#sweepTimer?.cancel();
    this.interruptAll();
  }

  #entry(key: JobKey): Entry {
    const id = keyOf(key);
    const entry = this.#byKey.get(id) ?? { key: { queue: key.queue, jobId: key.jobId }, listeners: new Set() };
    this.#byKey.set(id, entry);
    return entry;
  }

  #add<L extends Listener>(entry: Entry, listener: L): L {
    entry.listeners.add(listener);
    this.#size++;
    return listener;
  }

  async #drainRereads(): Promise<void> {
    if (this.#rereading) return;
    this.#rereading = true;
    try {
      while (this.#rereads.size > 0) {
        const keys = [...this.#rereads.values()].slice(0, SWEEP_STEP);
        for (const key of keys) this.#rereads.delete(keyOf(key));
        // Whoever is armed while the read is under way may have stored the job after it.
        const armed = keys.map((key) => this.#armedFor(key));
        const statuses = await this.#storage.readMany(keys);
        for (const [i, status] of statuses.entries()) {
          if (status) this.notify(status);
          else for (const listener of armed[i] ?? []) listener.gone();
        }
        if (this.#rereads.size > 0) await this.#pause(SWEEP_STEP_MS);
      }
    } catch {
      // The storage is away: it says when it is back, and the sweep looks again in any case.
      this.#rereads.clear();
    } finally {
      this.#rereading = false;
    }
  }

  #armedFor(key: JobKey): Listener[] {
    return [...(this.#byKey.get(keyOf(key))?.listeners ?? [])].filter((listener) => listener.armed());
  }

  #scheduleSweep(): void {
    const sweep = () => {
      this.rereadAll();
      this.#scheduleSweep();
    };
    this.#sweepTimer = this.#clock.setTimer(sweep, this.#sweepIntervalMs, { unref: true });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimer(resolve, ms, { unref: true }));
  }
}

/** One caller's wait: settled once, whichever of its ends comes first. */
export class Waiter implements Listener {
  readonly #clock: Clock;
  readonly #waiters: Waiters;
  readonly #entry: Entry;
  #armed: JobStatus | undefined;
  #seen: JobStatus | undefined;
  #timer: Timer | undefined;
  #end: WaitEnd | undefined;
  #resolve: ((end: WaitEnd) => void) | undefined;

  constructor(clock: Clock, waiters: Waiters, entry: Entry) {
    this.#clock = clock;
    this.#waiters = waiters;
    this.#entry = entry;
  }

  armed(): boolean {
    return this.#armed !== undefined;
  }

  gone(): void {
    this.#finish({ kind: "gone" });
  }

  interrupted(): void {
    this.#finish({ kind: "interrupted" });
  }

  /** Waits from `status` on: a terminal state of this version or a newer one ends it. */
  until(status: JobStatus, waitMs: number): Promise<WaitEnd> {
    this.#armed = status;
    this.changed(status);
    if (this.#seen) this.changed(this.#seen);
    return new Promise((resolve) => {
      if (this.#end) return resolve(this.#end);
      if (waitMs <= 0) {
        this.#resolve = resolve;
        return this.#finish({ kind: "timeout", status: this.#armed as JobStatus });
      }
      this.#resolve = resolve;
      this.#timer = this.#clock.setTimer(
        () => this.#finish({ kind: "timeout", status: this.#armed as JobStatus }),
        waitMs,
        { unref: true },
      );
    });
  }

  /** Frees it; a wait that is under way ends as abandoned. Safe to call more than once. */
  close(): void {
    this.#finish({ kind: "abandoned" });
  }

  changed(status: JobStatus): void {
    if (this.#armed === undefined) {
      // The answer that arms it is still under way; older runs of the id may be what this speaks of.
      if (this.#seen === undefined || status.version > this.#seen.version) this.#seen = status;
      return;
    }
    if (status.version < this.#armed.version) return;
    this.#armed = status;
    if (isTerminal(status.state)) this.#finish({ kind: "ended", status });
  }

  #finish(end: WaitEnd): void {
    if (this.#end) return;
    this.#end = end;
    this.#timer?.cancel();
    this.#waiters.remove(this.#entry, this);
    this.#resolve?.(end);
  }
}

export type WatchEvent = "changed" | "heartbeat" | "interrupted" | "closed";

/** One caller's watch: says that it is time to read again, never what. */
export class Watcher implements Listener {
  readonly #clock: Clock;
  readonly #waiters: Waiters;
  readonly #entry: Entry;
  #version = 0;
  #pending: WatchEvent | undefined;
  #wake: ((event: WatchEvent) => void) | undefined;

  constructor(clock: Clock, waiters: Waiters, entry: Entry) {
    this.#clock = clock;
    this.#waiters = waiters;
    this.#entry = entry;
  }

  changed(status: JobStatus): void {
    if (status.version > this.#version) this.#signal("changed");
  }

  armed(): boolean {
    return true;
  }

  gone(): void {
    this.#signal("changed");
  }

  interrupted(): void {
    this.#signal("interrupted");
  }

  /** The version last sent: older news is no news. */
  saw(version: number): void {
    this.#version = version;
  }

  /** Resolves at the next event, or as a heartbeat after `heartbeatMs`. */
  next(heartbeatMs: number): Promise<WatchEvent> {
    if (this.#pending) {
      const event = this.#pending;
      if (event === "changed") this.#pending = undefined;
      return Promise.resolve(event);
    }
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(() => this.#wake?.("heartbeat"), heartbeatMs, { unref: true });
      this.#wake = (event) => {
        timer.cancel();
        this.#wake = undefined;
        resolve(event);
      };
    });
  }

  close(): void {
    this.#waiters.remove(this.#entry, this);
    this.#signal("closed");
  }

  #signal(event: WatchEvent): void {
    if (this.#wake && event === "changed") return this.#wake(event);
    // Interrupted and closed stay: whoever asks later learns of them too.
    if (this.#pending === undefined || this.#pending === "changed") this.#pending = event;
    if (event !== "changed") this.#wake?.(event);
  }
}
