/**
 * The workers attached to this broker, as the other brokers of its storage may know them: told anew every few seconds,
 * in one bounded piece, and forgotten by itself soon after the last time. So every broker can say what works on a queue,
 * and a broker that died takes its workers with it.
 */
import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Attached, AttachedWorker, Storage } from "../storage/storage.ts";
import type { Session } from "./session.ts";

const ANNOUNCE_EVERY_MS = 2_000;
/** Three in a row may be lost. */
const VALID_MS = 7_000;
/** Text of the workers that are listed, about. Bytes. */
const MAX_LISTED_BYTES = 64 * 1024;
/** Queues whose workers are counted: those with most. */
const MAX_QUEUES = 1_000;

export interface AnnouncerOptions {
  clock: Clock;
  storage: Storage;
  /** Worker streams that are open, in the order in which they came. */
  sessions(): Session[];
}

export class Announcer {
  readonly #o: AnnouncerOptions;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: AnnouncerOptions) {
    this.#o = options;
  }

  start(): void {
    void this.#go();
  }

  /** Never throws: where the storage is away, nobody can read it either, and the next one says all. */
  async announce(): Promise<void> {
    await this.#o.storage.announce(summaryOf(this.#o.sessions()), VALID_MS).catch(() => {});
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #go(): Promise<void> {
    await this.announce();
    if (this.#closed) return;
    this.#timer = this.#o.clock.setTimer(() => void this.#go(), ANNOUNCE_EVERY_MS, { unref: true });
  }
}

function summaryOf(sessions: readonly Session[]): Attached {
  const counts = [...workersByQueue(sessions)];
  const most = counts.length > MAX_QUEUES ? counts.sort(([, a], [, b]) => b - a).slice(0, MAX_QUEUES) : counts;
  return { workers: sessions.length, byQueue: new Map(most), listed: fitting(sessions) };
}

/** How many streams take jobs of each queue. */
export function workersByQueue(sessions: readonly Session[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { queues } of sessions) for (const queue of queues) counts.set(queue, (counts.get(queue) ?? 0) + 1);
  return counts;
}

export function workerOf(session: Session): AttachedWorker {
  const { workerId, sessionId, queues, window, outstanding, connectTime, clientInfo, state } = session;
  return {
    ...{ workerId, sessionId, queues, window, outstanding, connectTime, clientInfo },
    draining: state === "draining",
  };
}

function fitting(sessions: readonly Session[]): AttachedWorker[] {
  const listed: AttachedWorker[] = [];
  let left = MAX_LISTED_BYTES;
  for (const session of sessions) {
    const worker = workerOf(session);
    left -= JSON.stringify(worker).length;
    if (left < 0) break;
    listed.push(worker);
  }
  return listed;
}
