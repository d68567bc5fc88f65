/** What callers ask for and what workers make of it: made from a seed alone. */
import type { EnqueueAndWaitOptions } from "../../client/index.ts";

export const queues = ["hot", "calm"] as const;
export type QueueName = (typeof queues)[number];

/** The payload of every job. */
export interface Request {
  /** The call that brought it. */
  call: string;
  /** How long the handler takes. */
  ms: number;
  /** Attempts that fail, the first ones. */
  failures: number;
  /** A failure is not to be tried again. */
  forGood: boolean;
  pad: string;
}

export interface Answer {
  /** No other attempt says the same. */
  text: string;
  pad: string;
}

/** What a caller process is started with. */
export interface CallerOrders {
  name: string;
  urls: string[];
  mode: "multiplex" | "unary";
  history: string;
  seed: number;
  /** Activities at one time, and the pause behind each. */
  loops: number;
  restMs: number;
}

export interface WorkerOrders {
  name: string;
  urls: string[];
  history: string;
  concurrency: number;
}

/** One thing that a caller does, from its first call to its last. */
export interface Activity {
  kind: "call" | "impatient" | "shared" | "later" | "delayed" | "watched" | "cancelled" | "rerun";
  queue: QueueName;
  work: Omit<Request, "call">;
  options: EnqueueAndWaitOptions;
  /** When it does the second of two things. */
  afterMs: number;
}

/** Longer than any fault lasts, with what it takes to get over it: such a call does not fail. */
export const PATIENT_MS = 30_000;

const weights: readonly [Activity["kind"], number][] = [
  ["call", 60],
  ["impatient", 8],
  ["shared", 8],
  ["later", 8],
  ["delayed", 4],
  ["watched", 6],
  ["cancelled", 3],
  ["rerun", 3],
];
const total = weights.reduce((sum, [, weight]) => sum + weight, 0);

function kindAt(at: number): Activity["kind"] {
  let passed = 0;
  for (const [kind, weight] of weights) {
    passed += weight;
    if (at < passed) return kind;
  }
  return "call";
}

export function activityOf(random: () => number): Activity {
  const kind = kindAt(random() * total);
  const below = (n: number) => Math.floor(random() * n);
  const rare = (part: number) => random() < part;
  // Some outlive their lease, so that it has to be renewed through the faults.
  const ms = rare(0.04) ? 1_000 + below(3_000) : below(30);
  const forGood = rare(0.03);
  const failures = forGood || rare(0.06) ? 1 : 0;
  return {
    kind,
    queue: rare(0.7) ? "hot" : "calm",
    work: { ms, failures, forGood, pad: rare(0.02) ? "x".repeat(below(20_000)) : "" },
    options: {
      timeout: kind === "impatient" ? below(1_500) : PATIENT_MS,
      // Lost leases count: with fewer a row of faults would use them up.
      maxAttempts: 100,
      backoff: { initial: 50, max: 500 },
      ...(kind === "delayed" && { delay: below(2_000) }),
      ...(kind === "rerun" && { onDuplicate: "rerun-if-finished" as const }),
    },
    afterMs: below(500),
  };
}
