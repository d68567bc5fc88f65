/** How it goes with more of something: bench:full. */
import type { Contender } from "../rounds.ts";
import { type Shape, waiting } from "../systems/queuecall.ts";
import type { Scenario } from "./scenario.ts";

const redis = { storage: "redis" } as const;
const number = new Intl.NumberFormat("en-US");

export const growth: Scenario[] = [
  grown("backlog", "jobs in line, of lower priority", [0, 1_000, 10_000, 100_000, 1_000_000], (backlog) => ({
    backlog,
    concurrency: 16,
    priority: 10,
  })),
  grown("queues", "queues", [1, 10, 100, 1_000, 10_000], (queues) => ({ queues })),
  grown("workers", "worker streams with one handler each", [1, 10, 100, 1_000], (workers) => ({
    workers,
    concurrency: 1,
  })),
  grown("payload", "bytes of payload", [100, 1_000, 10_000, 100_000, 1_000_000], (bytes) => ({ bytes })),
];

function grown(name: string, title: string, counts: number[], shapeOf: (count: number) => Partial<Shape>): Scenario {
  const contenders: Record<string, Contender> = {};
  for (const count of counts) contenders[number.format(count)] = waiting({ ...redis, ...shapeOf(count) }, 64);
  const [first = 0, last = 0] = [counts[0], counts.at(-1)];
  return {
    name: `growth-${name}`,
    title: `growth: ${title}`,
    how: "enqueue and wait, 64 calls in flight",
    contenders,
    figures: ["rate", "p50", "p99"],
    ratios: [{ figure: "rate", of: number.format(last), over: number.format(first) }],
  };
}
