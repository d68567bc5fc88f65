/** What the broker logs of jobs and streams, and what it never does. */
import { afterEach, expect, test } from "vitest";
import { jobLog } from "../../server/observe/job-log.ts";
import { call, type Rig, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";

interface Line {
  level: string;
  message: string;
  queue?: string;
  jobId?: string;
  attempt?: number;
  traceId?: string;
}

let rig: Rig;
afterEach(() => rig.close());

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, authorization: "sesame" };
const payload = { data: Buffer.from("sesame"), contentType: "", messageType: "" };
const failed = (retryable: boolean) => {
  const status = { code: 2, message: "sesame", details: [] };
  return { kind: "failed", detail: { status, type: "Error", stack: "sesame" }, retryable } as const;
};

async function start(): Promise<Line[]> {
  const lines: Line[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, message, ...fields });
  rig = await startRig({}, undefined, jobLog({ debug: at("debug"), info: at("info"), warn: at("warn") }));
  return lines;
}

test("failures with their trace, streams, and nothing of what works", async () => {
  const lines = await start();
  const worker = new SeamWorker(rig.broker, { window: 4, sessionId: "s1" });
  for (const jobId of ["fine", "again", "bad"]) {
    await rig.broker.callers.enqueue(spec({ jobId, headers, payload }), requestId(), call());
  }
  await expect.poll(() => worker.deliveries.length).toBe(3);
  const [fine, again, bad] = worker.deliveries;
  worker.complete(fine!, "sesame");
  worker.settle(again!, failed(true), 2n);
  worker.settle(bad!, failed(false), 3n);
  await expect.poll(() => worker.frames.flatMap(({ settled }) => settled).length).toBe(3);
  worker.session.finish();

  expect(lines).toEqual([
    { level: "info", message: "a worker's stream opened", workerId: "w", lane: expect.any(String), sessionId: "s1" },
    {
      level: "debug",
      message: "an attempt ended without a result",
      ...{ queue: "q", jobId: "again", attempt: 1, traceId, end: "failed" },
      state: expect.stringMatching(/scheduled|queued/),
    },
    { level: "info", message: "a job failed", queue: "q", jobId: "bad", attempt: 1, traceId, kind: "handler" },
    { level: "info", message: "a worker's stream closed", workerId: "w", lane: expect.any(String), sessionId: "s1" },
  ]);
  expect(JSON.stringify(lines)).not.toContain("sesame");
});

test("a lease that is lost is a warning", async () => {
  const lines = await start();
  const worker = new SeamWorker(rig.broker, {});
  await rig.broker.callers.enqueue(spec({ jobId: "held", headers }), requestId(), call());
  await expect.poll(() => worker.deliveries.length).toBe(1);
  await rig.clock.advance(100);
  worker.session.linkClosed();
  const warning = { level: "warn", queue: "q", jobId: "held", attempt: 1, traceId, why: "stream_ended" };
  expect(lines.filter(({ level }) => level === "warn")).toMatchObject([warning]);
});
