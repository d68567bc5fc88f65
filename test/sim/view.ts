/** The shared storage as one broker sees it: what it answers, and what goes wrong on the way. */
import type { JobKey } from "../../server/job/job.ts";
import type {
  Attached,
  Changed,
  Claim,
  ClaimAnswer,
  Claimed,
  Hint,
  Listen,
  Service,
  Storage,
} from "../../server/storage/storage.ts";
import { StorageUnavailable } from "../../server/storage/storage.ts";
import type { SharedStorage } from "./storage.ts";
import type { Process } from "./time.ts";

/** A broker takes a verb that was not answered this long as not confirmed. */
const COMMAND_TIMEOUT_MS = 3_000;
/** As long as the name of a broker is: lanes carry it in front. */
export const BROKER_ID_LENGTH = 4;

export class View implements Storage {
  readonly #shared: SharedStorage;
  readonly #me: string;
  readonly #process: Process;
  readonly #onHint = new Set<(hint: Hint) => void>();
  readonly #onReady = new Set<(ready: boolean) => void>();
  /** Verbs of one broker run in the order of their sending. */
  #lastAt = 0;

  constructor(shared: SharedStorage, me: string, process: Process) {
    this.#shared = shared;
    this.#me = me;
    this.#process = process;
    shared.join(me, this);
  }

  get info(): Storage["info"] {
    return this.#shared.inner.info;
  }
  get ready(): boolean {
    return true;
  }

  onReady(listener: (ready: boolean) => void): () => void {
    this.#onReady.add(listener);
    return () => void this.#onReady.delete(listener);
  }

