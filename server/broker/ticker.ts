/**
 * Drives the time-driven work of every queue that this broker knows. No leader:
 * every broker ticks every queue, with jitter; the first to come does the work.
 */
import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Changed, Storage, TickAnswer } from "../storage/storage.ts";

/** The list of queues is read again this often: another broker may have made one and died. */
const DISCOVER_MS = 60_000;

export interface TickerOptions {
  clock: Clock;
  storage: Storage;
  leaseMs: number;
  /** Whether a worker here has room for a job of the queue. */
  hungryHere(queue: string): boolean;
  /** What a tick changed. */
  changed(changed: Changed): void;
  /** The queue has jobs in line. */
  queued(queue: string): void;
}

interface Entry {
  at: number;
  timer: Timer | undefined;
  running: boolean;
  /** Somebody spoke of the queue since the last tick began. */
  spokenOf: boolean;
  /** Jobs in line, as the last tick here said. */
  queued: number;
}

export class Ticker {
  readonly #o: TickerOptions;
  readonly #entries = new Map<string, Entry>();
  #discovery: Timer | undefined;
  #closed = false;

  constructor(options: TickerOptions) {
    this.#o = options;
  }

  start(): void {
    void this.#discover();
  }

  /** The queue may need a tick within `inMs`; without it, at its ordinary pace. */
  expect(queue: string, inMs?: number): void {
    if (this.#closed) return;
    const entry = this.#entries.get(queue) ?? this.#learn(queue);
    entry.spokenOf = true;
    if (inMs !== undefined) this.#schedule(queue, entry, inMs);
  }

  /** Jobs in line by queue, as of each queue's last tick here: at most some seconds ago where there is work. */
  *depths(): Generator<[queue: string, queued: number], void> {
    for (const [queue, { queued }] of this.#entries) yield [queue, queued];
  }

  close(): void {
    this.#closed = true;
    this.#discovery?.cancel();
    for (const entry of this.#entries.values()) entry.timer?.cancel();
    this.#entries.clear();
  }

  #learn(queue: string): Entry {
    const at = Number.POSITIVE_INFINITY;
    const entry: Entry = { at, timer: undefined, running: false, spokenOf: false, queued: 0 };
    this.#entries.set(queue, entry);
    this.#schedule(queue, entry, this.#jittered(this.#o.leaseMs / 4));
    return entry;
  }

  #schedule(queue: string, entry: Entry, inMs: number): void {
    const at = this.#o.clock.monotonic() + Math.max(1, inMs);
    if (at >= entry.at || this.#closed) return;
    entry.at = at;
    entry.timer?.cancel();
    entry.timer = this.#o.clock.setTimer(() => void this.#tick(queue, entry), Math.max(1, inMs), { unref: true });
  }

  async #tick(queue: string, entry: Entry): Promise<void> {
    const { clock, leaseMs, storage } = this.#o;
    if (this.#closed) return;
    if (entry.running) {
      entry.at = Number.POSITIVE_INFINITY;
      return this.#schedule(queue, entry, 5);
    }
    entry.at = Number.POSITIVE_INFINITY;
    entry.running = true;
    entry.spokenOf = false;
    try {
      const answer = await storage.tick({
        queue,
        jitter: clock.random(),
        hungryHere: this.#o.hungryHere(queue),
        graceMs: graceMs(leaseMs),
      });
      entry.queued = answer.queued;
      this.#pass(queue, answer);
      if (answer.gone && !entry.spokenOf) return void this.#entries.delete(queue);
      this.#schedule(queue, entry, this.#pace(answer));
    } catch {
      this.#schedule(queue, entry, this.#jittered(1_000));
    } finally {
      entry.running = false;
    }
  }

  #pass(queue: string, answer: TickAnswer): void {
    for (const changed of answer.changed) this.#o.changed(changed);
    if (answer.queued > 0) this.#o.queued(queue);
  }

  /** As the storage says, but never much later: another broker may have added something earlier. */
  #pace(answer: TickAnswer): number {
    const idle = answer.nextInMs === undefined && answer.queued === 0;
    const slow = this.#jittered(idle ? this.#o.leaseMs : this.#o.leaseMs / 4);
    return answer.nextInMs === undefined ? slow : Math.min(answer.nextInMs, slow);
  }

  async #discover(): Promise<void> {
    try {
      let cursor: string | undefined;
      do {
        const page = await this.#o.storage.queues(cursor);
        for (const queue of page.queues) this.expect(queue);
        cursor = page.next;
      } while (cursor !== undefined && !this.#closed);
    } catch {
      // Away: the next round asks again, and queues in use here are known anyway.
    }
    if (this.#closed) return;
    this.#discovery = this.#o.clock.setTimer(() => void this.#discover(), this.#jittered(DISCOVER_MS), { unref: true });
  }

  /** ±30 %, so that brokers that start together do not tick together. */
  #jittered(ms: number): number {
    return Math.ceil(ms * (0.7 + 0.6 * this.#o.clock.random()));
  }
}

/** Time for one renewal: what workers get where nobody could renew for half a lease. */
export function graceMs(leaseMs: number): number {
  return Math.ceil(leaseMs / 3);
}
