/** Every (state, event) of the table in server/job/lifecycle.ts, allowed and forbidden, through the verbs. */
import { expect, test } from "vitest";
import type { JobSpec } from "../../../server/job/job.ts";
import { type JobEvent, type Place, transitions } from "../../../server/job/lifecycle.ts";
import type { Inspection, SettleOutcome } from "../../../server/storage/storage.ts";
import {
  type Brought,
  completed,
  failed,
  key,
  LEASE,
  onEveryBackend,
  type Rig,
  SECOND,
  undelivered,
  unique,
} from "./rig.ts";

const START_TIMEOUT = 20 * SECOND;
const RUN_TIMEOUT = 10 * SECOND;
const DELAY = 25 * SECOND;
const SHORT_TTL = 5 * SECOND;

/** How a job is made and brought to a place, beyond what the place says. */
interface Variant {
  name: string;
  spec?: Partial<JobSpec>;
  /** RUNNING: cancellation was asked for. */
  cancelRequested?: boolean;
  /** RUNNING: this many leases were lost before. */
  crashes?: number;
  /** For the event itself. */
  jitter?: number;
  retryable?: boolean;
  delayMs?: number;
}

const plain: Variant = { name: "plain" };
const asked: Variant = { name: "cancel requested", cancelRequested: true };
const lastTry: Variant = { name: "last attempt", spec: { maxAttempts: 1 } };
const noWait: Variant = { name: "back-off of 0", jitter: 0 };
const looping: Variant = { name: "fifth in a row", crashes: 4, spec: { maxAttempts: 20 } };
const delayed: Variant = { name: "with a delay", delayMs: DELAY };

/** The variants that lead to different places; every other event has the plain one. */
const variants: Partial<Record<JobEvent, Variant[]>> = {
  create: [plain, delayed],
  rerun: [plain, delayed],
  fail: [plain, noWait, lastTry, { name: "not retryable", retryable: false }, asked],
  complete: [plain, asked],
  release: [plain, asked],
  undelivered: [plain, asked, looping],
  stop: [plain, asked],
  lease_expired: [plain, lastTry, looping, asked],
  run_timeout: [plain, noWait, lastTry, asked],
};

const places = Object.keys(transitions) as Place[];
const events = [...new Set(places.flatMap((place) => Object.keys(transitions[place])))] as JobEvent[];

/** An enqueue of an absent id is a create, one of a cancelled id a rerun: these two pairs cannot be told apart by a verb. */
const sameVerb = new Set(["absent rerun", "cancelled create"]);

onEveryBackend("transitions", (rig) => {
  const reached = new Map<string, Set<Place>>();

  for (const place of places) {
    for (const event of events) {
      if (sameVerb.has(`${place} ${event}`)) continue;
      const allowed = transitions[place][event];
      for (const variant of place === "running" || allowed ? (variants[event] ?? [plain]) : [plain]) {
        test(`${place}, ${event}, ${variant.name}: ${allowed ? allowed.join(" or ") : "nothing changes"}`, async () => {
          const brought = await bring(rig, place, event, variant);
          await waitFor(rig, event);
          const before = await rig.inspect();
          await happen(rig, event, variant, brought);
          const after = await rig.inspect();
          const now = after.jobs[0]?.record.state ?? "absent";
          if (!allowed) return expect(withoutJoiners(after)).toEqual(withoutJoiners(before));
          expect(allowed).toContain(now);
          expect(after).not.toEqual(before);
          reached.set(`${place} ${event}`, (reached.get(`${place} ${event}`) ?? new Set()).add(now));
          const [from, to] = [before.jobs[0]?.record, after.jobs[0]?.record];
          const invisible = event === "extend";
          if (from && to) {
            if (invisible) expect(to.version).toBe(from.version);
            else expect(to.version).toBeGreaterThan(from.version);
            expect(to.fence).toBeGreaterThanOrEqual(from.fence);
          }
        });
      }
    }
  }

  test("every place of the table was reached", () => {
    const table = places.flatMap((place) =>
      Object.entries(transitions[place]).map(([event, to]) => [`${place} ${event}`, [...to].sort()]),
    );
    const found = table.map(([step]) => [step, [...(reached.get(step as string) ?? [])].sort()]);
    expect(found).toEqual(table);
  });
});

