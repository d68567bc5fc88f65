/** A storage whose verbs are timed. The composition root puts it around the real one where somebody may scrape. */
import { performance } from "node:perf_hooks";
import type { JobKey, JobState } from "../job/job.ts";
import type {
  Attached,
  Claim,
  Enqueue,
  Extend,
  Hint,
  List,
  Listen,
  ReportProgress,
  Service,
  Settle,
  Storage,
  Tick,
} from "../storage/storage.ts";

/** Takes the measurements of one verb. */
export interface VerbWatch {
  seconds: { observe(seconds: number): void };
  errors: { inc(): void };
}

export interface StorageWatch {
  /** Asked once for each verb. */
  verb(name: string): VerbWatch;
}

export class TimedStorage implements Storage {
  readonly #storage: Storage;
  readonly #verbs: Record<(typeof verbs)[number], VerbWatch>;

  constructor(storage: Storage, watch: StorageWatch) {
    this.#storage = storage;
    const watches = verbs.map((name) => [name, watch.verb(name)]);
    this.#verbs = Object.fromEntries(watches) as Record<(typeof verbs)[number], VerbWatch>;
  }

  get info() {
    return this.#storage.info;
  }
  get ready() {
    return this.#storage.ready;
  }
  onReady(listener: (ready: boolean) => void) {
    return this.#storage.onReady(listener);
  }
  enqueue(request: Enqueue) {
    return timed(this.#verbs.enqueue, this.#storage.enqueue(request));
  }
  claim(request: Claim) {
    return timed(this.#verbs.claim, this.#storage.claim(request));
  }
  extend(request: Extend) {
    return timed(this.#verbs.extend, this.#storage.extend(request));
  }
  settle(request: Settle) {
    return timed(this.#verbs.settle, this.#storage.settle(request));
  }
  progress(request: ReportProgress) {
    return timed(this.#verbs.progress, this.#storage.progress(request));
  }
  cancel(key: JobKey, request?: { onlyIn?: JobState }) {
    return timed(this.#verbs.cancel, this.#storage.cancel(key, request));
  }
  retry(key: JobKey, request: { hungryHere: boolean; onlyIn?: JobState }) {
    return timed(this.#verbs.retry, this.#storage.retry(key, request));
  }
  setResultTtl(key: JobKey, resultTtlMs: number) {
    return timed(this.#verbs.setResultTtl, this.#storage.setResultTtl(key, resultTtlMs));
  }
  read(key: JobKey, listen?: Listen) {
    return timed(this.#verbs.read, this.#storage.read(key, listen));
  }
  readMany(keys: readonly JobKey[]) {
    return timed(this.#verbs.readMany, this.#storage.readMany(keys));
  }
  tick(request: Tick) {
    return timed(this.#verbs.tick, this.#storage.tick(request));
  }
  queues(cursor?: string) {
    return timed(this.#verbs.queues, this.#storage.queues(cursor));
  }
  count(queue: string) {
    return timed(this.#verbs.count, this.#storage.count(queue));
  }
  list(request: List) {
    return timed(this.#verbs.list, this.#storage.list(request));
  }
  pause(queue: string, paused: boolean) {
    return timed(this.#verbs.pause, this.#storage.pause(queue, paused));
  }
  announce(attached: Attached, validMs: number) {
    return timed(this.#verbs.announce, this.#storage.announce(attached, validMs));
  }
  announced() {
    return timed(this.#verbs.announced, this.#storage.announced());
  }
  addService(service: Service) {
    return timed(this.#verbs.addService, this.#storage.addService(service));
  }
  service(name: string) {
    return timed(this.#verbs.service, this.#storage.service(name));
  }
  services() {
    return timed(this.#verbs.services, this.#storage.services());
  }
  forgetService(name: string) {
    return timed(this.#verbs.forgetService, this.#storage.forgetService(name));
  }
  hint(broker: string, hint: Hint) {
    this.#storage.hint(broker, hint);
  }
  onHint(listener: (hint: Hint) => void) {
    return this.#storage.onHint(listener);
  }
  survey() {
    return this.#storage.survey();
  }
  inspect(queue: string) {
    return this.#storage.inspect(queue);
  }
  close() {
    return this.#storage.close();
  }
}

/** Those that answer a promise and are called in operation. */
const verbs = [
  "enqueue",
  "claim",
  "extend",
  "settle",
  "progress",
  "cancel",
  "retry",
  "setResultTtl",
  "read",
  "readMany",
  "tick",
  "queues",
  "count",
  "list",
  "pause",
  "announce",
  "announced",
  "addService",
  "service",
  "services",
  "forgetService",
] as const satisfies (keyof Storage)[];

/** Real time, whatever the broker's clock says: it is the machine that is measured. */
function timed<T>(watch: VerbWatch, answer: Promise<T>): Promise<T> {
  const began = performance.now();
  const seen = () => watch.seconds.observe((performance.now() - began) / 1_000);
  answer.then(seen, () => {
    watch.errors.inc();
    seen();
  });
  return answer;
}
