/** Watching over streams that break. */
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createQueueClient, JobNotFoundError, type Queue, type QueueClient } from "../../client/index.ts";
import { JobState } from "../../gen/queuecall/v1/job_pb.js";
import { ManualClock } from "../../protocol/manual-clock.ts";
import { deadUrl, FakeBroker, refuse } from "./fake-broker.ts";

let broker: FakeBroker;
let client: QueueClient;
let queue: Queue<unknown, unknown>;

beforeEach(async () => {
  broker = await FakeBroker.start();
  client = createQueueClient({ url: broker.url, retry: { initial: 2, max: 10 } });
  queue = client.queue("q");
});
afterEach(async () => {
  await client.close();
  broker.close();
});

const at = (version: number, state = JobState.RUNNING) => ({
  job: { queue: "q", jobId: "j", state, version: BigInt(version) },
});
const ended = (version: number) => ({
  job: {
    ...at(version, JobState.SUCCEEDED).job,
    outcome: { case: "result" as const, value: { data: Buffer.from("42"), contentType: "application/json" } },
  },
});

/** Streams of messages, one after another; a stream ends or breaks after its last. */
function streams(...each: (ReturnType<typeof at> | { job?: undefined } | (() => never) | "hang")[][]) {
  let opened = 0;
  broker.onWatch(async function* ({ gone }) {
    for (const message of each[opened++] ?? []) {
      if (message === "hang") await once(gone, "abort");
      else yield typeof message === "function" ? message() : message;
    }
  });
}

async function versions(): Promise<number[]> {
  const seen: number[] = [];
  for await (const { version } of queue.watch("j")) seen.push(version);
  return seen;
}

describe("watch", () => {
  it("gives each version once and ends after the terminal one", async () => {
    streams([at(1, JobState.QUEUED), {}, at(2), at(3), ended(4), at(5)]);
    const seen = [];
    for await (const job of queue.watch("j")) seen.push([job.version, job.state, job.outcome]);
    expect(seen).toEqual([
      [1, "queued", undefined],
      [2, "running", undefined],
      [3, "running", undefined],
      [4, "succeeded", { state: "succeeded", result: 42 }],
    ]);
  });

  it("resumes after a broken stream, and after one that ended too early, without going back", async () => {
    streams([at(1), at(3), refuse("WAIT_INTERRUPTED", "drain")], [at(3)], [at(2), at(4), ended(5)]);
    expect(await versions()).toEqual([1, 3, 4, 5]);
    expect(broker.requests("watchJob")).toHaveLength(3);
  });

  it("ends in the broker's refusal", async () => {
    streams([refuse("JOB_NOT_FOUND", "no such job")]);
    await expect(versions()).rejects.toThrow(JobNotFoundError);
  });

  it("tells the broker when the reader leaves", async () => {
    streams([at(1), "hang"]);
    for await (const job of queue.watch("j")) {
      expect(job.version).toBe(1);
      break;
    }
    const { gone } = await broker.request("watchJob");
    if (!gone.aborted) await once(gone, "abort");
  });

  it("rejects with the signal's reason", async () => {
    streams([at(1), "hang"]);
    const controller = new AbortController();
    const watch = queue.watch("j", { signal: controller.signal });
    expect((await watch.next()).value).toMatchObject({ version: 1 });
    const next = watch.next();
    controller.abort("enough");
    await expect(next).rejects.toBe("enough");
    const { gone } = await broker.request("watchJob");
    if (!gone.aborted) await once(gone, "abort");
  });

  it("gives up after the timeout without a broker", async () => {
    await using lonely = createQueueClient({ url: await deadUrl(), retry: { initial: 2, max: 10 } });
    const watch = lonely.queue("q").watch("j", { timeout: 50 });
    await expect(watch.next()).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE", jobId: "j" });
  });

  it("opens a new stream where the old one fell silent", async () => {
    streams([at(1), "hang"], [ended(2)]);
    const clock = new ManualClock();
    await using patient = createQueueClient({ url: broker.url, clock });
    const watch = patient.queue("q").watch("j");
    await watch.next();
    const next = watch.next();
    await clock.advance(37_499);
    expect(broker.requests("watchJob")).toHaveLength(1);
    await clock.advance(1);
    await clock.advance(5_000);
    expect((await next).value).toMatchObject({ version: 2 });
  });
});
