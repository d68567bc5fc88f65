/**
 * The metrics of a broker, for Prometheus: docs/observability.md says what each
 * means. Events come in through the broker's Observer and are added up at once
 * (tally.ts); everything that has a state now is read when somebody scrapes, and
 * costs nothing until then.
 */
import { collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Clock } from "../../protocol/clock.ts";
import type { Reason } from "../../protocol/errors.ts";
import type { AttemptEnd, LeaseLoss, Observer } from "../broker/observer.ts";
import type { Disposition, FailureKind, JobStatus, QueueLimits } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";
import type { QueueCounts, StorageInfo } from "../storage/storage.ts";
import { PerQueue } from "./queue-labels.ts";
import { Distributions, Tallies, type Tally } from "./tally.ts";
import type { StorageWatch } from "./timed-storage.ts";

/** What is read at a scrape. */
export interface Gauged {
  readonly version: string;
  readonly storage: StorageInfo;
  readonly storageReady: boolean;
  readonly draining: boolean;
  readonly settings: BrokerSettings;
  /** Calls and streams under way. */
  readonly calls: number;
  /** Streams of multiplexed calls. */
  readonly exchanges: number;
  readonly waiting: number;
  readonly sessions: number;
  /** Enqueues that wait for the storage, and bytes of their payloads. */
  readonly intake: { count: number; bytes: number };
  /** What peers have not read. */
  readonly unreadBytes: number;
  readonly load: { window: number; outstanding: number };
  depths(): Iterable<[queue: string, queued: number]>;
  /** What a queue has now; asks the storage. */
  count(queue: string): Promise<QueueCounts>;
  limitsOf(queue: string): QueueLimits;
}

/** Seconds: from what memory takes to what an operator worries about. */
const STORAGE_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
/** Seconds: jobs take from a millisecond to an hour. */
const JOB_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

/** As the format spells it; prom-client says "Nan". */
const NOT_A_NUMBER = " NaN";

/** How a job ended: a failure by its kind. */
type JobEnd = "succeeded" | "cancelled" | `failed_${FailureKind}`;

export interface Metrics {
  readonly observer: Observer;
  readonly storageWatch: StorageWatch;
  readonly contentType: string;
  /** Prometheus text. */
  text(): Promise<string>;
  /** Where the gauges are read from: once, when there is a broker. */
  read(gauged: Gauged): void;
}

export function createMetrics(clock: Clock): Metrics {
  const registry = new Registry();
  const gauges = addGauges(registry);
  return {
    observer: countingObserver(registry, clock),
    storageWatch: storageWatch(registry),
    contentType: registry.contentType,
    text: async () => {
      await gauges.collectQueues();
      return (await Registry.merge([registry, processMetrics()]).metrics()).replaceAll(/ Nan$/gm, NOT_A_NUMBER);
    },
    read: gauges.read,
  };
}

let ofProcess: Registry | undefined;

/** CPU, memory, event loop, garbage collection: of the process, however many brokers are in it. */
function processMetrics(): Registry {
  if (!ofProcess) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}

/** Counters of one label, each bound when it is first needed. */
class Counts<Value extends string> {
  readonly #bind: (value: Value) => Tally;
  readonly #bound = new Map<Value, Tally>();

  constructor(bind: (value: Value) => Tally) {
    this.#bind = bind;
  }

  add(value: Value): void {
    (this.#bound.get(value) ?? this.#first(value)).inc();
  }

  #first(value: Value): Tally {
    const tally = this.#bind(value);
    this.#bound.set(value, tally);
    return tally;
  }
}

