import { describe, expect, test } from "vitest";
import { backoffMs } from "../../protocol/backoff.ts";
import { MAX_ATTEMPT_MESSAGE_BYTES, MAX_ATTEMPTS_KEPT, MAX_DELIVERIES } from "../../protocol/limits.ts";
import type { JobState } from "../../server/job/job.ts";
import * as lifecycle from "../../server/job/lifecycle.ts";
import { type JobRecord, MAX_JOINED_BY, MAX_LISTENERS } from "../../server/job/record.ts";
import { specOf } from "../storage/specs.ts";

const NOW = 1_800_000_000_000_123;
const MS = 1_800_000_000_000;
const terms = { leaseToken: "aa".repeat(16), leaseMs: 30_000, owner: "b1.l1", workerId: "w1" };

/** Fails wherever a function changes its input. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}

const created = (fields = {}, nowUs = NOW): JobRecord =>
  frozen({ ...lifecycle.create(specOf("a"), "11".repeat(16), "01".repeat(16), 1, nowUs), ...fields });
const running = (fields = {}): JobRecord => frozen({ ...lifecycle.claim(created(), terms, NOW), ...fields });
const failure = (fields = {}) => ({
  kind: "handler" as const,
  detail: { status: { code: 2, message: "boom", details: [] }, type: "E", stack: "s" },
  retryable: true,
  jitter: 0.5,
  ...fields,
});

describe("the table", () => {
  const places = Object.keys(lifecycle.transitions) as lifecycle.Place[];

  test("leads to places that are in it", () => {
    for (const events of Object.values(lifecycle.transitions)) {
      for (const to of Object.values(events).flat()) expect(places).toContain(to);
    }
  });

  test("every place can be reached from absent, and leads back to it", () => {
    const after = (from: lifecycle.Place) => Object.values(lifecycle.transitions[from]).flat();
    const reach = (from: lifecycle.Place) => {
      const found = new Set<lifecycle.Place>([from]);
      for (const place of found) for (const next of after(place)) found.add(next);
      return found;
    };
    for (const place of places) {
      expect([...reach("absent")]).toContain(place);
      expect([...reach(place)]).toContain("absent");
    }
  });

  test("a terminal place is left only by a new run or by being forgotten", () => {
    for (const place of ["succeeded", "failed", "cancelled"] as const) {
      const events = Object.keys(lifecycle.transitions[place]);
      expect(["rerun", "retry", "set_ttl", "expire"]).toEqual(expect.arrayContaining(events));
    }
  });
});

describe("decideEnqueue", () => {
  const question: lifecycle.EnqueueQuestion = {
    requestId: "22".repeat(16),
    digest: "01".repeat(16),
    onDuplicate: "join",
    rejectPayloadMismatch: false,
  };
  const inState = (state: JobState, fields = {}) =>
    created({ state, expireTime: ["succeeded", "failed", "cancelled"].includes(state) ? MS + 1 : 0, ...fields });
  const decide = (job: JobRecord | undefined, fields: Partial<lifecycle.EnqueueQuestion> = {}) =>
    lifecycle.decideEnqueue(job, { ...question, ...fields }, NOW);

  test("absent, forgotten and cancelled ids are free", () => {
    for (const onDuplicate of ["join", "reject", "rerun_if_failed", "rerun_if_finished"] as const) {
      expect(decide(undefined, { onDuplicate })).toEqual({ kind: "create" });
      expect(decide(inState("succeeded", { expireTime: MS }), { onDuplicate })).toEqual({ kind: "create" });
      expect(decide(inState("cancelled"), { onDuplicate })).toEqual({ kind: "create" });
    }
  });

  test("forgotten at its time, not a millisecond before", () => {
    expect(lifecycle.isForgotten(inState("failed", { expireTime: MS }), NOW)).toBe(true);
    expect(lifecycle.isForgotten(inState("failed", { expireTime: MS + 1 }), NOW)).toBe(false);
    expect(lifecycle.isForgotten(created({ expireTime: 0 }), NOW)).toBe(false);
  });

  test("a request without an id is never a repeat", () => {
    const job = inState("queued", { requestId: "" });
    expect(decide(job, { requestId: "", onDuplicate: "reject" })).toEqual({ kind: "exists" });
    const joined = decide(job, { requestId: "", onDuplicate: "rerun_if_failed" });
    expect(joined).toMatchObject({ disposition: "joined", rememberRequest: false });
  });

  test("the creator's repeat wins over everything", () => {
    for (const state of ["queued", "running", "succeeded", "failed", "cancelled"] as const) {
      const job = inState(state, { requestId: question.requestId });
      const asked = { onDuplicate: "reject" as const, digest: "ff".repeat(16), rejectPayloadMismatch: true };
      expect(decide(job, asked)).toMatchObject({ kind: "answer", disposition: "created", payloadMismatch: false });
    }
  });

  test("a joiner's repeat finds its run, also one that was cancelled since", () => {
    const job = inState("cancelled", { joinedBy: [question.requestId] });
    expect(decide(job, { onDuplicate: "rerun_if_failed" })).toMatchObject({ kind: "answer", disposition: "joined" });
  });

  test("a mismatch is said, or refused", () => {
    const digest = "ff".repeat(16);
    expect(decide(inState("queued"), { digest })).toMatchObject({ disposition: "joined", payloadMismatch: true });
    expect(decide(inState("queued"), { digest, rejectPayloadMismatch: true })).toEqual({ kind: "mismatch" });
    expect(decide(inState("queued"), { digest: "", rejectPayloadMismatch: true })).toMatchObject({
      payloadMismatch: false,
    });
  });
});

describe("versions and fences", () => {
  test("start from the clock, and rise although it does not", () => {
    const first = created();
    expect(first.version).toBe(NOW);
    const again = lifecycle.create(specOf("a"), "", "", 2, NOW - 5_000_000, { ...first, version: NOW + 7, fence: 9 });
    expect(again).toMatchObject({ version: NOW + 8, fence: 9 });
    expect(lifecycle.claim(again, terms, 5).fence).toBe(10);
    expect(lifecycle.claim(again, terms, NOW).fence).toBe(NOW);
  });

  test("renewals are not visible", () => {
    const job = running();
    expect(lifecycle.extend(job, "b2.l2", 1_000, NOW)).toEqual({ ...job, owner: "b2.l2", leaseUntil: MS + 1_000 });
    expect(lifecycle.shorten(job, 5_000, NOW)).toEqual({ ...job, leaseUntil: MS + 5_000 });
    expect(lifecycle.shorten(job, 50_000, NOW)).toEqual(job);
  });
});

describe("failing", () => {
  test("backs off, within the attempts", () => {
    const job = running({ maxAttempts: 2 });
    expect(lifecycle.fail(job, failure(), NOW)).toMatchObject({ state: "scheduled", dueTime: MS + 5_000, crashes: 0 });
    expect(lifecycle.fail(job, failure({ jitter: 0 }), NOW)).toMatchObject({ state: "queued", dueTime: 0 });
    expect(lifecycle.fail(job, failure({ retryAfterMs: 7 }), NOW)).toMatchObject({ dueTime: MS + 7 });
    expect(lifecycle.fail({ ...job, attempt: 2 }, failure(), NOW)).toMatchObject({ state: "failed" });
    expect(lifecycle.fail(job, failure({ retryable: false }), NOW)).toMatchObject({ state: "failed" });
  });

  test("only a failure that ended the job keeps its detail", () => {
    expect(lifecycle.fail(running(), failure(), NOW).failureDetail).toBeUndefined();
    expect(lifecycle.fail(running(), failure({ retryable: false }), NOW).failureDetail).toEqual(failure().detail);
  });

  test(`keeps the newest ${MAX_ATTEMPTS_KEPT} attempts`, () => {
    let job = running({ maxAttempts: 100 });
    for (let n = 0; n < MAX_ATTEMPTS_KEPT + 3; n++) {
      job = lifecycle.claim(lifecycle.fail(job, failure({ jitter: 0 }), NOW), terms, NOW);
    }
    expect(job.history.map(({ number }) => number)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
  });

  test("crashes in a row: undelivered and lost leases count alike, an unsent delivery does not", () => {
    const once = lifecycle.undelivered(running({ maxAttempts: 100 }), true, NOW);
    expect(once).toMatchObject({ state: "queued", attempt: 0, crashes: 1 });
    const lost = lifecycle.expireLease(lifecycle.claim(once, terms, NOW), NOW);
    expect(lost).toMatchObject({ state: "queued", attempt: 1, crashes: 2 });
    const unsent = lifecycle.undelivered(lifecycle.claim(lost, terms, NOW), false, NOW);
    expect(unsent).toMatchObject({ state: "queued", attempt: 1, crashes: 2 });
    const last = lifecycle.expireLease(running({ maxAttempts: 100, crashes: MAX_DELIVERIES - 1 }), NOW);
    expect(last).toMatchObject({ state: "failed", failureKind: "crash_loop" });
  });

  test("which of the two is over", () => {
    const job = running({ leaseUntil: MS + 10, runUntil: MS + 10 });
    expect(lifecycle.overdue(job, NOW)).toBeUndefined();
    expect(lifecycle.overdue(job, NOW + 10_000)).toBe("run_timeout");
    expect(lifecycle.overdue({ ...job, runUntil: MS + 11 }, NOW + 10_000)).toBe("lease_expired");
    expect(lifecycle.overdue({ ...job, runUntil: 0 }, NOW + 10_000)).toBe("lease_expired");
    expect(lifecycle.overdue(created(), NOW + 10_000_000)).toBeUndefined();
  });
});

test("start_by: waiting, never started, with a start_timeout", () => {
  expect(lifecycle.startBy(created())).toBe(0);
  const job = created({ startTimeoutMs: 500 });
  expect(lifecycle.startBy(job)).toBe(MS + 500);
  const started = lifecycle.claim(job, terms, NOW);
  expect(lifecycle.startBy(started)).toBe(0);
  expect(lifecycle.startBy(lifecycle.release(started, NOW))).toBe(0);
  const again = lifecycle.retry(lifecycle.cancel(job, NOW), 2, NOW + 1_000_000);
  expect(lifecycle.startBy(again)).toBe(MS + 1_500);
});

test("lists are bounded, newest last", () => {
  let job = created();
  for (let n = 0; n < MAX_JOINED_BY + 2; n++) job = lifecycle.rememberJoin(job, `${n}`);
  expect(job.joinedBy).toHaveLength(MAX_JOINED_BY);
  expect(job.joinedBy.at(-1)).toBe(`${MAX_JOINED_BY + 1}`);
  let list: string[] = [];
  for (let n = 0; n < MAX_LISTENERS + 2; n++) list = lifecycle.listen(frozen(list), `b${n}`);
  expect(list).toHaveLength(MAX_LISTENERS);
  expect(list[0]).toBe("b2");
  expect(lifecycle.listen(frozen(list), "b5")).toEqual(list);
});

describe("backoff", () => {
  const backoff = { initialMs: 100, multiplier: 2, maxMs: 30_000 };

  test("doubles up to its bound, times the jitter", () => {
    expect([1, 2, 3, 4].map((n) => backoffMs(backoff, n, 0.5))).toEqual([50, 100, 200, 400]);
    expect(backoffMs(backoff, 1_000, 0.999)).toBe(29_970);
    expect(backoffMs(backoff, 1_000_000_000, 0)).toBe(0);
  });

  test("of a first wait above the bound", () => {
    expect(backoffMs({ initialMs: 100, multiplier: 2, maxMs: 10 }, 1, 0.999)).toBe(9);
  });

  test("with a multiplier of 1 or below does not grow, and ends", () => {
    expect(backoffMs({ ...backoff, multiplier: 1 }, 1_000, 0.5)).toBe(50);
    expect(backoffMs({ ...backoff, multiplier: 0.5 }, 3, 0.999)).toBe(24);
  });
});

describe("text", () => {
  test("is cut between characters", () => {
    expect(lifecycle.cutUtf8("abc", 3)).toBe("abc");
    expect(lifecycle.cutUtf8("abcd", 3)).toBe("abc");
    expect(lifecycle.cutUtf8("aü", 2)).toBe("a");
    expect(lifecycle.cutUtf8("a🙂b", 4)).toBe("a");
    expect(lifecycle.cutUtf8("a🙂b", 5)).toBe("a🙂");
    expect(lifecycle.cutUtf8("", 0)).toBe("");
    expect(lifecycle.cutUtf8("🙂", 3)).toBe("");
  });

  test("an attempt's message is one bounded line without control characters", () => {
    expect(lifecycle.attemptMessage("a\n\tb\u0000c\u007fd")).toBe("a b c d");
    for (const character of ["x", "ü", "日", "🙂"]) {
      const cut = lifecycle.attemptMessage(character.repeat(1_000));
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(MAX_ATTEMPT_MESSAGE_BYTES);
      expect(Buffer.byteLength(cut)).toBeGreaterThan(MAX_ATTEMPT_MESSAGE_BYTES - 4);
      expect(character.repeat(1_000).startsWith(cut)).toBe(true);
    }
  });
});

describe("what callers see", () => {
  test("a failure's text is derived where no worker gave one", () => {
    const cancelled = lifecycle.statusOf(lifecycle.cancel(created(), NOW));
    expect(cancelled.outcome).toMatchObject({ failure: { kind: "cancelled", status: { code: 1 }, attempts: [] } });
    const late = lifecycle.statusOf(lifecycle.expireStart(created({ startTimeoutMs: 5 }), NOW));
    expect(late.outcome).toMatchObject({ failure: { kind: "start_timeout", status: { code: 4 } } });
  });

  test("no outcome before the end", () => {
    for (const job of [created(), running(), lifecycle.fail(running(), failure(), NOW)]) {
      expect(lifecycle.statusOf(job).outcome).toBeUndefined();
    }
  });
});
