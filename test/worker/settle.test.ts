import { describe, expect, test } from "vitest";
import { AttemptStoppedError, NonRetryableError, RetryableError } from "../../worker/index.ts";
import { delivery, manual, online, ref, Settled_Result } from "./rig.ts";

const circle: unknown[] = [];
circle.push(circle);

/** Runs one job and gives its settlement. */
async function settle(handler: Parameters<typeof online>[0], payload?: string) {
  const rig = await online(handler);
  const contentType = "application/json";
  rig.stream.deliver(
    delivery("a", payload === undefined ? {} : { payload: { data: Buffer.from(payload), contentType } }),
  );
  await rig.turn();
  return rig.stream.settled("a")?.outcome;
}

async function failed(thrown: unknown) {
  const outcome = await settle(() => {
    throw thrown;
  });
  if (outcome?.case !== "failed") throw new Error(`settled ${outcome?.case}`);
  const { status, type, stack, retryable, retryAfter } = outcome.value;
  return { code: status?.code, message: status?.message, details: status?.details, type, stack, retryable, retryAfter };
}

async function result(value: unknown) {
  const outcome = await settle(() => value);
  if (outcome?.case !== "completed") throw new Error(`settled ${outcome?.case}`);
  const { data, contentType } = outcome.value.payload ?? {};
  return { text: Buffer.from(data ?? []).toString(), contentType };
}

describe("results", () => {
  test("a value is JSON, bytes are bytes, undefined is nothing, null is null", async () => {
    expect(await result({ a: 1 })).toEqual({ text: '{"a":1}', contentType: "application/json" });
    expect(await result(new Uint8Array([65]))).toEqual({ text: "A", contentType: "application/octet-stream" });
    expect(await result(undefined)).toEqual({ text: "", contentType: "" });
    expect(await result(null)).toEqual({ text: "null", contentType: "application/json" });
  });

  test("the handler gets the decoded payload", async () => {
    const outcome = await settle((payload) => ({ got: payload }), '{"url":"x"}');
    expect(outcome?.case === "completed" && Buffer.from(outcome.value.payload?.data ?? []).toString()).toBe(
      '{"got":{"url":"x"}}',
    );
  });

  test("a payload that cannot be read fails for good and is not quoted", async () => {
    const outcome = await settle(() => 1, "secret{");
    expect(outcome).toMatchObject({ case: "failed", value: { retryable: false, status: { code: 3 } } });
    expect(JSON.stringify(outcome?.case === "failed" && outcome.value.status?.message)).not.toContain("secret");
  });

  test.each([
    ["a BigInt", { n: 1n }, /BigInt/],
    ["a circle", circle, /itself/],
  ])("%s cannot be encoded: failed for good, with the reason", async (_name, value, reason) => {
    const outcome = await settle(() => value);
    if (outcome?.case !== "failed") throw new Error("not failed");
    expect(outcome.value.retryable).toBe(false);
    expect(outcome.value.status?.message).toMatch(reason);
  });

  test("a result that no frame can carry is settled as a failure, not sent", async () => {
    const rig = await online(() => new Uint8Array(5 * 1024 * 1024));
    rig.stream.deliver(delivery("a"));
    await rig.turn();
    const outcome = rig.stream.settled("a")?.outcome;
    expect(outcome).toMatchObject({ case: "failed", value: { retryable: false, status: { code: 11 } } });
  });
});

