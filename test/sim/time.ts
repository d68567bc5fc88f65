/** Virtual time: what is to happen, in its order, and processes that it happens in. */
import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Random } from "./random.ts";

/** Wall clock at the start. Milliseconds since 1970. */
export const START = 1_800_000_000_000;

/** Far more than any history takes. */
const MAX_TASKS = 200_000;

interface Task {
  at: number;
  /** Of two at one moment, the one that was planned first. */
  order: number;
  run: (() => void) | undefined;
}

export class Time {
  #now = 0;
  #order = 0;
  #done = 0;
  readonly #tasks: Task[] = [];

  /** Milliseconds since the start. */
  get now(): number {
    return this.#now;
  }

  /** Runs `run` in `ms` of virtual time. */
  after(ms: number, run: () => void): Timer {
    const task: Task = { at: this.#now + Math.max(0, ms), order: this.#order++, run };
    push(this.#tasks, task);
    return { cancel: () => (task.run = undefined) };
  }

  /** Goes on until that moment, or until nothing is left to do before it. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + Math.max(0, ms);
    // What was begun since the last advance belongs to this moment.
    await settled();
    for (let task = this.#tasks[0]; task && task.at <= end; task = this.#tasks[0]) {
      pop(this.#tasks);
      if (!task.run) continue;
      if (++this.#done > MAX_TASKS)
        throw new Error(`${MAX_TASKS} things have happened, and no end: something goes in circles`);
      this.#now = task.at;
      task.run();
      await settled();
    }
    this.#now = end;
  }
}

/** All that promises set in motion has come to rest: microtasks are done before the event loop turns. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const before = (a: Task, b: Task): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

function push(heap: Task[], task: Task): void {
  let at = heap.push(task) - 1;
  for (let up = (at - 1) >> 1; at > 0 && before(task, heap[up]!); up = (at - 1) >> 1) {
    heap[at] = heap[up]!;
    at = up;
  }
  heap[at] = task;
}

function pop(heap: Task[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let down = 2 * at + 1;
    if (down + 1 < heap.length && before(heap[down + 1]!, heap[down]!)) down++;
    if (down >= heap.length || !before(heap[down]!, last)) break;
    heap[at] = heap[down]!;
    at = down;
  }
  heap[at] = last;
}

/** A process: it can be stopped, so that all that reaches it waits, and killed, so that nothing does any more. */
export class Process {
  readonly name: string;
  /** The time as it sees it. */
  readonly clock: Clock;
  readonly #time: Time;
  #state: "running" | "stopped" | "dead" = "running";
  #backlog: (() => void)[] = [];

  /** @param skewMs how far its wall clock is off */
  constructor(name: string, time: Time, random: Random, skewMs = 0) {
    this.name = name;
    this.#time = time;
    this.clock = {
      now: () => START + skewMs + time.now,
      monotonic: () => time.now,
      // As Node does: whole milliseconds, at least one.
      setTimer: (fn, ms) => this.after(Math.max(1, Math.trunc(ms)), fn),
      soon: (fn) => void this.after(0, fn),
      defer: (fn) => void this.after(0, fn),
      random: () => random.next(),
      randomBytes: (length) => random.bytes(length),
    };
  }

  get alive(): boolean {
    return this.#state !== "dead";
  }

  /** Something reaches it from outside. */
  run(fn: () => void): void {
    if (this.#state === "running") fn();
    else if (this.#state === "stopped") this.#backlog.push(fn);
  }

  after(ms: number, fn: () => void): Timer {
    let cancelled = false;
    const timer = this.#time.after(ms, () => this.run(() => cancelled || fn()));
    return {
      cancel() {
        // It may have fired and wait in the backlog.
        cancelled = true;
        timer.cancel();
      },
    };
  }

  stop(): void {
    if (this.#state === "running") this.#state = "stopped";
  }

  resume(): void {
    if (this.#state !== "stopped") return;
    this.#state = "running";
    for (const fn of this.#backlog.splice(0)) this.after(0, fn);
  }

  kill(): void {
    this.#state = "dead";
    this.#backlog = [];
  }
}