function countingObserver(registry: Registry, clock: Clock): Observer {
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Tallies({ name: `queuecall_${name}`, help, labelNames, registry });
  const histogram = (name: string, help: string) =>
    new Distributions({ name: `queuecall_${name}`, help, labelNames: ["queue"], buckets: JOB_BUCKETS, registry });
  const accepted = counter("jobs_accepted_total", "Enqueues answered, by disposition", "queue", "disposition");
  const ended = counter("jobs_ended_total", "Jobs that ended, by outcome", "queue", "outcome");
  const started = counter("attempts_started_total", "Attempts claimed for a worker", "queue");
  const settled = counter("attempts_ended_total", "Attempts whose end was stored, by how they ended", "queue", "end");
  const lost = counter("leases_lost_total", "Leases that a worker's stream lost, by cause", "queue", "cause");
  const refusals = counter("refusals_total", "Calls and streams that the broker refused, by reason", "reason");
  const wait = histogram("job_wait_seconds", "From acceptance to the first start");
  const run = histogram("attempt_run_seconds", "From a delivery to its stored result, failure or cancellation");

  const queues = new PerQueue((queue) => ({
    accepted: new Counts<Disposition>((disposition) => accepted.labels({ queue, disposition })),
    ended: new Counts<JobEnd>((outcome) => ended.labels({ queue, outcome })),
    settled: new Counts<AttemptEnd>((end) => settled.labels({ queue, end })),
    lost: new Counts<LeaseLoss>((cause) => lost.labels({ queue, cause })),
    started: started.labels({ queue }),
    wait: wait.labels({ queue }),
    run: run.labels({ queue }),
  }));
  const refused = new Counts<Reason>((reason) => refusals.labels({ reason }));

  return {
    accepted: ({ queue }, disposition) => queues.of(queue).accepted.add(disposition),
    refused: (reason) => refused.add(reason),
    started({ queue }, waitedMs) {
      const series = queues.of(queue);
      series.started.inc();
      if (waitedMs !== undefined) series.wait.observe(waitedMs / 1_000);
    },
    settled({ queue, since }, end) {
      const series = queues.of(queue);
      series.settled.add(end);
      // What was handed back says nothing of how long the work takes.
      const ran = end === "completed" || end === "failed" || end === "cancelled";
      if (ran && since !== undefined) series.run.observe((clock.monotonic() - since) / 1_000);
    },
    ended: (status) => queues.of(status.queue).ended.add(endOf(status)),
    leaseLost: ({ queue }, why) => queues.of(queue).lost.add(why),
    sessionOpened() {},
    sessionClosed() {},
    serviceRefused: () => refused.add("STORE_FULL"),
  };
}

function endOf({ state, outcome }: JobStatus): JobEnd {
  if (state === "succeeded" || state === "cancelled") return state;
  return `failed_${outcome?.kind === "failure" ? outcome.failure.kind : "handler"}`;
}

function storageWatch(registry: Registry): StorageWatch {
  const labelNames = ["verb"] as const;
  const seconds = new Distributions({
    name: "queuecall_storage_seconds",
    help: "Time of a storage verb, failures included",
    labelNames,
    buckets: STORAGE_BUCKETS,
    registry,
  });
  const errors = new Tallies({
    name: "queuecall_storage_errors_total",
    help: "Storage verbs that were not confirmed",
    labelNames,
    registry,
  });
  return {
    verb: (verb) => ({ seconds: seconds.labels({ verb }), errors: errors.labels({ verb }) }),
  };
}

interface Gauges {
  /** Where they are read from. */
  read(gauged: Gauged): void;
  /** Before each scrape: one question to the storage serves all that is told of a queue. */
  collectQueues(): Promise<void>;
}