describe("failures", () => {
  test("an error keeps class, message and stack; the rest is the broker's to decide", async () => {
    const got = await failed(new RangeError("too far"));
    expect(got).toMatchObject({ code: 2, message: "too far", type: "RangeError", retryable: undefined });
    expect(got.stack).toContain("settle.test.ts");
  });

  test("a subclass without a name is known by its constructor; causes are in the stack", async () => {
    class PageGone extends Error {}
    const got = await failed(new PageGone("x", { cause: new Error("below") }));
    expect(got.type).toBe("PageGone");
    expect(got.stack).toContain("Caused by: Error: below");
  });

  test("NonRetryableError, RetryableError", async () => {
    expect(await failed(new NonRetryableError("gone", { code: 5 }))).toMatchObject({
      code: 5,
      retryable: false,
      type: "NonRetryableError",
    });
    const again = await failed(new RetryableError("busy", { retryAfter: 1_500 }));
    expect(again).toMatchObject({ retryable: true, retryAfter: { seconds: 1n, nanos: 500_000_000 } });
    expect(() => new RetryableError("x", { retryAfter: -1 })).toThrow(RangeError);
  });

  test("gRPC codes are kept, other codes are not", async () => {
    expect((await failed(Object.assign(new Error("x"), { code: 14 }))).code).toBe(14);
    expect((await failed(Object.assign(new Error("x"), { code: "ECONNREFUSED" }))).code).toBe(2);
    expect((await failed(Object.assign(new Error("x"), { code: 99 }))).code).toBe(2);
    const connect = Object.assign(new Error("[not_found] gone"), {
      code: 5,
      rawMessage: "gone",
      details: [{ type: "acme.Detail", value: new Uint8Array([1]) }],
    });
    expect(await failed(connect)).toMatchObject({
      code: 5,
      message: "gone",
      details: [{ typeUrl: "type.googleapis.com/acme.Detail" }],
    });
  });

  test("DOMExceptions keep their name, and their legacy codes are no gRPC codes", async () => {
    expect(await failed(new DOMException("aborted", "AbortError"))).toMatchObject({ type: "AbortError", code: 2 });
    // Its legacy code is 8, which is RESOURCE_EXHAUSTED in the other table.
    expect(await failed(new DOMException("none", "NotFoundError"))).toMatchObject({ type: "NotFoundError", code: 2 });
    const timeout = await new Promise<unknown>((resolve) => {
      const signal = AbortSignal.timeout(1);
      signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
    });
    expect(await failed(timeout)).toMatchObject({
      type: "TimeoutError",
      code: 2,
      message: expect.stringMatching(/timeout/),
    });
  });

  test.each([
    ["text", "text"],
    [undefined, "undefined"],
    [null, "null"],
    [42, "42"],
    [{ a: 1 }, '{"a":1}'],
  ])("thrown %o keeps its message", async (thrown, message) => {
    expect(await failed(thrown)).toMatchObject({ message, code: 2 });
  });

  test("long and broken text is cut to valid UTF-8 within the limits", async () => {
    const got = await failed(new Error("é".repeat(5_000)));
    expect(Buffer.byteLength(got.message ?? "")).toBeLessThanOrEqual(4_096);
    expect((await failed(new Error("\ud800x"))).message).toBe("\ufffdx");
  });

  test("an unknown queue or method is UNIMPLEMENTED and retryable", async () => {
    const rig = await online(() => 1);
    rig.stream.deliver(delivery("a", { queue: "other" }));
    await rig.turn();
    expect(rig.stream.settled("a")?.outcome).toMatchObject({
      case: "failed",
      value: { retryable: true, status: { code: 12 } },
    });
  });
});

describe("until it is answered", () => {
  test("OK, DUPLICATE, LEASE_LOST and REJECTED end it; RETRY sends it again after a wait", async () => {
    const rig = await online(() => "done", { concurrency: 9 });
    for (const id of ["OK", "DUPLICATE", "LEASE_LOST", "REJECTED", "RETRY"] as const) {
      rig.stream.deliver(delivery(id));
      await rig.turn();
      rig.stream.answer(rig.stream.settled(id), Settled_Result[id]);
    }
    const before = rig.stream.settlements.length;
    await rig.clock.advance(1_000);
    const again = rig.stream.settlements.slice(before);
    expect(again.map(({ jobId }) => jobId)).toEqual(["RETRY"]);
    rig.stream.answer(again[0]);
    await rig.clock.advance(10_000);
    expect(rig.stream.settlements).toHaveLength(before + 1);
    expect(rig.logs.filter((line) => /lease was lost|rejected/.test(line))).toHaveLength(2);
  });

  test("what was not answered leaves again on the next stream, with its lease held", async () => {
    const rig = await online(() => "done");
    const job = delivery("a");
    rig.stream.deliver(job);
    await rig.turn();
    const first = rig.stream.settled("a");
    rig.stream.finish(14, "gone");
    await rig.clock.advance(1_000);
    expect(rig.streams).toHaveLength(2);
    expect(rig.stream.hello?.held).toMatchObject([ref(job)]);
    rig.stream.welcome();
    await rig.turn();
    expect(rig.stream.settled("a")).toEqual(first);
    // The broker may call the lease lost because the first send was stored: the settlement's own answer counts.
    rig.stream.say({ lost: [ref(job)] });
    rig.stream.answer(first, Settled_Result.DUPLICATE);
    rig.stream.finish(14, "gone");
    await rig.clock.advance(1_000);
    expect(rig.stream.hello?.held).toEqual([]);
  });

  test("everything that is ready in one turn leaves in one frame", async () => {
    const rig = await online(() => 1, { concurrency: 20 });
    const before = rig.stream.frames.length;
    rig.stream.deliver(...Array.from({ length: 20 }, (_, i) => delivery(`j${i}`)));
    await rig.turn();
    const frames = rig.stream.frames.slice(before);
    expect(frames.map(({ receivedSeq, settlements }) => [receivedSeq, settlements.length])).toEqual([
      [1n, 0],
      [0n, 20],
    ]);
  });

  test("a stream that takes no more gets no more, until it drains", async () => {
    const rig = await online(() => 1);
    rig.stream.writable = false;
    const before = rig.stream.frames.length;
    rig.stream.deliver(delivery("a"));
    rig.stream.say({ ping: { nonce: 5n } });
    await rig.turn();
    expect(rig.stream.frames).toHaveLength(before);
    rig.stream.drainOut();
    const [frame] = rig.stream.frames.slice(before);
    expect(frame).toMatchObject({ receivedSeq: 1n, pong: { nonce: 5n }, settlements: [{ jobId: "a" }] });
  });

  test("large results are spread over frames", async () => {
    const rig = await online(() => new Uint8Array(700 * 1024), { concurrency: 4 });
    rig.stream.deliver(...["a", "b", "c", "d"].map((id) => delivery(id)));
    await rig.turn();
    expect(rig.stream.frames.map((frame) => frame.settlements.length).filter(Boolean)).toEqual([1, 1, 1, 1]);
  });
});

