/** Runs a plan from its first step to the drain, and judges what came of it. */
import { createHash } from "node:crypto";
import { isTerminal } from "../../server/job/job.ts";
import { findingsIn } from "../../server/storage/fsck.ts";
import type { InspectedJob, Inspection } from "../../server/storage/storage.ts";
import { wordsOf } from "../history/answers.ts";
import { check, explain, type Limits } from "../history/check.ts";
import { type Event, format, type Outcome, type Sight } from "../history/events.ts";
import type { Plan } from "./plan.ts";
import { World } from "./world.ts";

/** How long everything may take to come to an end once all works again. */
const DRAIN_MS = 180_000;
const LOOK_MS = 1_000;

export interface Result {
  plan: Plan;
  events: Event[];
  /** In words; empty where every promise was kept. */
  failures: string[];
  /** How often each thing happened. */
  counts: ReadonlyMap<string, number>;
  /** Of the history: the same for the same plan. */
  hash: string;
}

export function limitsOf({ settings, brokers }: Plan): Limits {
  const leaseMs = settings.leaseMs ?? 30_000;
  return { leaseMs, toleranceMs: 0, lateMs: 250, sweepMs: 6_000, brokers: brokers.length };
}

export async function run(plan: Plan): Promise<Result> {
  const world = await World.open(plan);
  for (const step of plan.steps) {
    await world.time.advance(step.at - world.time.now);
    world.step(step);
  }
  await world.time.advance(plan.healAt - world.time.now);
  world.heal();
  const { inspections, idle } = await drained(world, plan);
  for (const [queue, inspection] of inspections) record(world, queue, inspection);
  world.events.push({ at: world.time.now, by: "storage", kind: "final" });
  const unsound = [...inspections.values()].flatMap(findingsIn).map((finding) => `fsck: ${JSON.stringify(finding)}`);
  await world.close();
  const { events, bugs, ledger } = world;
  const violations = check(events, limitsOf(plan)).map((each) => explain(each));
  const stuck = idle ? [] : [`not all had come to an end ${DRAIN_MS} ms after everything was healed`];
  return {
    ...{ plan, events, counts: ledger.counts },
    failures: [...violations, ...unsound, ...bugs, ...stuck],
    hash: createHash("sha256").update(format(events)).digest("hex"),
  };
}

/** Waits until every call has returned and every job has ended. */
async function drained(world: World, plan: Plan): Promise<{ inspections: Map<string, Inspection>; idle: boolean }> {
  const end = world.time.now + DRAIN_MS;
  for (;;) {
    await world.time.advance(LOOK_MS);
    const inspections = await inspect(world, plan.queues);
    const busy = [...inspections.values()].some(({ jobs }) => jobs.some(({ record }) => !isTerminal(record.state)));
    const idle = !busy && world.open === 0;
    if (idle || world.time.now >= end) return { inspections, idle };
  }
}

async function inspect({ storage, time }: World, queues: string[]): Promise<Map<string, Inspection>> {
  const inspections = new Map<string, Inspection>();
  for (const queue of queues)
    void storage.inner.inspect(queue).then((inspection) => inspections.set(queue, inspection));
  await time.advance(1);
  return inspections;
}

function record({ events, time }: World, queue: string, { jobs }: Inspection): void {
  for (const job of jobs) {
    const sight = sightOf(job);
    events.push({ at: time.now, by: "storage", kind: "final", queue, job: job.record.jobId, sight });
  }
}

function sightOf({ record, result }: InspectedJob): Sight {
  const { state, version, failureKind, failureDetail } = record;
  if (!isTerminal(state)) return { state, version };
  const outcome: Outcome = { state, ...wordsOf(failureKind, failureDetail?.status.message ?? "") };
  if (result) outcome.text = JSON.parse(Buffer.from(result.data).toString());
  if (failureKind !== "") outcome.failure = failureKind.replaceAll("_", "-");
  return { state, version, outcome };
}
