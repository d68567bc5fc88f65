/**
 * Who wants to know of which job, in this process. A notification is a hint;
 * stored state is the truth: each listener is armed with the version that it
 * read, takes only what is newer, and is re-read on reconnect and by a slow
 * sweep, so that it never hangs although its job finished.
 */
import type { Clock, Timer } from "../../protocol/clock.ts";
import { type Dated, Deadlines } from "../../protocol/deadlines.ts";
import { Table } from "../../protocol/table.ts";
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

/** There may be a hundred thousand of them: what implements it is the listener itself, without a function or a set for each. */
abstract class Listener {
  /** What it is in the list of; undefined once it listens no more. */
  entry: Entry | undefined;
  before: Listener | undefined;
  after: Listener | undefined;

  /** It knows of a version: only then can it be told that the job is gone. */
  abstract armed(): boolean;
  abstract changed(status: JobStatus): void;
  abstract gone(): void;
  abstract interrupted(): void;
}

/** Those who listen to one job, in the order in which they came. */
interface Entry extends JobKey {
  id: string;
  first: Listener | undefined;
  last: Listener | undefined;
}

/** What is told may listen no more after that. */
function* listenersOf({ first }: Entry): Generator<Listener, void> {
  for (let listener = first; listener; ) {
    const { after } = listener;
    yield listener;
    listener = after;
  }
}

export const keyOf = (key: JobKey): string => `${key.queue}\0${key.jobId}`;

export class Waiters {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines<Waiter>;
  readonly #storage: Storage;
  readonly #sweepIntervalMs: number;
  readonly #byKey = new Table<string, Entry>();
  readonly #rereads = new Map<string, JobKey>();
  #rereading = false;
  #size = 0;
  #sweepTimer: Timer | undefined;

  constructor(clock: Clock, storage: Storage, sweepIntervalMs: number) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, (waiter) => waiter.timedOut());
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
    return this.#add(key, new Waiter(this));
  }

  /** Watches one job: resolves whenever something newer may be there. */
  watch(key: JobKey): Watcher {
    return this.#add(key, new Watcher(this.#clock, this));
  }

  /** It listens no more. Safe to call more than once. */
  remove(listener: Listener): void {
    const { entry, before, after } = listener;
    if (!entry) return;
    if (listener instanceof Waiter) this.#deadlines.delete(listener);
    if (before) before.after = after;
    else entry.first = after;
    if (after) after.before = before;
    else entry.last = before;
    listener.entry = undefined;
    this.#size--;
    if (!entry.first) this.#byKey.delete(entry.id);
  }

  /** Tells it when its time is over. */
  watchOver(waiter: Waiter, waitMs: number): void {
    waiter.until = this.#clock.monotonic() + waitMs;
    this.#deadlines.add(waiter);
  }

  /** A job changed, as this process or a hint says. */
  notify(status: JobStatus): void {
    const entry = this.#byKey.get(keyOf(status));
    if (entry) for (const listener of listenersOf(entry)) listener.changed(status);
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
    for (const [id, { queue, jobId }] of this.#byKey) this.#rereads.set(id, { queue, jobId });
    void this.#drainRereads();
  }

  /** Ends every wait and watch: the broker drains. */
  interruptAll(): void {
    for (const entry of [...this.#byKey.values()]) {
      for (const listener of listenersOf(entry)) listener.interrupted();
    }
  }

  close(): void {
    this.#sweepTimer?.cancel();
    this.interruptAll();
    this.#deadlines.close();
  }

  #add<L extends Listener>(key: JobKey, listener: L): L {
    const id = keyOf(key);
    let entry = this.#byKey.get(id);
    if (!entry) {
      entry = { id, queue: key.queue, jobId: key.jobId, first: undefined, last: undefined };
      this.#byKey.set(id, entry);
    }
    listener.entry = entry;
    listener.before = entry.last;
    if (entry.last) entry.last.after = listener;
    else entry.first = listener;
    entry.last = listener;
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
    const entry = this.#byKey.get(keyOf(key));
    return entry ? [...listenersOf(entry)].filter((listener) => listener.armed()) : [];
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

/** Who waits. */
export interface Waiting {
  /** Called once. */
  ended(end: WaitEnd): void;
}

/** One caller's wait: settled once, whichever of its ends comes first. */
export class Waiter extends Listener implements Dated {
  until = Number.POSITIVE_INFINITY;
  place = -1;
  readonly #waiters: Waiters;
  #armed: JobStatus | undefined;
  #seen: JobStatus | undefined;
  #end: WaitEnd | undefined;
  #waiting: Waiting | undefined;

  constructor(waiters: Waiters) {
    super();
    this.#waiters = waiters;
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
  begin(status: JobStatus, waitMs: number, waiting: Waiting): void {
    this.#armed = status;
    this.changed(status);
    if (this.#seen) this.changed(this.#seen);
    if (this.#end) return waiting.ended(this.#end);
    this.#waiting = waiting;
    if (waitMs <= 0) this.timedOut();
    else this.#waiters.watchOver(this, waitMs);
  }

  timedOut(): void {
    this.#finish({ kind: "timeout", status: this.#armed as JobStatus });
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
    this.#waiters.remove(this);
    this.#waiting?.ended(end);
  }
}

export type WatchEvent = "changed" | "heartbeat" | "interrupted" | "closed";

/** One caller's watch: says that it is time to read again, never what. */
export class Watcher extends Listener {
  readonly #clock: Clock;
  readonly #waiters: Waiters;
  #version = 0;
  #pending: WatchEvent | undefined;
  #wake: ((event: WatchEvent) => void) | undefined;

  constructor(clock: Clock, waiters: Waiters) {
    super();
    this.#clock = clock;
    this.#waiters = waiters;
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
    this.#waiters.remove(this);
    this.#signal("closed");
  }

  #signal(event: WatchEvent): void {
    if (this.#wake && event === "changed") return this.#wake(event);
    // Interrupted and closed stay: whoever asks later learns of them too.
    if (this.#pending === undefined || this.#pending === "changed") this.#pending = event;
    if (event !== "changed") this.#wake?.(event);
  }
}
