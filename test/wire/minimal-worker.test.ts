import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { minimalWorker } from "./minimal-worker.ts";
import { job, start } from "./rig.ts";
import type { Delivery } from "./stubs.ts";

const echo = async ({ payload }: Delivery) => Buffer.from(`did ${payload?.data}`);

test("it fits in 60 lines", () => {
  const lines = readFileSync(new URL("minimal-worker.ts", import.meta.url), "utf8")
    .trimEnd()
    .split("\n");
  expect(lines.length).toBeLessThanOrEqual(60);
});

test("it completes jobs, one after the other", async () => {
  await using rig = await start();
  rig.closing(minimalWorker(rig.address, "q", echo));
  const jobs = await Promise.all(["a", "b", "c"].map((id) => rig.caller.call("EnqueueAndWait", job(id))));
  expect(jobs.map(({ result }) => String(result?.data))).toEqual(["did a", "did b", "did c"]);
});

test("a failure is tried again, and the last one is the job's", async () => {
  await using rig = await start();
  const attempts: number[] = [];
  rig.closing(
    minimalWorker(rig.address, "q", async ({ attempt, job_id }) => {
      attempts.push(attempt);
      if (job_id === "hopeless" || attempt < 2) throw new Error(`try ${attempt}`);
      return Buffer.from("at last");
    }),
  );
  const backoff = { initial: { nanos: 1_000_000 } };
  const saved = await rig.caller.call("EnqueueAndWait", job("saved", { backoff }));
  expect(saved).toMatchObject({ state: "JOB_STATE_SUCCEEDED", attempt: 2 });
  const hopeless = await rig.caller.call("EnqueueAndWait", job("hopeless", { backoff, max_attempts: 2 }));
  expect(hopeless).toMatchObject({ state: "JOB_STATE_FAILED", failure: { status: { message: "try 2" } } });
  expect(attempts).toEqual([1, 2, 1, 2]);
});

test("the stream breaks while a job runs: its result is accepted on the next stream, without a second run", async () => {
  await using rig = await start();
  const { promise: running, resolve: started } = Promise.withResolvers<void>();
  const { promise: result, resolve: finish } = Promise.withResolvers<Buffer>();
  let runs = 0;
  const worker = rig.closing(
    minimalWorker(rig.address, "q", () => {
      runs++;
      started();
      return result;
    }),
  );
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  await running;
  // A round trip later the receipt has arrived, too.
  expect(await rig.caller.call("GetJob", { queue: "q", job_id: "a" })).toMatchObject({ state: "JOB_STATE_RUNNING" });
  worker.cut();
  finish(Buffer.from("kept"));
  expect(String((await answer).result?.data)).toBe("kept");
  expect(runs).toBe(1);
});

test("renew_on_pong keeps a job longer than the lease", async () => {
  await using rig = await start({ leaseMs: 300, pingIntervalMs: 100 });
  let runs = 0;
  rig.closing(
    minimalWorker(rig.address, "q", async () => {
      runs++;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return Buffer.from("slow");
    }),
  );
  const done = await rig.caller.call("EnqueueAndWait", job("a"));
  expect(done).toMatchObject({ state: "JOB_STATE_SUCCEEDED", attempt: 1 });
  expect(runs).toBe(1);
});
