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
  /** The fence of each job's newest lease. */
  readonly #fences = new Map<string, number>();
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

  settled({ queue, jobId, outcome }: Request<"settle">, answer: Answer<"settle">): void {
    this.#settled(queue, jobId, outcome, answer);
    this.#leased(answer.claimed?.jobs ?? [], "claimed by a settlement");
  }

  #settled(queue: string, jobId: string, outcome: Request<"settle">["outcome"], answer: Answer<"settle">): void {
    if (answer.kind === "lost") return this.count("stale settle refused");
    if (answer.kind === "duplicate") return this.count("duplicate settle");
    this.count(`settled: ${outcome.kind}`);
    this.#over(queue, jobId, outcome.kind);
    this.#ended(answer.status);
  }

  #leased(jobs: readonly Claimed[], how: string): void {
    for (const { queue, jobId, fence } of jobs) this.#fences.set(`${queue}/${jobId}`, fence);
    this.count(how, jobs.length);
  }

  /** A queue with leases at which nobody has looked for long: workers get time to renew. */
  #look(queue: string, graceMs = Number.POSITIVE_INFINITY): void {
    const leased = [...this.#fences.keys()].some((name) => name.startsWith(`${queue}/`));
    const [before, now] = [this.#looks.get(queue) ?? 0, this.#now()];
    if (leased && now - before > 1.5 * graceMs) this.count("grace period");
    this.#looks.set(queue, now);
  }

  #timeChanged({ status }: Changed): void {
    const { queue, jobId, state } = status;
    if (this.#fences.has(`${queue}/${jobId}`)) this.#over(queue, jobId, "expired");
    else this.count(`time: ${state}`);
    this.#ended(status);
  }

  #over(queue: string, job: string, why: Over["why"]): void {
    const name = `${queue}/${job}`;
    const fence = this.#fences.get(name);
    if (fence === undefined) return;
    this.#fences.delete(name);
    this.count(`lease over: ${why}`);
    this.#record({ at: this.#now(), by: "storage", kind: "over", queue, job, fence, why });
  }

  #ended({ outcome }: JobStatus): void {
    if (outcome?.kind === "failure") this.count(`failure: ${outcome.failure.kind}`);
  }
}
