/** What came of a run, for people: the numbers, and the history of what is wrong. */
import { check, explain, type Limits, summarize } from "../history/check.ts";
import { describe, type Event, type Returned } from "../history/events.ts";
import type { Aftermath } from "./battle.ts";
import { PATIENT_MS } from "./load.ts";

const MAX_SHOWN = 5;

/** Prints it. @param strictly nobody may notice the faults: no call fails, and they explain nothing. @returns how much is wrong */
export function report(aftermath: Aftermath, limits: Limits, { strictly = false } = {}): number {
  const { events, alarms, slowestDrainMs } = aftermath;
  const violations = check(strictly ? events.filter(matters) : events, limits);
  const failed = failures(events);
  const summary = summarize(events, limits);
  const { calls, jobs, deliveries, duplicates, faults } = summary;
  const of = (rule: string) => violations.filter((each) => each.rule === rule).length;
  console.log(`calls ${calls}, jobs ${jobs}, deliveries ${deliveries}`);
  console.log(`explained second deliveries ${total(duplicates) - (duplicates.unexplained ?? 0)}`, duplicates);
  console.log(`faults ${total(faults)}`, faults);
  console.log(
    `calls with ${PATIENT_MS / 1000} s that failed ${failed.length}, slowest drain ${Math.round(slowestDrainMs)} ms`,
  );
  if (failed.length > 0) console.log("of these", reasons(failed));
  console.log(`lost ${of("lost")}, waits late ${of("wait")}, unhandled errors ${alarms.length}`);
  const complaints = [...alarms, ...(strictly ? failed.map((event) => describe(event, events[0]?.at)) : [])];
  for (const complaint of complaints.slice(0, MAX_SHOWN)) console.log(complaint);
  for (const each of Map.groupBy(violations, ({ rule }) => rule).values()) {
    for (const violation of each.slice(0, MAX_SHOWN)) console.log(explain(violation, events[0]?.at));
  }
  return violations.length + complaints.length;
}

/** How often each reason was given; ids and numbers in it apart. */
function reasons(failed: readonly Event[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const event of failed) {
    const { reason = "", end } = event as Returned;
    const text = reason.replace(/\bjob \S+/i, "job …").replace(/\d+/g, "…") || end;
    counts[text] = (counts[text] ?? 0) + 1;
  }
  return counts;
}

/** A caller that finds no time to run is late, whoever restarts. */
function matters(event: Event): boolean {
  return event.kind !== "fault" || event.on === "caller";
}

export function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Calls of the library that had time for everything, and ended in an error all the same: `reason` says how. */
export function failures(events: readonly Event[]): Event[] {
  const impatient = new Set<string>();
  for (const event of events) {
    const short = event.kind === "called" && event.waitMs !== undefined && event.waitMs < PATIENT_MS;
    if (short) impatient.add(event.call);
  }
  return events.filter((event) => event.kind === "returned" && event.end !== "ok" && !impatient.has(event.call));
}
