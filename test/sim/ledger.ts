/** What the storage did, as it did it: how leases ended, for the checker; and how often what is worth a simulation happened. */
import type { JobStatus } from "../../server/job/job.ts";
import type { Changed, Claimed, Storage } from "../../server/storage/storage.ts";
import type { Event, Over } from "../history/events.ts";

type Request<Verb extends "enqueue" | "claim" | "extend" | "settle" | "tick"> = Parameters<Storage[Verb]>[0];
type Answer<Verb extends "enqueue" | "claim" | "extend" | "settle" | "tick"> = Awaited<ReturnType<Storage[Verb]>>;

export class Ledger {
  readonly counts = new Map<string, number>();
  readonly #record: (event: Event) => void;
  readonly #now: () => number;
  /** The fences of each job's leases that are not over, by token. */
  readonly #held = new Map<string, Map<string, number>>();
  /** Settled before it was known that they had been given: verbs that run together are answered in no order. By token. */
  readonly #early = new Map<string, Over["why"]>();
  readonly #requests = new Set<string>();
  /** When each queue was last claimed from, or ticked. */
  readonly #looks = new Map<string, number>();

  constructor(record: (event: Event) => void, now: () => number) {
    this.#record = record;
    this.#now = now;
  }

  count(what: string, times = 1): void {
    if (times > 0) this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  /** A request that came before comes again because its answer was lost, or its wait was ended by the broker. */
  enqueued({ requestId, listen }: Request<"enqueue">, answer: Answer<"enqueue">): void {
    const id = Buffer.from(requestId).toString("hex");
    const again = this.#requests.has(id);
    this.#requests.add(id);
    if (again) this.count(listen ? "re-attached wait" : "repeated enqueue");
    if (answer.kind !== "accepted") return this.count(`enqueue: ${answer.kind}`);
    if (!again) this.count(`enqueue: ${answer.disposition}`);
    if (answer.claimed) this.#leased([answer.claimed], again ? "leased at once, found again" : "leased at once");
  }

  claimed({ queue, graceMs }: Request<"claim">, { jobs, changed }: Answer<"claim">): void {
    for (const each of changed) this.#timeChanged(each);
    this.#look(queue, graceMs);
    this.#leased(jobs, "claimed");
  }

  ticked({ queue, graceMs }: Request<"tick">, { changed }: Answer<"tick">): void {
    for (const each of changed) this.#timeChanged(each);
    this.#look(queue, graceMs);
  }

  extended({ mode }: Request<"extend">, answers: Answer<"extend">): void {
    const kept = answers.filter(({ kind }) => kind === "ok").length;
    this.count(`lease: ${mode}`, kept);
    this.count(`lease lost: ${mode}`, answers.length - kept);
  }

  settled(request: Request<"settle">, answer: Answer<"settle">): void {
    this.#settled(request, answer);
    this.#leased(answer.claimed?.jobs ?? [], "claimed by a settlement");
  }

  #settled({ queue, jobId, leaseToken, outcome }: Request<"settle">, answer: Answer<"settle">): void {
    if (answer.kind === "lost") return this.count("stale settle refused");
    if (answer.kind === "duplicate") return this.count("duplicate settle");
    this.count(`settled: ${outcome.kind}`);
    const token = textOf(leaseToken);
    if (this.#of(queue, jobId).has(token)) this.#over(queue, jobId, token, outcome.kind);
    else this.#early.set(token, outcome.kind);
    this.#ended(answer.status);
  }

  #leased(jobs: readonly Claimed[], how: string): void {
    for (const { queue, jobId, fence, leaseToken } of jobs) {
      const token = textOf(leaseToken);
      this.#of(queue, jobId).set(token, fence);
      const why = this.#early.get(token);
      if (why) this.#over(queue, jobId, token, why);
    }
    this.count(how, jobs.length);
  }

  /** A queue with leases at which nobody has looked for long: workers get time to renew. */
  #look(queue: string, graceMs = Number.POSITIVE_INFINITY): void {
    const leased = [...this.#held].some(([name, leases]) => leases.size > 0 && name.startsWith(`${queue}/`));
    const [before, now] = [this.#looks.get(queue) ?? 0, this.#now()];
    if (leased && now - before > 1.5 * graceMs) this.count("grace period");
    this.#looks.set(queue, now);
  }

  #timeChanged({ status }: Changed): void {
    const { queue, jobId, state } = status;
    const tokens = [...this.#of(queue, jobId).keys()];
    for (const token of tokens) this.#over(queue, jobId, token, "expired");
    if (tokens.length === 0) this.count(`time: ${state}`);
    this.#ended(status);
  }

  #over(queue: string, job: string, token: string, why: Over["why"]): void {
    const leases = this.#of(queue, job);
    const fence = leases.get(token);
    if (fence === undefined) return;
    leases.delete(token);
    this.#early.delete(token);
    this.count(`lease over: ${why}`);
    this.#record({ at: this.#now(), by: "storage", kind: "over", queue, job, fence, why });
  }

  #of(queue: string, job: string): Map<string, number> {
    const name = `${queue}/${job}`;
    const known = this.#held.get(name) ?? new Map<string, number>();
    this.#held.set(name, known);
    return known;
  }

  #ended({ outcome }: JobStatus): void {
    if (outcome?.kind === "failure") this.count(`failure: ${outcome.failure.kind}`);
  }
}

function textOf(token: Uint8Array): string {
  return Buffer.from(token).toString("hex");
}
