/** Two brokers on one Redis, callers on one, the worker on the other; one of the three is killed in the middle of 500 calls. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { runsOf, Stage } from "./stage.ts";

const CALLS = 500;
const IN_FLIGHT = 100;
/** Calls answered when the blow falls. */
const BLOW_AT = 150;

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

type Victim = "the callers' broker" | "the worker's broker" | "the worker" | "nobody";

async function manyCalls(victim: Victim, mode: "multiplex" | "unary" = "multiplex") {
  await using stage = new Stage();
  const storage = `${redis.url}/0?prefix=two-${mode}-${victim.replaceAll(/[^a-z]/g, "")}`;
  const a = await stage.broker(storage);
  const b = await stage.broker(storage);
  const workers = [await stage.worker([b.url, a.url]), await stage.worker([b.url, a.url])];
  const [first] = workers;
  await using client = createQueueClient({ url: [a.url, b.url], mode });
  const queue = client.queue<{ n: number }, { n: number }>("work");

  let next = 0;
  let answered = 0;
  const blow = async () => {
    if (victim === "the callers' broker") await a.child.kill("SIGKILL");
    if (victim === "the worker's broker") await b.child.kill("SIGKILL");
    if (victim === "the worker") await first?.kill("SIGKILL");
  };
  const caller = async () => {
    for (let n = next++; n < CALLS; n = next++) {
      const answer = await queue.enqueueAndWait(`job-${n}`, { n });
      expect(answer).toEqual({ n: n * 2 });
      if (++answered === BLOW_AT) await blow();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  expect(answered).toBe(CALLS);
  // Ended in peace, so that all they said has been read.
  await Promise.all(workers.map((worker) => worker.kill("SIGTERM")));
  return runsOf(workers);
}

describe("every call gets its result within its default 30 s", () => {
  test("without a fault each job runs once", async () => {
    const runs = await manyCalls("nobody");
    expect(runs.size).toBe(CALLS);
    expect([...runs.values()].filter((of) => of.length > 1)).toEqual([]);
  }, 90_000);

  test.each(["multiplex", "unary"] as const)(
    "kill -9 of the callers' broker, %s: nothing runs twice, its leases are elsewhere",
    async (mode) => {
      const runs = await manyCalls("the callers' broker", mode);
      expect(runs.size).toBe(CALLS);
      expect([...runs.values()].filter((of) => of.length > 1)).toEqual([]);
    },
    90_000,
  );

  test("kill -9 of the worker's broker: a job runs again only as a later attempt, with a higher fence", async () => {
    explained(await manyCalls("the worker's broker"));
  }, 90_000);

  test("kill -9 of a worker: its jobs run again, as later attempts", async () => {
    explained(await manyCalls("the worker"));
  }, 90_000);
});

function explained(runs: ReturnType<typeof runsOf>): void {
  expect(runs.size).toBe(CALLS);
  for (const of of runs.values()) {
    const fences = of.map((run) => BigInt(run.fence));
    expect(new Set(fences).size).toBe(fences.length);
    // No more than what was in flight when the blow fell can run again.
    expect(of.length).toBeLessThanOrEqual(3);
  }
  expect([...runs.values()].filter((of) => of.length > 1).length).toBeLessThanOrEqual(IN_FLIGHT);
}