function addGauges(registry: Registry): Gauges {
  let gauged: Gauged | undefined;
  const gauge = (name: string, help: string, read: (from: Gauged) => number) => {
    const each: Gauge = new Gauge({
      name: `queuecall_${name}`,
      help,
      registers: [registry],
      collect() {
        if (gauged) each.set(read(gauged));
      },
    });
  };
  gauge("calls", "Calls and streams under way", ({ calls }) => calls);
  gauge("exchange_streams", "Streams of multiplexed calls", ({ exchanges }) => exchanges);
  gauge("waiting_calls", "Calls and watches that wait for a job", ({ waiting }) => waiting);
  gauge("waiting_calls_limit", "--max-waiters", ({ settings }) => settings.maxWaiters);
  gauge("worker_sessions", "Worker streams", ({ sessions }) => sessions);
  gauge("worker_sessions_limit", "--max-sessions", ({ settings }) => settings.maxSessions);
  gauge("exchange_streams_limit", "--max-exchanges", ({ settings }) => settings.maxExchanges);
  gauge("enqueues_under_way", "Enqueues that wait for the storage", ({ intake }) => intake.count);
  gauge("enqueues_under_way_limit", "--max-enqueues", ({ settings }) => settings.maxEnqueues);
  gauge("enqueue_bytes", "Bytes of payloads that wait for the storage", ({ intake }) => intake.bytes);
  gauge("enqueue_bytes_limit", "--max-enqueue-bytes", ({ settings }) => settings.maxEnqueueBytes);
  gauge("unread_bytes", "Bytes written that peers have not read", ({ unreadBytes }) => unreadBytes);
  gauge("unread_bytes_limit", "--max-unread-bytes", ({ settings }) => settings.maxUnreadBytes);
  gauge("worker_window", "Jobs that all workers here would hold at most", ({ load }) => load.window);
  gauge("worker_outstanding", "Jobs that workers here hold", ({ load }) => load.outstanding);
  gauge("storage_ready", "1 while the storage answers", ({ storageReady }) => Number(storageReady));
  gauge("draining", "1 while the broker drains", ({ draining }) => Number(draining));

  const ofQueue = (name: string, help: string) => {
    const each = new Gauge({ name: `queuecall_${name}`, help, labelNames: ["queue"], registers: [registry] });
    return { each, of: new PerQueue((queue) => each.labels({ queue })) };
  };
  const depth = ofQueue("queue_depth", "Jobs in line, as this broker's last tick of the queue saw them");
  const oldest = ofQueue("queue_oldest_seconds", "Age of the job that is first in line");
  const unfinished = ofQueue("queue_unfinished", "Jobs that wait or run, which a limit counts");
  const bytes = ofQueue("queue_bytes", "Bytes of the jobs that wait or run, which a limit counts");
  const mostJobs = ofQueue("queue_unfinished_limit", "max-length of the queue; absent where there is none");
  const mostBytes = ofQueue("queue_bytes_limit", "max-bytes of the queue; absent where there is none");
  const collectQueues = async () => {
    for (const { each } of [depth, oldest, unfinished, bytes, mostJobs, mostBytes]) each.reset();
    // Queues that share a label add up; of their ages and limits, the highest.
    for (const [queue, queued] of gauged?.depths() ?? []) depth.of.of(queue).inc(queued);
    const highest = new Map<object, number>();
    const atLeast = ({ of }: typeof depth, queue: string, value: number) => {
      const series = of.of(queue);
      highest.set(series, Math.max(highest.get(series) ?? 0, value));
      series.set(highest.get(series) as number);
    };
    for (const [queue, counts, limits] of await countsOf(gauged)) {
      const { scheduled, queued, running } = counts.jobs;
      if (counts.oldestWaitMs !== undefined) atLeast(oldest, queue, counts.oldestWaitMs / 1_000);
      unfinished.of.of(queue).inc(scheduled + queued + running);
      bytes.of.of(queue).inc(counts.bytes);
      if (Number.isFinite(limits.maxLength)) atLeast(mostJobs, queue, limits.maxLength);
      if (Number.isFinite(limits.maxBytes)) atLeast(mostBytes, queue, limits.maxBytes);
    }
  };

  const info = new Gauge({
    name: "queuecall_info",
    help: "1; what this broker is and stores in",
    labelNames: ["version", "storage", "storage_version", "durability"],
    registers: [registry],
    collect() {
      info.reset();
      if (!gauged) return;
      const { kind, version, durability } = gauged.storage;
      info.labels({ version: gauged.version, storage: kind, storage_version: version, durability }).set(1);
    },
  });
  return {
    read: (from) => {
      gauged = from;
    },
    collectQueues,
  };
}

/** A scrape asks the storage about this many queues at most, those in which jobs were last seen in line. */
const MAX_COUNTED = 1_000;
/** At one time. */
const COUNTED_AT_ONCE = 50;

async function countsOf(gauged: Gauged | undefined): Promise<[queue: string, QueueCounts, QueueLimits][]> {
  if (!gauged?.storageReady) return [];
  const waiting = [...gauged.depths()].filter(([, queued]) => queued > 0).slice(0, MAX_COUNTED);
  const counts: [string, QueueCounts, QueueLimits][] = [];
  for (let i = 0; i < waiting.length; i += COUNTED_AT_ONCE) {
    await Promise.all(
      waiting.slice(i, i + COUNTED_AT_ONCE).map(async ([queue]) => {
        // A storage that goes away meanwhile costs these figures, not the scrape.
        const found = await gauged.count(queue).catch(() => undefined);
        if (found) counts.push([queue, found, gauged.limitsOf(queue)]);
      }),
    );
  }
  return counts;
}
