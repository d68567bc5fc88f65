/** Every reason becomes the class that the table names, and failed jobs become what they were. */
import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { fromConnectError, statusName } from "../../client/errors.ts";
import { JobCancelledError, JobFailedError, OriginalError, QueuecallError, TimeoutError } from "../../client/index.ts";
import { jobOf, resultOf, statusOf } from "../../client/job.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { JobFailure_Kind, JobSchema, JobState } from "../../gen/queuecall/v1/job_pb.js";
import { plainCodec } from "../../protocol/codec.ts";
import { type Reason, reasons } from "../../protocol/errors.ts";

const about = { queue: "q", jobId: "j" };
const codec = plainCodec<unknown>() as never;

function said(reason: Reason, ...details: ConstructorParameters<typeof ConnectError>[3] & object): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { reason, domain: "queuecall" } };
  return new ConnectError("what it said", reasons[reason].code as number, undefined, [info, ...details]);
}

describe("refusals", () => {
  it.each(Object.keys(reasons) as Reason[])("%s is thrown as the table says", (reason) => {
    const error = fromConnectError(said(reason), about);
    expect(error).toBeInstanceOf(QueuecallError);
    expect(error).toMatchObject({ name: reasons[reason].thrownAs, reason, ...about });
    expect(error.cause).toBeInstanceOf(ConnectError);
  });

  it("carry fields, and the time to come back", () => {
    const violation = { field: "spec.queue", description: "must not be empty" };
    const invalid = said("INVALID_FIELD", { desc: BadRequestSchema, value: { fieldViolations: [violation] } });
    expect(fromConnectError(invalid, about)).toMatchObject({ code: "INVALID_REQUEST", violations: [violation] });
    const full = said("QUEUE_FULL", { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(1_500) } });
    expect(fromConnectError(full, about)).toMatchObject({ code: "OVERLOADED", retryAfterMs: 1_500 });
  });

  it("are known by their trailer where details were lost", () => {
    const error = new ConnectError("full", Code.ResourceExhausted, { "queuecall-reason": "RATE_LIMITED" });
    expect(fromConnectError(error, about)).toMatchObject({ code: "OVERLOADED", reason: "RATE_LIMITED" });
  });

  it("of others keep the name of their status", () => {
    expect(fromConnectError(new ConnectError("no", Code.PermissionDenied), about).code).toBe("PERMISSION_DENIED");
    expect(fromConnectError(new ConnectError("no", Code.Unavailable), about).name).toBe("BrokerUnavailableError");
    expect([1, 2, 3, 4, 16, 99].map(statusName)).toEqual([
      "CANCELLED",
      "UNKNOWN",
      "INVALID_ARGUMENT",
      "DEADLINE_EXCEEDED",
      "UNAUTHENTICATED",
      "UNKNOWN",
    ]);
  });
});

describe("TimeoutError.from", () => {
  it("reads the details of what a Connect client threw", () => {
    const value = { queue: "q", jobId: "j", state: JobState.RUNNING, attempt: 2, waited: durationFromMs(1_250) };
    const timeout = TimeoutError.from(said("WAIT_TIMEOUT", { desc: WaitTimeoutSchema, value }));
    expect(timeout).toBeInstanceOf(TimeoutError);
    expect(timeout).toMatchObject({ code: "TIMEOUT", ...about, timeoutMs: 1_250, state: "running", attempt: 2 });
    expect(timeout!.message).toBe("Job j timed out after 1250 ms");
    expect(TimeoutError.from(timeout)).toBe(timeout);
  });

  it("is undefined for everything else", () => {
    for (const other of [undefined, new Error("x"), said("QUEUE_FULL"), new ConnectError("x", Code.DeadlineExceeded)]) {
      expect(TimeoutError.from(other)).toBeUndefined();
    }
  });
});

function failed(kind: JobFailure_Kind, state = JobState.FAILED) {
  const value = {
    kind,
    status: { code: 5, message: "no such page", details: [] },
    type: "PageError",
    stack: "PageError: no such page\n    at worker",
    attempts: [{ number: 1, endTime: { seconds: 1n, nanos: 0 }, workerId: "w", message: "first" }],
  };
  return create(JobSchema, { ...about, state, version: 3n, attempt: 2, outcome: { case: "failure", value } });
}

function thrown(fn: () => unknown): unknown {
  try {
    return fn();
  } catch (error) {
    return error;
  }
}

describe("outcomes", () => {
  it("give back the handler's error", () => {
    const error = thrown(() => resultOf(statusOf(failed(JobFailure_Kind.HANDLER), codec, true))) as JobFailedError;
    expect(error).toBeInstanceOf(JobFailedError);
    expect(error).toMatchObject({ code: "JOB_FAILED", message: "no such page", cached: true, ...about });
    expect(error.originalError).toBeInstanceOf(OriginalError);
    expect(error.cause).toBe(error.originalError);
    expect(error.originalError).toMatchObject({
      name: "PageError",
      type: "PageError",
      message: "no such page",
      code: "NOT_FOUND",
      stack: "PageError: no such page\n    at worker",
    });
    expect(error.failure).toMatchObject({
      kind: "handler",
      attempts: [{ number: 1, endTime: new Date(1_000), workerId: "w", message: "first" }],
    });
  });

  it.each([
    [JobFailure_Kind.RUN_TIMEOUT, "run-timeout"],
    [JobFailure_Kind.START_TIMEOUT, "start-timeout"],
    [JobFailure_Kind.CRASH_LOOP, "crash-loop"],
    [JobFailure_Kind.RESULT_TOO_LARGE, "result-too-large"],
  ])("of kind %s are failures too", (kind, name) => {
    const error = thrown(() => resultOf(statusOf(failed(kind), codec)));
    expect(error).toBeInstanceOf(JobFailedError);
    expect(error).toMatchObject({ failure: { kind: name }, cached: false });
  });

  it("that were cancelled say so", () => {
    const error = thrown(() => resultOf(statusOf(failed(JobFailure_Kind.CANCELLED, JobState.CANCELLED), codec)));
    expect(error).toBeInstanceOf(JobCancelledError);
    expect(error).toMatchObject({ code: "JOB_CANCELLED", ...about, failure: { kind: "cancelled" } });
  });

  it("that cannot be read are an error of their own", () => {
    const value = { data: Buffer.from("{"), contentType: "application/json" };
    const job = create(JobSchema, { ...about, state: JobState.SUCCEEDED, outcome: { case: "result", value } });
    expect(thrown(() => statusOf(job, codec))).toMatchObject({ name: "QueuecallError", code: "BAD_PAYLOAD", ...about });
  });
});

describe("progress", () => {
  it("is passed on as bytes where it cannot be read", () => {
    const data = toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "x" }));
    const progress = { current: 1, total: 2, message: "m", details: { data, contentType: "application/json" } };
    const job = jobOf(create(JobSchema, { ...about, state: JobState.RUNNING, progress }), codec);
    expect(job.progress).toMatchObject({ current: 1, total: 2, message: "m", details: data });
  });
});