  reconnected(): void {
    this.#process.run(() => {
      for (const listener of this.#onReady) listener(true);
    });
  }

  enqueue(request: Parameters<Storage["enqueue"]>[0]): ReturnType<Storage["enqueue"]> {
    return this.#ask(async ({ inner, ledger }) => {
      const { spec, listen, hungryHere, claim } = request;
      if (listen) this.#shared.listen(spec, listen, this.#me);
      const answer = await inner.enqueue({ ...request, ...(claim && { claim: this.#ours(claim) }) });
      ledger.enqueued(request, answer);
      if (answer.kind !== "accepted" || answer.disposition !== "created") return answer;
      const { status } = answer;
      const tell = this.#shared.tell(status, this.#me, true);
      const wake = this.#shared.wake(status, this.#me, hungryHere || answer.claimed !== undefined);
      return { ...answer, tell, wake, ...(answer.claimed && { claimed: this.#claimed(answer.claimed) }) };
    });
  }

  claim(request: Parameters<Storage["claim"]>[0]): ReturnType<Storage["claim"]> {
    return this.#ask(async ({ inner, ledger }) => {
      const answer = await inner.claim(this.#ours(request));
      ledger.claimed(request, answer);
      return this.#handedOut(request, answer);
    });
  }

  extend(request: Parameters<Storage["extend"]>[0]): ReturnType<Storage["extend"]> {
    return this.#ask(async ({ inner, ledger }) => {
      const answers = await inner.extend(this.#ours(request));
      ledger.extended(request, answers);
      return answers.map((each) =>
        each.kind === "ok" ? { ...each, previousOwner: ownerOf(each.previousOwner) } : each,
      );
    });
  }

  settle(request: Parameters<Storage["settle"]>[0]): ReturnType<Storage["settle"]> {
    return this.#ask(async ({ inner, ledger }) => {
      const { claim, hungryHere } = request;
      const outcome = request.outcome.kind === "undelivered" ? this.#ours(request.outcome) : request.outcome;
      const answer = await inner.settle({ ...request, outcome, ...(claim && { claim: this.#ours(claim) }) });
      ledger.settled(request, answer);
      const { claimed } = answer;
      const next = claim && claimed && { claimed: this.#handedOut(claim, claimed) };
      return answer.kind === "lost" ? { ...answer, ...next } : { ...this.#changed(answer, hungryHere), ...next };
    });
  }

  progress(request: Parameters<Storage["progress"]>[0]): ReturnType<Storage["progress"]> {
    return this.#ask(async ({ inner }) => {
      const answer = await inner.progress(request);
      return answer.kind === "ok" ? { ...answer, tell: this.#shared.tell(answer.status, this.#me) } : answer;
    });
  }

  cancel(...request: Parameters<Storage["cancel"]>): ReturnType<Storage["cancel"]> {
    return this.#ask(async ({ inner }) => {
      const answer = await inner.cancel(...request);
      if (answer.kind !== "ok") return answer;
      return { ...this.#changed(answer, true), owner: ownerOf(answer.owner) };
    });
  }

  retry(...request: Parameters<Storage["retry"]>): ReturnType<Storage["retry"]> {
    return this.#ask(async ({ inner, ledger }) => {
      const answer = await inner.retry(...request);
      if (answer.kind !== "ok") return answer;
      ledger.count("retry");
      const { status } = answer;
      const tell = this.#shared.tell(status, this.#me, true);
      return { ...answer, tell, wake: this.#shared.wake(status, this.#me, request[1].hungryHere) };
    });
  }

  setResultTtl(...request: Parameters<Storage["setResultTtl"]>): ReturnType<Storage["setResultTtl"]> {
    return this.#ask(async ({ inner }) => {
      const answer = await inner.setResultTtl(...request);
      return answer && this.#changed(answer, true);
    });
  }

  read(key: JobKey, listen?: Listen): ReturnType<Storage["read"]> {
    return this.#ask(({ inner }) => {
      if (listen) this.#shared.listen(key, listen, this.#me);
      return inner.read(key);
    });
  }

  readMany(keys: readonly JobKey[]): ReturnType<Storage["readMany"]> {
    return this.#ask(({ inner }) => inner.readMany(keys));
  }

  tick(request: Parameters<Storage["tick"]>[0]): ReturnType<Storage["tick"]> {
    return this.#ask(async ({ inner, ledger }) => {
      const answer = await inner.tick(request);
      ledger.ticked(request, answer);
      return { ...answer, changed: answer.changed.map((changed) => this.#changed(changed, request.hungryHere)) };
    });
  }

  queues(cursor?: string): ReturnType<Storage["queues"]> {
    return this.#ask(({ inner }) => inner.queues(cursor));
  }
  count(queue: string): ReturnType<Storage["count"]> {
    return this.#ask(({ inner }) => inner.count(queue));
  }
  list(request: Parameters<Storage["list"]>[0]): ReturnType<Storage["list"]> {
    return this.#ask(({ inner }) => inner.list(request));
  }

  pause(queue: string, paused: boolean): ReturnType<Storage["pause"]> {
    return this.#ask(async ({ inner }) => {
      await inner.pause(queue, paused);
      return { wake: paused ? [] : this.#shared.sated(queue).filter((broker) => broker !== this.#me) };
    });
  }

  announce(attached: Attached, validMs: number): Promise<void> {
    return this.#ask(async () => this.#shared.announce(this.#me, attached, validMs));
  }
  announced(): Promise<Map<string, Attached>> {
    return this.#ask(async () => this.#shared.announced());
  }

  addService(service: Service): ReturnType<Storage["addService"]> {
    return this.#ask(({ inner }) => inner.addService(service));
  }

  service(name: string): ReturnType<Storage["service"]> {
    return this.#ask(({ inner }) => inner.service(name));
  }

  services(): Promise<string[]> {
    return this.#ask(({ inner }) => inner.services());
  }

  forgetService(name: string): Promise<void> {
    return this.#ask(({ inner }) => inner.forgetService(name));
  }

  hint(broker: string, hint: Hint): void {
    this.#shared.post(broker, hint);
  }

  onHint(listener: (hint: Hint) => void): () => void {
    this.#onHint.add(listener);
    return () => void this.#onHint.delete(listener);
  }

  hinted(hint: Hint, lateMs: number): void {
    this.#shared.time.after(this.#shared.random.between(0.1, 2) + lateMs, () =>
      this.#process.run(() => {
        for (const listener of this.#onHint) listener(hint);
      }),
    );
  }

  survey(): ReturnType<Storage["survey"]> {
    return this.#ask(({ inner }) => inner.survey());
  }
  inspect(queue: string): ReturnType<Storage["inspect"]> {
    return this.#ask(({ inner }) => inner.inspect(queue));
  }

  async close(): Promise<void> {}

  #changed<T extends Changed>(changed: T, hungryHere: boolean): T {
    const tell = this.#shared.tell(changed.status, this.#me);
    return { ...changed, tell, wake: this.#shared.wake(changed.status, this.#me, hungryHere) };
  }

  /** Jobs for a stream of this broker; with less than it asked for, the broker is hungry. */
  #handedOut({ queue, max }: Claim, answer: ClaimAnswer): ClaimAnswer {
    if (answer.jobs.length < max) this.#shared.hungry(queue, this.#me);
    const jobs = answer.jobs.map((job) => this.#claimed(job));
    return { ...answer, jobs, changed: answer.changed.map((changed) => this.#changed(changed, false)) };
  }

  #claimed(job: Claimed): Claimed {
    return { ...job, tell: this.#shared.tell(job.status, this.#me) };
  }

  /** Streams of all brokers are the storage's as if there were one broker. */
  #ours<T extends { lane: string }>(request: T): T {
    return { ...request, lane: `${this.#me}${request.lane}` };
  }

  /** Sends a verb and waits for its answer, with what can go wrong on either way. */
  #ask<T>(verb: (shared: SharedStorage) => Promise<T>): Promise<T> {
    const { time, random, ledger } = this.#shared;
    const fault = this.#shared.verbFault();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (accepted: "no" | "unknown") => reject(new StorageUnavailable("the simulated storage", accepted));
    const timer = this.#process.after(COMMAND_TIMEOUT_MS, () => fail("unknown"));
    const run = (delayMs: number, answer?: (value: T) => void) =>
      time.after(delayMs, () => void verb(this.#shared).then(answer, () => fail("no")));
    const answer = (value: T) =>
      time.after(random.between(0.05, 1), () =>
        this.#process.run(() => {
          timer.cancel();
          resolve(value);
        }),
      );
    if (fault) ledger.count(`verb ${fault}`);
    switch (fault) {
      case "not-done":
        this.#process.after(random.between(0, 100), () => fail(random.chance(0.5) ? "no" : "unknown"));
        break;
      case "reply-lost":
        run(this.#delayMs());
        this.#process.after(random.between(2, 100), () => fail("unknown"));
        break;
      case "late":
        this.#process.after(random.between(0, 100), () => fail("unknown"));
        run(random.between(100, 4_000));
        break;
      case "twice":
        run(this.#delayMs());
        run(this.#delayMs() + random.between(0, 50), answer);
        break;
      default:
        run(this.#delayMs(), answer);
    }
    return promise;
  }

  #delayMs(): number {
    const { time, random, stalledUntil } = this.#shared;
    this.#lastAt = Math.max(time.now + random.between(0.05, 1), stalledUntil, this.#lastAt);
    return this.#lastAt - time.now;
  }
}

/** "memory.<broker><lane>" → "<broker>.<lane>" */
function ownerOf(owner: string): string {
  const name = owner.slice(owner.indexOf(".") + 1);
  return owner === "" ? "" : `${name.slice(0, BROKER_ID_LENGTH)}.${name.slice(BROKER_ID_LENGTH)}`;
}
