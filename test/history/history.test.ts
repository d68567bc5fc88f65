/** Hand-made histories: a sound one, and for each promise one that breaks it, which the checker must name. */
import { describe, expect, test } from "vitest";
import { check, explain, type Limits, type RuleName, summarize } from "./check.ts";
import { type Called, type Event, type Finished, format, parse, type Returned, type Sight } from "./events.ts";

const limits: Limits = { leaseMs: 2_000, toleranceMs: 0, lateMs: 250, sweepMs: 6_000 };
const q = { queue: "q", job: "a" };

const called = (at: number, call: string, fields: Partial<Called> = {}): Event => ({
  ...{ at, by: "caller", kind: "called", call, operation: "enqueue", ...q, ...fields },
});
const returned = (at: number, call: string, fields: Partial<Returned> = {}): Event => ({
  ...{ at, by: "caller", kind: "returned", call, end: "ok", ...fields },
});
const created = { disposition: "created" } as const;
const started = (at: number, fence: number, attempt = 1, payload = "c1", by = "w1"): Event => ({
  ...{ at, by, kind: "started", ...q, payload, attempt, fence },
});
const finished = (at: number, fence: number, how: Finished["how"] = "completed", text = `text ${fence}`): Event => ({
  ...{ at, by: "w1", kind: "finished", ...q, fence, how, text },
});
const settled = (at: number, fence: number, result: "ok" | "lease-lost"): Event => ({
  ...{ at, by: "w1", kind: "settled", ...q, fence, how: "completed", result },
});
const succeeded = (fence: number, version?: number): Sight => ({
  ...{ state: "succeeded", outcome: { state: "succeeded", text: `text ${fence}` } },
  ...(version !== undefined && { version }),
});
const final = (at: number, sight?: Sight): Event => ({
  at,
  by: "storage",
  kind: "final",
  ...(sight && { ...q, sight }),
});
const kill = (at: number, who?: string): Event => ({
  ...{ at, by: "driver", kind: "fault", fault: "kill", on: "worker" },
  ...(who && { who }),
});
const stall = (at: number): Event => ({ at, by: "driver", kind: "fault", fault: "stall", on: "storage" });

const enqueued = [called(0, "c1"), returned(5, "c1", created)];
const end = (fence: number, at = 50_000) => [final(at, succeeded(fence, 9)), final(at)];

/** The rules that a history breaks. */
const broken = (events: Event[]): RuleName[] => check(events, limits).map(({ rule }) => rule);

describe("a sound history", () => {
  const sound = [...enqueued, started(10, 1), finished(20, 1), settled(25, 1, "ok"), ...end(1)];

  test("breaks nothing", () => expect(broken(sound)).toEqual([]));

  test("survives being written and read, but for a line that was cut", () => {
    expect(parse(`${format(sound)}{"at":`)).toEqual(sound);
  });

  test("is summed up", () => {
    const twice = [...enqueued, started(10, 1), kill(20, "w1"), started(3_000, 2, 2), finished(3_010, 2), ...end(2)];
    expect(summarize(twice, limits)).toEqual({
      ...{ calls: 1, jobs: 1, deliveries: 2, violations: 0 },
      duplicates: { "fault: kill": 1 },
      faults: { "worker: kill": 1 },
    });
  });
});

describe("lost", () => {
  test("accepted, and gone", () => expect(broken([...enqueued, final(60_000)])).toEqual(["lost"]));

  test("accepted, and still in line after the drain", () => {
    expect(broken([...enqueued, final(60_000, { state: "queued" }), final(60_000)])).toEqual(["lost"]);
  });

  test("not where the storage lost what it confirmed at that time, but then only", () => {
    const rollback = (begin: number, end: number): Event[] => {
      const fault = { by: "driver", kind: "fault", fault: "rollback", on: "storage" } as const;
      return [
        { at: begin, ...fault, phase: "begin" },
        { at: end, ...fault, phase: "end" },
      ];
    };
    expect(broken([...enqueued, ...rollback(3, 100), final(60_000)])).toEqual([]);
    expect(broken([...enqueued, ...rollback(20, 100), final(60_000)])).toEqual(["lost"]);
  });

  test("not where its time was over, nor before the drain", () => {
    const short = [called(0, "c1", { resultTtlMs: 1_000 }), returned(5, "c1", created), final(60_000)];
    expect(broken(short)).toEqual([]);
    expect(broken(enqueued)).toEqual([]);
  });
});

