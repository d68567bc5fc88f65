/** A history, sorted by job: what the rules look things up in. */
import type {
  Called,
  Event,
  Fault,
  Final,
  Finished,
  Outcome,
  Over,
  Returned,
  Saw,
  Settled,
  Sight,
  Started,
  Stopped,
  StreamEnded,
} from "./events.ts";

export interface Limits {
  /** The lease of the brokers. */
  leaseMs: number;
  /** How far the clocks of two processes may differ. 0 where there is one. */
  toleranceMs: number;
  /** How late a wait may end. */
  lateMs: number;
  /** How long after an outcome every wait must have learned of it, even if every hint was lost. */
  sweepMs: number;
  /** How many brokers there are. Unless set, a drain excuses errors. */
  brokers?: number;
  /** How long a fault can still be the reason of what happens after it has ended. Two leases unless set. */
  aftermathMs?: number;
}

/** Whom a fault may concern. */
type Party = { worker: string } | { caller: string };

/** One call from its beginning to its end. */
export interface Call {
  called: Called;
  saw: Saw[];
  /** Absent: it never returned. */
  returned?: Returned;
}

/** Somebody was shown an outcome. */
export interface Shown {
  event: Saw | Returned | Final;
  sight: Sight;
  outcome: Outcome;
}

/** Everything about one (queue, job id). */
export interface JobHistory {
  name: string;
  calls: Call[];
  enqueues: Call[];
  /** By fence. */
  started: Started[];
  finished: Finished[];
  stopped: Stopped[];
  settled: Settled[];
  /** By fence. */
  over: Over[];
  /** By time. */
  shown: Shown[];
  final?: Final;
}

export class History {
  readonly limits: Required<Limits>;
  readonly events: readonly Event[];
  readonly jobs = new Map<string, JobHistory>();
  readonly calls = new Map<string, Call>();
  readonly faults: { begin: number; end: number; fault: Fault }[] = [];
  readonly streamsEnded: StreamEnded[] = [];
  /** When all was said to be healed, drained and returned. */
  readonly drainedAt: number | undefined;
  /** Brokers told how leases ended. */
  readonly leasesTold: boolean;

  constructor(events: readonly Event[], limits: Limits) {
    this.limits = { aftermathMs: 2 * limits.leaseMs, brokers: 1, ...limits };
    // Stable: what one process saw at one moment stays in its order.
    this.events = [...events].sort((a, b) => a.at - b.at);
    for (const event of this.events) this.#add(event);
    this.drainedAt = this.events.findLast((event) => event.kind === "final" && event.job === undefined)?.at;
    this.leasesTold = this.events.some((event) => event.kind === "over");
    for (const job of this.jobs.values()) sort(job);
  }

  get start(): number {
    return this.events[0]?.at ?? 0;
  }

  /** A fault that may concern this worker or caller, or anybody, and was at work between two moments, its aftermath included. */
  troubled(from: number, to: number, party?: Party): Fault | undefined {
    const { toleranceMs, aftermathMs } = this.limits;
    return this.faults.find(({ begin, end, fault }) => {
      const concerns = !fault.harmless && (!party || concernsParty(fault, party));
      return concerns && begin <= to + toleranceMs && end + aftermathMs >= from - toleranceMs;
    })?.fault;
  }

  /** Brokers that were gone by a drain at some time between two moments. */
  drained(from: number, to: number): number {
    const drains = this.faults.filter(({ begin, end, fault }) => {
      return fault.harmless && fault.fault === "drain" && fault.on === "broker" && begin <= to && end >= from;
    });
    return new Set(drains.map(({ fault }) => fault.who)).size;
  }

  /** The storage may have lost what it confirmed at some time between two moments. */
  rolledBack(from: number, to: number): boolean {
    return this.faults.some(({ begin, end, fault }) => fault.fault === "rollback" && begin <= to && end >= from);
  }

