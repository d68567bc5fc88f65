/**
 * What is to happen in one simulated history: plain data, made of a seed, so
 * that a history can be made shorter by leaving steps out. Adding a fault is
 * adding a kind of step here, its chance below, and its doing in world.ts.
 */
import type { BrokerSettings } from "../../server/settings.ts";
import type { Operation } from "../history/events.ts";
import type { Direction } from "./network.ts";
import { Random } from "./random.ts";
import type { HintFault, VerbFault } from "./storage.ts";

/** What the handler of a job does with it. */
export interface Behaviour {
  /** How long it takes. Milliseconds. */
  runMs: number;
  then: "complete" | "fail" | "fail-for-good" | "release" | "kill-worker" | "until-stopped";
  /** From this start of it on it completes, whatever the rest says. */
  completeFrom?: number;
  /** It goes on for this long after it was told to stop. */
  deafMs?: number;
}

/** The payload of a job. */
export interface Task extends Behaviour {
  call: string;
}

export interface CallStep {
  do: "call";
  caller: string;
  call: string;
  operation: Operation;
  queue: string;
  job: string;
  timeoutMs: number;
  task?: Task;
  options?: {
    onDuplicate?: "join" | "reject" | "rerun-if-failed" | "rerun-if-finished";
    priority?: number;
    delay?: number;
    maxAttempts?: number;
    runTimeout?: number;
    startTimeout?: number;
    resultTtl?: number;
    cancelOnAbort?: boolean;
  };
  /** The caller gives up after this long. */
  abortMs?: number;
  /** By the generated client, without the library's retries and timers. */
  raw?: true;
}

/** One kind of step for each word, each with the fields of `More`. */
type Each<Kind extends string, More> = Kind extends string ? { do: Kind } & More : never;

export type FaultStep =
  | Each<"kill-broker" | "kill-worker", { who: string; forMs: number; silent: boolean }>
  | Each<
      "drain-broker" | "drain-worker" | "stop-broker" | "stop-worker" | "pause-worker",
      { who: string; forMs: number }
    >
  | { do: "kill-caller"; who: string }
  | { do: "cut"; who: string }
  | { do: "stall"; who: string; direction: Direction; forMs: number }
  /** Each message takes up to `mostMs`. Harmless: it is less than anybody waits for. */
  | { do: "slow"; forMs: number; mostMs: number; harmless?: true }
  | { do: "verbs"; fault: VerbFault; rate: number; forMs: number }
  | { do: "stall-storage"; forMs: number }
  | { do: "hints"; fault: HintFault; rate: number; forMs: number }
  | { do: "pause-queue"; queue: string; forMs: number };

export type Step = { at: number } & (CallStep | FaultStep);

export interface WorkerPlan {
  name: string;
  queues: string[];
  concurrency: number;
  window: number;
  drainTimeoutMs: number;
}

export interface CallerPlan {
  name: string;
  mode: "multiplex" | "unary";
}

export interface Plan {
  seed: number;
  brokers: string[];
  workers: WorkerPlan[];
  callers: CallerPlan[];
  queues: string[];
  settings: Partial<BrokerSettings>;
  steps: Step[];
  /** When everything works again. */
  healAt: number;
}

/** How long things go wrong. Milliseconds. */
const TROUBLE_MS = 30_000;

export function planOf(seed: number): Plan {
  const random = new Random(seed);
  const brokers = ["b1", "b2", "b3"].slice(0, random.int(2, 3));
  const queues = ["q1", "q2"].slice(0, random.int(1, 2));
  const workers = ["w1", "w2", "w3"].slice(0, random.int(2, 3)).map((name) => workerPlan(name, queues, random));
  const callers = ["c1", "c2"].map((name): CallerPlan => ({ name, mode: random.pick(["multiplex", "unary"]) }));
  const plan: Plan = {
    seed,
    brokers,
    queues,
    workers,
    callers,
    settings: settingsOf(random),
    steps: [],
    healAt: TROUBLE_MS + random.between(0, 5_000),
  };
  const calls = random.int(15, 40);
  for (let i = 0; i < calls; i++) plan.steps.push(callStep(plan, i, random));
  // Some histories have nothing but faults that nobody may notice.
  const make = random.chance(0.25) ? harmlessStep : faultStep;
  const faults = random.int(0, 8);
  for (let i = 0; i < faults; i++) plan.steps.push({ at: random.between(0, TROUBLE_MS), ...make(plan, random) });
  plan.steps.sort((a, b) => a.at - b.at);
  return plan;
}

function settingsOf(random: Random): Partial<BrokerSettings> {
  const leaseMs = random.pick([3_000, 6_000, 10_000]);
  return {
    leaseMs,
    reconnectGraceMs: random.pick([500, 1_500]),
    pingIntervalMs: random.pick([leaseMs / 2, 5_000]),
    drainTimeoutMs: random.pick([2_000, 5_000]),
    maxStreamAgeMs: random.pick([10_000, 30 * 60_000, 30 * 60_000]),
    maxQueueLength: random.pick([4, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]),
  };
}

function workerPlan(name: string, queues: string[], random: Random): WorkerPlan {
  const concurrency = random.int(1, 4);
  return {
    name,
    queues: name === "w1" || random.chance(0.7) ? queues : [random.pick(queues)],
    concurrency,
    window: concurrency + random.pick([0, 0, 2]),
    drainTimeoutMs: random.pick([200, 2_000]),
  };
}