describe("phantom", () => {
  test("a run of an unknown payload", () =>
    expect(broken([...enqueued, started(10, 1, 1, "c9")])).toEqual(["phantom"]));

  test("a run of what was refused", () => {
    const refused = [...enqueued, called(6, "c2", { onDuplicate: "reject" }), returned(8, "c2", { end: "refused" })];
    expect(broken([...refused, started(10, 1), finished(11, 1), started(12, 2, 1, "c2")])).toEqual(["phantom"]);
  });

  test("an outcome that no handler made", () => expect(broken([...enqueued, ...end(7)])).toEqual(["phantom"]));

  test("a job that nobody enqueued", () => {
    expect(broken([final(10, { state: "cancelled" }), final(10)])).toEqual(["phantom"]);
  });

  test("a cancellation that nobody asked for", () => {
    const cancelled = final(10, { state: "cancelled", outcome: { state: "cancelled", failure: "cancelled" } });
    expect(broken([...enqueued, cancelled, final(10)])).toEqual(["phantom"]);
    const asked = [called(6, "c2", { operation: "cancel" }), returned(7, "c2")];
    expect(broken([...enqueued, ...asked, cancelled, final(10)])).toEqual([]);
  });
});

describe("hang", () => {
  const open = [...enqueued, called(10, "c2", { operation: "wait" }), started(11, 1), finished(12, 1), ...end(1)];

  test("a call that never returns", () => expect(broken(open)).toEqual(["hang"]));

  test("not where its caller died", () => {
    expect(
      broken([...open, { at: 11, by: "driver", kind: "fault", fault: "kill", on: "caller", who: "caller" }]),
    ).toEqual([]);
  });
});

describe("fence", () => {
  test("started twice under one lease", () => {
    expect(broken([...enqueued, started(10, 1), started(11, 1)])).toEqual(["fence"]);
  });

  test("an older attempt has the higher fence", () => {
    const events = [...enqueued, started(10, 9, 1), finished(11, 9, "failed"), started(20, 5, 2)];
    expect(broken(events)).toContain("fence");
  });

  test("more tries than allowed", () => {
    const events = [called(0, "c1", { maxAttempts: 1 }), returned(1, "c1", created), started(2, 1)];
    expect(broken([...events, finished(3, 1, "failed"), started(4, 2, 2)])).toEqual(["fence"]);
  });
});

describe("stale lease", () => {
  const zombie = [...enqueued, started(10, 1), kill(20, "w1"), started(3_000, 2, 2), finished(4_000, 1)];

  test("settled after a newer attempt had begun", () => {
    expect(broken([...zombie, settled(4_010, 1, "ok")])).toEqual(["stale lease"]);
    expect(broken([...zombie, ...end(1)])).toEqual(["stale lease"]);
  });

  test("not where it was refused", () => {
    expect(broken([...zombie, settled(4_010, 1, "lease-lost"), finished(4_100, 2), ...end(2)])).toEqual([]);
  });
});

describe("duplicate", () => {
  const twice = (...between: Event[]) => broken([...enqueued, started(10, 1), ...between, started(3_000, 2, 2)]);

  test("without a reason", () => expect(twice()).toEqual(["unexplained duplicate"]));
  test("after it was completed", () => expect(twice(finished(20, 1))).toEqual(["unexplained duplicate"]));
  test("because another worker died", () => expect(twice(kill(20, "w2"))).toEqual(["unexplained duplicate"]));
  test("a fault that must change nothing", () => {
    const drain = { at: 20, by: "driver", kind: "fault", fault: "drain", on: "broker", harmless: true } as const;
    expect(twice(drain)).toEqual(["unexplained duplicate"]);
  });
  test("a fault that is long over", () => {
    expect(broken([kill(-9_000), ...enqueued, started(10, 1), started(3_000, 2, 2)])).toEqual([
      "unexplained duplicate",
    ]);
  });

  test("explained", () => {
    expect(twice(finished(20, 1, "failed"))).toEqual([]);
    expect(twice(finished(20, 1, "released"))).toEqual([]);
    expect(twice(kill(20, "w1"))).toEqual([]);
    expect(twice({ at: 30, by: "w1", kind: "stream-ended" })).toEqual([]);
    expect(twice({ at: 30, by: "x", kind: "fault", fault: "rollback", on: "storage" })).toEqual([]);
    expect(twice(called(20, "c2", { operation: "retry" }), returned(21, "c2"))).toEqual([]);
    expect(broken([called(0, "c1", { runTimeoutMs: 500 }), started(10, 1), started(600, 2, 2)])).toEqual([]);
  });

  test("explained by a run timeout that began with the claim, long before the start", () => {
    const over: Event = { at: 100, by: "b", kind: "over", ...q, fence: 1, why: "expired" };
    const late = [called(0, "c1", { runTimeoutMs: 5_000 }), started(90, 1), over, started(110, 2, 2)];
    expect(broken(late)).toEqual([]);
    expect(broken([...late.slice(0, 2), { ...over, why: "undelivered" }, ...late.slice(3)])).toEqual([
      "unexplained duplicate",
    ]);
  });

  test("where brokers tell how leases end, each has to", () => {
    const over: Event = { at: 20, by: "b", kind: "over", ...q, fence: 1, why: "failed" };
    expect(twice(finished(20, 1, "failed"), over)).toEqual([]);
    expect(twice(finished(20, 1, "failed"), { ...over, fence: 2 })).toEqual(["unexplained duplicate"]);
  });
});