describe("release and cancel", () => {
  test("ctx.release hands the job back, whatever the handler then does", async () => {
    expect(await settle((_p, ctx) => ctx.release())).toMatchObject({ case: "released" });
    const thrown = await settle((_p, ctx) => {
      ctx.release();
      throw new Error("x");
    });
    expect(thrown).toMatchObject({ case: "released" });
  });

  test("cancel aborts; a rejection settles cancelled, a result wins", async () => {
    const { runs, handler } = manual();
    const rig = await online(handler, { concurrency: 2 });
    const jobs = [delivery("a"), delivery("b")];
    rig.stream.deliver(...jobs);
    await rig.turn();
    rig.stream.say({ cancels: jobs.map(ref) });
    const reasons = runs.map(({ signal }) => signal.reason as AttemptStoppedError);
    expect(reasons.map(({ why }) => why)).toEqual(["cancel-requested", "cancel-requested"]);
    expect(reasons[0]).toBeInstanceOf(AttemptStoppedError);
    runs[0]?.reject(reasons[0]);
    runs[1]?.resolve("made it");
    await rig.turn();
    expect(rig.stream.settled("a")?.outcome.case).toBe("cancelled");
    expect(rig.stream.settled("b")?.outcome.case).toBe("completed");
  });

  test("a job that waits for a slot is cancelled without running", async () => {
    const { runs, handler } = manual();
    const rig = await online(handler, { concurrency: 1, window: 2 });
    const jobs = [delivery("a"), delivery("b")];
    rig.stream.deliver(...jobs);
    await rig.turn();
    rig.stream.say({ cancels: [ref(jobs[1] as ReturnType<typeof delivery>)] });
    await rig.turn();
    expect(rig.stream.settled("b")?.outcome.case).toBe("cancelled");
    expect(runs).toHaveLength(1);
  });
});

test("a delivery is run once, however often it arrives", async () => {
  let runs = 0;
  const rig = await online(() => ++runs);
  const job = delivery("a");
  rig.stream.deliver(job);
  rig.stream.deliver(job);
  await rig.turn();
  rig.stream.answer(rig.stream.settled("a"));
  rig.stream.deliver(job);
  await rig.turn();
  expect(runs).toBe(1);
});

test("progress: the newest wins, at most five a second", async () => {
  const rig = await online(async (_p, ctx) => {
    for (let i = 1; i <= 10; i++) ctx.progress(i, 10, `step ${i}`, { i });
    await new Promise(() => {});
  });
  rig.stream.deliver(delivery("a"));
  await rig.turn();
  await rig.clock.advance(200);
  const sent = rig.stream.frames.flatMap((frame) => frame.progress.map(({ progress }) => progress?.current));
  expect(sent).toEqual([1, 10]);
  await rig.clock.advance(2_000);
  expect(rig.stream.frames.flatMap((frame) => frame.progress)).toHaveLength(2);
});