  #add(event: Event): void {
    switch (event.kind) {
      case "called":
        return this.#called(event);
      case "saw":
        this.calls.get(event.call)?.saw.push(event);
        return this.#shown(event.call, event, event.job);
      case "returned": {
        const call = this.calls.get(event.call);
        if (call) call.returned = event;
        return this.#shown(event.call, event, event.job);
      }
      case "fault":
        return this.#fault(event);
      case "stream-ended":
        return void this.streamsEnded.push(event);
      case "final":
        return this.#final(event);
      default:
        return void (this.#job(event)[event.kind] as Event[]).push(event);
    }
  }

  #called(called: Called): void {
    const call: Call = { called, saw: [] };
    this.calls.set(called.call, call);
    const job = this.#job(called);
    job.calls.push(call);
    if (called.operation === "enqueue" || called.operation === "enqueue-and-wait") job.enqueues.push(call);
  }

  #shown(id: string, event: Saw | Returned, sight: Sight | undefined): void {
    const call = this.calls.get(id);
    if (call && sight?.outcome) this.#job(call.called).shown.push({ event, sight, outcome: sight.outcome });
  }

  #final(event: Final): void {
    const { queue, job, sight } = event;
    if (queue === undefined || job === undefined) return;
    const history = this.#job({ queue, job });
    history.final = event;
    if (sight?.outcome) history.shown.push({ event, sight, outcome: sight.outcome });
  }

  #fault(fault: Fault): void {
    const { at } = fault;
    if (fault.phase !== "end") {
      this.faults.push({ begin: at, end: fault.phase === "begin" ? Number.POSITIVE_INFINITY : at, fault });
      return;
    }
    const same = ({ fault: other }: { fault: Fault }) =>
      other.fault === fault.fault && other.on === fault.on && other.who === fault.who && other.phase === "begin";
    const open = this.faults.find((each) => same(each) && each.end === Number.POSITIVE_INFINITY);
    if (open) open.end = at;
  }

  #job({ queue, job }: { queue: string; job: string }): JobHistory {
    const name = `${queue}/${job}`;
    const known = this.jobs.get(name);
    if (known) return known;
    const made: JobHistory = {
      ...{ name, calls: [], enqueues: [], started: [], finished: [], stopped: [], settled: [], over: [], shown: [] },
    };
    this.jobs.set(name, made);
    return made;
  }
}

function concernsParty({ on, who }: Fault, party: Party): boolean {
  if (on === "storage" || on === "broker") return true;
  const [role, name] = "worker" in party ? ["worker", party.worker] : ["caller", party.caller];
  return (on === role || on === "network") && (who === undefined || who === name);
}

function sort(job: JobHistory): void {
  job.started.sort((a, b) => a.fence - b.fence);
  job.over.sort((a, b) => a.fence - b.fence);
}

/** It may have stored something: it was answered so, or nobody knows. */
export function mayHaveActed({ returned }: Call): boolean {
  return returned === undefined || (returned.end !== "refused" && returned.end !== "not-found");
}

/** No back-off before a second send is shorter. Milliseconds. */
const SENT_AGAIN_MS = 25;

/** It had the time to be sent more than once: what an earlier send asked for may come later than the answer, at any time. */
export function mayBeSentAgain({ called, returned }: Call): boolean {
  return returned === undefined || returned.at - called.at >= SENT_AGAIN_MS;
}

/** When a call may have had its effect: from its beginning to its end, without which never. */
export function span({ called, returned }: Call): [from: number, to: number] {
  // An answer "unknown" ends nothing: what was sent may arrive later.
  const open = returned === undefined || returned.end === "unknown" || returned.end === "gone";
  return [called.at, open ? Number.POSITIVE_INFINITY : returned.at];
}

/** Calls of an operation on the job that may have had their effect between two moments. */
export function actedBetween(job: JobHistory, operation: Called["operation"], from: number, to: number): Call[] {
  return job.calls.filter((call) => {
    const [begin, end] = span(call);
    return call.called.operation === operation && mayHaveActed(call) && begin <= to && end >= from;
  });
}