test("expiry: a lease that ran out without a fault", () => {
  const over: Event = { at: 2_010, by: "b", kind: "over", ...q, fence: 1, why: "expired" };
  expect(broken([...enqueued, started(10, 1), over])).toEqual(["expiry"]);
  expect(broken([...enqueued, started(10, 1), kill(20, "w1"), over])).toEqual([]);
});

describe("two outcomes", () => {
  const twoRuns = [...enqueued, started(10, 1), kill(20), started(3_000, 2, 2), finished(3_010, 1), finished(3_020, 2)];

  test("of one run", () => {
    const get = [called(3_030, "c2", { operation: "get" }), returned(3_040, "c2", { job: succeeded(1, 7) })];
    expect(broken([...twoRuns, ...get, ...end(2)])).toContain("two outcomes");
  });

  test("of one version", () => {
    const get = (at: number, call: string, sight: Sight) => [
      called(at, call, { operation: "get" }),
      returned(at + 1, call, { job: sight }),
    ];
    const shown = [...get(30, "c2", succeeded(1, 7)), ...get(40, "c3", { state: "running", version: 7 })];
    const events = [...enqueued, started(10, 1), finished(20, 1), ...shown];
    expect(broken(events)).toEqual(["two outcomes"]);
    const rollback = (at: number) => ({ at, by: "driver", kind: "fault", fault: "rollback", on: "storage" }) as const;
    // What was shown may be lost with it, and its version given out again.
    expect(broken([...events, { ...rollback(25), phase: "begin" }, { ...rollback(35), phase: "end" }])).toEqual([]);
    expect(broken([...events, { ...rollback(50), phase: "begin" }, { ...rollback(60), phase: "end" }])).not.toEqual([]);
  });
});

describe("wait", () => {
  const wait = (waitMs: number, at: number, fields: Partial<Returned>, raw?: true) => [
    called(100, "c2", { operation: "wait", waitMs, ...(raw && { raw }) }),
    returned(at, "c2", fields),
  ];

  test("late", () => {
    expect(broken([...enqueued, ...wait(1_000, 1_351, { end: "timeout" })])).toEqual(["wait"]);
    expect(broken([...enqueued, ...wait(1_000, 1_349, { end: "timeout" })])).toEqual([]);
  });

  test("late for a broker whose storage was away is no library's excuse", () => {
    expect(broken([...enqueued, stall(200), ...wait(1_000, 2_000, { end: "timeout" }, true)])).toEqual([]);
    expect(broken([...enqueued, stall(200), ...wait(1_000, 2_000, { end: "timeout" })])).toEqual(["wait"]);
  });

  test("timed out before its time", () => {
    expect(broken([...enqueued, ...wait(5_000, 1_000, { end: "timeout" })])).toEqual(["wait"]);
  });

  test("timed out although the outcome was there", () => {
    const get = [called(50, "c3", { operation: "get" }), returned(60, "c3", { job: succeeded(1, 7) })];
    const events = [...enqueued, started(10, 1), finished(20, 1), ...get];
    expect(broken([...events, ...wait(10_000, 10_100, { end: "timeout" })])).toEqual(["wait"]);
    expect(broken([...events, ...wait(4_000, 4_100, { end: "timeout" })])).toEqual([]);
    expect(broken([...events, kill(5_000), ...wait(10_000, 10_100, { end: "timeout" })])).toEqual(["wait"]);
    expect(broken([...events, stall(5_000), ...wait(10_000, 10_100, { end: "timeout" })])).toEqual([]);
  });

  test("did not find what was accepted", () => {
    expect(broken([...enqueued, ...wait(1_000, 200, { end: "not-found" })])).toEqual(["wait"]);
  });

  test("did not find what was cached, and has been over since", () => {
    const first = [
      called(0, "c1", { operation: "enqueue-and-wait", resultTtlMs: 100, waitMs: 10 }),
      returned(10, "c1", { end: "timeout" }),
    ];
    const cached = [called(90, "c3"), returned(95, "c3", { disposition: "cached", job: succeeded(1, 7) })];
    const events = [...first, started(10, 1), finished(20, 1), ...cached];
    expect(broken([...events, ...wait(1_000, 125, { end: "not-found" })])).toEqual([]);
    // An enqueue that waits does not say that it found an outcome.
    const waited = [
      called(90, "c3", { operation: "enqueue-and-wait", waitMs: 10 }),
      returned(95, "c3", { job: succeeded(1, 7) }),
    ];
    const found = [...first, started(10, 1), finished(20, 1), ...waited];
    expect(broken([...found, ...wait(1_000, 125, { end: "not-found" })])).toEqual([]);
    expect(broken([...found, ...wait(1_000, 115, { end: "not-found" })])).toEqual(["wait"]);
  });
});

