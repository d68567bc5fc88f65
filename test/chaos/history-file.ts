/** A process's part of the history: lines of JSON in a file of its own, there even if the next instruction is its last. */
import { openSync, writeSync } from "node:fs";
import type { Event, Fault } from "../history/events.ts";

/** An event without what the writer adds. */
type Told<E> = E extends Event ? Omit<E, "at" | "by"> & { at?: number } : never;
export type Record = (event: Told<Event>) => void;

/** A timer that fires this much late found no time on the machine. Milliseconds. */
const STARVED_MS = 50;
const LOOK_EVERY_MS = 25;

/** Milliseconds since the machine started: the same in all of its processes. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** Appends to the file. @param by the name of the process in the history */
export function openHistory(file: string, by: string): Record {
  const fd = openSync(file, "a");
  return (event) => void writeSync(fd, `${JSON.stringify({ at: now(), by, ...event })}\n`);
}

/**
 * Writes down when this process found no time to run: on a machine that has too much to do, leases run out as they
 * would by any other fault. Keeps no process alive.
 */
export function watchTime(record: Record, on: Fault["on"], who?: string): void {
  let last = now();
  setInterval(() => {
    const at = now();
    const fault = { kind: "fault", fault: "no time on the machine", on, ...(who !== undefined && { who }) } as const;
    if (at - last > LOOK_EVERY_MS + STARVED_MS) {
      record({ ...fault, at: last, phase: "begin" });
      record({ ...fault, phase: "end" });
    }
    last = at;
  }, LOOK_EVERY_MS).unref();
}