/** Few ids, so that calls meet. */
function callStep(plan: Plan, i: number, random: Random): Step {
  const enqueues = i < 4 || random.chance(0.65);
  const operation = enqueues
    ? random.pick(["enqueue", "enqueue-and-wait", "enqueue-and-wait"] as const)
    : other(random);
  const call = `k${i}`;
  const step: Step = {
    at: random.between(0, TROUBLE_MS),
    do: "call",
    caller: random.pick(plan.callers).name,
    call,
    operation,
    queue: random.pick(plan.queues),
    job: `j${random.int(1, 12)}`,
    timeoutMs: random.pick([0, 300, 2_000, 10_000, 10_000, 30_000]),
  };
  if (operation === "enqueue") step.timeoutMs = random.pick([2_000, 10_000]);
  if (enqueues) Object.assign(step, { task: { call, ...behaviour(random) }, options: options(random) });
  if (random.chance(0.06)) step.abortMs = random.between(0, 3_000);
  if (operation === "wait" && random.chance(0.4)) step.raw = true;
  return step;
}

function other(random: Random): Operation {
  return random.pick(["wait", "wait", "get", "watch", "watch", "cancel", "retry", "update-ttl"]);
}

function behaviour(random: Random): Behaviour {
  const runMs = random.pick([0, 5, 50, 400, 2_000, 6_000]) * random.between(0.5, 1.5);
  const then = random.chance(0.6)
    ? "complete"
    : random.pick(["fail", "fail", "fail-for-good", "release", "kill-worker", "until-stopped"] as const);
  return {
    runMs,
    then,
    ...(then !== "complete" && random.chance(then === "release" ? 1 : 0.6) && { completeFrom: random.int(1, 3) }),
    ...(random.chance(0.2) && { deafMs: random.between(0, 8_000) }),
  };
}

function options(random: Random): CallStep["options"] {
  return {
    ...(random.chance(0.4) && {
      onDuplicate: random.pick(["reject", "rerun-if-failed", "rerun-if-finished"] as const),
    }),
    ...(random.chance(0.3) && { priority: random.int(-5, 5) }),
    ...(random.chance(0.2) && { delay: random.between(1, 5_000) }),
    ...(random.chance(0.5) && { maxAttempts: random.int(1, 8) }),
    ...(random.chance(0.2) && { runTimeout: random.between(100, 5_000) }),
    ...(random.chance(0.1) && { startTimeout: random.between(6_000, 10_000) }),
    ...(random.chance(0.15) && { resultTtl: random.between(1_000, 5_000) }),
  };
}

function harmlessStep(plan: Plan, random: Random): FaultStep {
  const forMs = random.between(10, 5_000);
  return random.pick<() => FaultStep>([
    () => ({ do: "drain-broker", who: random.pick(plan.brokers), forMs }),
    () => ({ do: "drain-worker", who: random.pick(plan.workers).name, forMs }),
    () => ({ do: "pause-worker", who: random.pick(plan.workers).name, forMs }),
    () => ({ do: "slow", forMs, mostMs: 50, harmless: true }),
    () => ({ do: "verbs", fault: "twice", rate: random.pick([0.1, 1]), forMs }),
    () => ({ do: "hints", fault: random.pick(["lost", "doubled", "late"]), rate: random.pick([0.3, 1]), forMs }),
    () => ({ do: "pause-queue", queue: random.pick(plan.queues), forMs }),
  ])();
}

function faultStep(plan: Plan, random: Random): FaultStep {
  const lease = plan.settings.leaseMs ?? 0;
  const forMs = random.pick([
    random.between(10, 1_000),
    random.between(1_000, lease),
    random.between(lease, 2.5 * lease),
  ]);
  const broker = random.pick(plan.brokers);
  const worker = random.pick(plan.workers).name;
  const process = random.pick([...plan.workers, ...plan.callers]).name;
  const silent = random.chance(0.2);
  const rate = random.pick([0.05, 0.3, 1]);
  return random.pick<() => FaultStep>([
    () => ({ do: "kill-broker", who: broker, forMs, silent }),
    () => ({ do: "drain-broker", who: broker, forMs }),
    () => ({ do: "drain-broker", who: broker, forMs }),
    () => ({ do: "stop-broker", who: broker, forMs }),
    () => ({ do: "kill-worker", who: worker, forMs, silent }),
    () => ({ do: "drain-worker", who: worker, forMs }),
    () => ({ do: "stop-worker", who: worker, forMs }),
    () => ({ do: "stop-worker", who: worker, forMs }),
    () => ({ do: "pause-worker", who: worker, forMs }),
    () => ({ do: "kill-caller", who: random.pick(plan.callers).name }),
    () => ({ do: "cut", who: process }),
    () => ({ do: "cut", who: worker }),
    () => ({ do: "stall", who: process, direction: random.pick(["up", "down", "both"]), forMs }),
    () => ({ do: "slow", forMs, mostMs: 500 }),
    () => ({
      do: "verbs",
      fault: random.pick(["not-done", "reply-lost", "late", "twice"]),
      rate,
      forMs: Math.min(forMs, 6_000),
    }),
    () => ({ do: "verbs", fault: random.pick(["reply-lost", "twice"]), rate, forMs: Math.min(forMs, 6_000) }),
    () => ({ do: "stall-storage", forMs }),
    () => ({ do: "hints", fault: random.pick(["lost", "lost", "doubled", "late"]), rate, forMs }),
    () => ({ do: "pause-queue", queue: random.pick(plan.queues), forMs }),
  ])();
}