describe("error", () => {
  const failed = [called(100, "c2", { operation: "get", waitMs: 5_000 }), returned(5_100, "c2", { end: "unknown" })];
  const drain = (who: string): Event => ({
    ...{ at: 90, by: "x", kind: "fault", fault: "drain", on: "broker", harmless: true, who, phase: "begin" },
  });

  test("without a fault, or while one of two brokers drains", () => {
    expect(broken([...enqueued, ...failed])).toEqual(["error"]);
    const two = { ...limits, brokers: 2 };
    expect(check([...enqueued, drain("b1"), ...failed], two)).toHaveLength(1);
    expect(check([...enqueued, drain("b1"), drain("b2"), ...failed], two)).toEqual([]);
  });

  test("not where something was broken that callers need", () => {
    expect(broken([...enqueued, stall(200), ...failed])).toEqual([]);
    expect(broken([...enqueued, kill(200), ...failed])).toEqual(["error"]);
  });
});

describe("watch", () => {
  const watch = (...sights: Sight[]) => [
    ...enqueued,
    ...[started(10, 1), finished(20, 1), called(1, "w", { operation: "watch" })],
    ...sights.map((job, i): Event => ({ at: 30 + i, by: "caller", kind: "saw", call: "w", job })),
  ];

  test("an older version", () => {
    const events = watch({ state: "running", version: 5 }, { state: "queued", version: 4 });
    expect(broken(events)).toEqual(["watch"]);
  });

  test("no end", () => {
    const events = watch({ state: "running", version: 5 });
    expect(broken([...events, returned(50, "w")])).toEqual(["watch"]);
    expect(broken([...events, returned(50, "w", { end: "unknown" })])).toEqual([]);
  });

  test("more after the end", () => {
    expect(broken(watch(succeeded(1, 5), { state: "queued", version: 6 }))).toEqual(["watch"]);
  });

  test("sound", () => {
    expect(broken([...watch({ state: "running", version: 5 }, succeeded(1, 6)), returned(50, "w")])).toEqual([]);
  });
});

describe("disposition", () => {
  const second = (fields: Partial<Called>, answer: Partial<Returned>) => [
    ...[...enqueued, started(10, 1), finished(20, 1)],
    ...[called(30, "c2", fields), returned(40, "c2", answer)],
  ];

  test("two creations of one run", () => expect(broken(second({}, created))).toEqual(["disposition"]));

  test("two creations, after a cancellation that found nothing: one that was sent twice may come late", () => {
    const cancel = (tookMs: number) => [
      called(-200, "c0", { operation: "cancel" }),
      returned(-200 + tookMs, "c0", { end: "not-found" }),
    ];
    expect(broken([...cancel(100), ...second({}, created)])).toEqual([]);
    expect(broken([...cancel(5), ...second({}, created)])).toEqual(["disposition"]);
  });

  test("not where a new run was allowed", () => {
    expect(broken(second({ onDuplicate: "rerun-if-finished" }, created))).toEqual([]);
    expect(broken([called(25, "c3", { operation: "cancel" }), ...second({}, created)])).toEqual([]);
  });

  test("joined what nobody enqueued", () => {
    expect(broken([called(0, "c1"), returned(5, "c1", { disposition: "joined" })])).toEqual(["disposition"]);
  });

  test("joined although duplicates were to be rejected", () => {
    expect(broken(second({ onDuplicate: "reject" }, { disposition: "joined" }))).toEqual(["disposition"]);
  });

  test("cached without an outcome, or against the policy", () => {
    expect(broken(second({}, { disposition: "cached" }))).toEqual(["disposition"]);
    const rerun = { onDuplicate: "rerun-if-finished" } as const;
    expect(broken(second(rerun, { disposition: "cached", job: succeeded(1) }))).toEqual(["disposition"]);
  });
});

test("an explanation is the promise and the few events that break it", () => {
  const [first] = check([...enqueued, started(10, 1), started(3_000, 2, 2)], limits);
  expect(explain(first!)).toBe(
    [
      "unexplained duplicate: job q/a ran a second time without a reason",
      "      0.000  caller   called       call=c1 operation=enqueue queue=q job=a",
      "      0.010  w1       started      queue=q job=a payload=c1 attempt=1 fence=1",
      "      3.000  w1       started      queue=q job=a payload=c1 attempt=2 fence=2",
    ].join("\n"),
  );
});