async function bring(rig: Rig, place: Place, event: JobEvent, variant: Variant): Promise<Brought> {
  if (place === "absent") return {} as Brought;
  const spec: Partial<JobSpec> = {
    ...(event === "start_timeout" && { startTimeoutMs: START_TIMEOUT }),
    ...(event === "run_timeout" && { runTimeoutMs: RUN_TIMEOUT }),
    ...(event === "expire" && { resultTtlMs: SHORT_TTL }),
    ...(place === "scheduled" && { delayMs: event === "due" ? DELAY : 2 * LEASE }),
    ...variant.spec,
  };
  let brought = await rig.bring("a", place, spec);
  for (let n = 0; n < (variant.crashes ?? 0); n++) {
    await rig.advance(LEASE);
    brought = { ...brought, job: await rig.claimOne() };
  }
  if (place === "running" && variant.cancelRequested) await rig.storage.cancel(key("a"));
  return brought;
}

/** Events that time brings. */
async function waitFor(rig: Rig, event: JobEvent): Promise<void> {
  const waits: Partial<Record<JobEvent, number>> = {
    due: DELAY,
    start_timeout: START_TIMEOUT,
    lease_expired: LEASE,
    run_timeout: RUN_TIMEOUT,
    expire: SHORT_TTL,
  };
  const ms = waits[event];
  if (ms !== undefined) await rig.advance(ms);
}

/** What waitFor made due is done by a tick; where the event does not concern the place, the tick has nothing to do. */
async function happen(rig: Rig, event: JobEvent, variant: Variant, { job }: Brought): Promise<void> {
  const { storage } = rig;
  const { jitter = 0.5, retryable = true, delayMs = 0 } = variant;
  const leaseToken = job?.leaseToken ?? unique();
  const lease = { ...key("a"), leaseToken };
  const settle = (outcome: SettleOutcome) => storage.settle({ ...lease, outcome, jitter, hungryHere: false });
  switch (event) {
    case "create":
      return void (await rig.tryEnqueue("a", { delayMs }));
    case "rerun":
      return void (await rig.tryEnqueue("a", { delayMs, onDuplicate: "rerun_if_finished" }));
    case "claim":
      return void (await rig.claim());
    case "complete":
      return void (await settle(completed()));
    case "fail":
      return void (await settle(failed({ retryable })));
    case "release":
      return void (await settle({ kind: "released" }));
    case "undelivered":
      return void (await settle(undelivered()));
    case "stop":
      return void (await settle({ kind: "cancelled" }));
    case "extend":
      return void (await storage.extend({
        queue: "q",
        items: [lease],
        mode: "renew",
        lane: "l1",
        leaseMs: 2 * LEASE,
      }));
    case "progress":
      return void (await storage.progress({ ...lease, progress: { current: 1, total: 2, message: "half" } }));
    case "cancel":
      return void (await storage.cancel(key("a")));
    case "retry":
      return void (await storage.retry(key("a"), { hungryHere: false }));
    case "set_ttl":
      return void (await storage.setResultTtl(key("a"), 50 * SECOND));
    case "due":
    case "start_timeout":
    case "lease_expired":
    case "run_timeout":
    case "expire":
      return void (await rig.tick({ jitter }));
  }
}

/** A request that joins under a rerun policy is remembered: that is no change of the job. */
function withoutJoiners(inspection: Inspection): Inspection {
  const jobs = inspection.jobs.map((job) => ({ ...job, record: { ...job.record, joinedBy: [] } }));
  return { ...inspection, jobs };
}
