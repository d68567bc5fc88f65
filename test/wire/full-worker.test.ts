import { once } from "node:events";
import { expect, test } from "vitest";
import { FullWorker, type Handle } from "./full-worker.ts";
import { job, start } from "./rig.ts";
import type { Delivery, Frame } from "./stubs.ts";

/** A handler that a test ends by hand, and the runs it made. */
function manual() {
  const runs: { job: Delivery; signal: AbortSignal; resolve(data: Buffer): void; reject(error: Error): void }[] = [];
  let wake = () => {};
  const handle: Handle = (delivery, signal) =>
    new Promise((resolve, reject) => {
      runs.push({ job: delivery, signal, resolve, reject });
      wake();
    });
  const run = async (n: number) => {
    while (runs.length <= n) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return runs[n] as (typeof runs)[number];
  };
  return { runs, run, handle };
}

async function frame(worker: FullWorker, wanted: (frame: Frame) => boolean): Promise<Frame> {
  for (;;) {
    const [got] = (await once(worker, "frame")) as [Frame];
    if (wanted(got)) return got;
  }
}

test("explicit renewals keep a job longer than the lease", async () => {
  await using rig = await start({ leaseMs: 300 });
  const { run, runs, handle } = manual();
  rig.closing(new FullWorker([rig.address], "q", handle, 1, { renewMs: 80 }));
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const first = await run(0);
  setTimeout(() => first.resolve(Buffer.from("ok")), 1_000);
  expect(await answer).toMatchObject({ state: "JOB_STATE_SUCCEEDED", attempt: 1 });
  expect(runs).toHaveLength(1);
});

test("without renewals the lease runs out: another worker gets the job, the late result changes nothing", async () => {
  await using rig = await start({ leaseMs: 300 });
  const late = manual();
  const careless = rig.closing(new FullWorker([rig.address], "q", late.handle, 1, { renewMs: 60_000 }));
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const first = await late.run(0);
  const next = manual();
  rig.closing(new FullWorker([rig.address], "q", next.handle, 1, { renewMs: 80 }));
  const second = await next.run(0);
  expect(second.job.attempt).toBe(2);
  expect(BigInt(second.job.fence)).toBeGreaterThan(BigInt(first.job.fence));
  expect(second.job.lease_token.equals(first.job.lease_token)).toBe(false);
  const refused = frame(careless, (got) => got.settled.length > 0);
  first.resolve(Buffer.from("late"));
  expect((await refused).settled).toMatchObject([{ result: "RESULT_LEASE_LOST" }]);
  second.resolve(Buffer.from("second"));
  expect(String((await answer).result?.data)).toBe("second");
});

test("reconnect: held leases are adopted, the result is accepted on the new stream", async () => {
  await using rig = await start();
  const { run, runs, handle } = manual();
  const worker = rig.closing(new FullWorker([rig.address], "q", handle));
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const first = await run(0);
  await worker.ping();
  const adopted = frame(worker, (got) => got.adopted.length > 0);
  worker.cut();
  expect((await adopted).adopted).toMatchObject([{ job_id: "a", lease_token: first.job.lease_token }]);
  first.resolve(Buffer.from("kept"));
  expect(await answer).toMatchObject({ state: "JOB_STATE_SUCCEEDED", attempt: 1 });
  expect(runs).toHaveLength(1);
});

test("a settlement that was sent but not answered is sent again: accepted once", async () => {
  await using rig = await start();
  const { run, handle } = manual();
  const worker = rig.closing(new FullWorker([rig.address], "q", handle));
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const first = await run(0);
  await worker.ping();
  const answered = frame(worker, (got) => got.settled.length > 0);
  first.resolve(Buffer.from("once"));
  // The settlement leaves when the handler's promise has been seen; the cut comes right behind it.
  await new Promise(setImmediate);
  worker.cut();
  const { settled } = await answered;
  expect(["RESULT_OK", "RESULT_DUPLICATE"]).toContain(settled[0]?.result);
  expect(String((await answer).result?.data)).toBe("once");
  expect(worker.held).toBe(0);
});

test("cancel is pushed; the job ends CANCELLED when the handler stops", async () => {
  await using rig = await start();
  const { run, handle } = manual();
  rig.closing(new FullWorker([rig.address], "q", handle));
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const first = await run(0);
  const asked = once(first.signal, "abort");
  expect(await rig.caller.call("CancelJob", { queue: "q", job_id: "a" })).toMatchObject({ cancel_requested: true });
  await asked;
  first.reject(new Error("stopped"));
  expect(await answer).toMatchObject({ state: "JOB_STATE_CANCELLED", failure: { kind: "KIND_CANCELLED" } });
});

test("drain: nothing more comes, what runs is finished, the stream ends OK", async () => {
  await using rig = await start();
  const { run, runs, handle } = manual();
  const worker = rig.closing(new FullWorker([rig.address], "q", handle, 2));
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const first = await run(0);
  const confirmed = frame(worker, (got) => got.drain !== null);
  const drained = worker.drain();
  await confirmed;
  const left = await rig.caller.call("Enqueue", job("b"));
  first.resolve(Buffer.from("done"));
  expect(await drained).toBe(0);
  expect((await answer).state).toBe("JOB_STATE_SUCCEEDED");
  expect(runs).toHaveLength(1);
  expect(await rig.caller.call("GetJob", { queue: "q", job_id: left.job_id })).toMatchObject({
    state: "JOB_STATE_QUEUED",
  });
});

test("window 0 pauses, a larger one resumes", async () => {
  await using rig = await start();
  const { run, runs, handle } = manual();
  const worker = rig.closing(new FullWorker([rig.address], "q", handle, 0));
  await rig.caller.call("Enqueue", job("a"));
  await rig.caller.call("Enqueue", job("b"));
  worker.setWindow(2);
  await run(1);
  expect(runs.map((each) => each.job.job_id)).toEqual(["a", "b"]);
});

test("the broker moves a stream on by age: the new one opens first, no job is run twice", async () => {
  await using rig = await start({ maxStreamAgeMs: 200 });
  const { run, runs, handle } = manual();
  const worker = rig.closing(new FullWorker([rig.address], "q", handle));
  const answer = rig.caller.call("EnqueueAndWait", job("a"));
  const first = await run(0);
  await frame(worker, (got) => got.adopted.length > 0);
  first.resolve(Buffer.from("moved"));
  expect(await answer).toMatchObject({ state: "JOB_STATE_SUCCEEDED", attempt: 1 });
  expect(runs).toHaveLength(1);
});
