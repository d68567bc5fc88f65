/** The promises of docs/guarantees.md in simulated histories: docs/testing.md says how to read a failure. */
import { describe, expect, test } from "vitest";
import { planOf } from "./plan.ts";
import { run } from "./run.ts";
import { simulate, Totals } from "./simulate.ts";

const SEEDS = 300;
const AT_A_TIME = 10;
/** Far more than it takes, for machines that are busy. Milliseconds. */
const PATIENCE_MS = 90_000;

/** A simulation in which these do not happen shows nothing. */
const worthIt = [
  "stale settle refused",
  "duplicate settle",
  "lease: adopt",
  "lease lost: adopt",
  "lease lost: renew",
  "lease over: expired",
  "lease over: undelivered",
  "verb reply-lost",
  "verb not-done",
  "verb late",
  "verb twice",
  "hint lost",
  "hint doubled",
  "grace period",
  "failure: crash_loop",
  "failure: run_timeout",
  "failure: start_timeout",
  "failure: cancelled",
  "session closed: SESSION_SUPERSEDED",
  "session closed: silent",
  "refused: STORE_UNAVAILABLE",
  "refused: QUEUE_FULL",
  "re-attached wait",
  "leased at once",
  "leased at once, found again",
  "claimed by a settlement",
  "drain done",
  "retry",
];

const totals = new Totals();

describe("every promise is kept", () => {
  const starts = Array.from({ length: SEEDS / AT_A_TIME }, (_, i) => 1 + i * AT_A_TIME);
  test.each(starts)(`in ${AT_A_TIME} histories from seed %i on`, { timeout: PATIENCE_MS }, async (first) => {
    for (let seed = first; seed < first + AT_A_TIME; seed++) expect(await simulate(seed, totals)).toBeUndefined();
  });

  test("while what is worth a simulation happened", () => {
    const missing = worthIt.filter((what) => !totals.counts.has(what));
    expect({ seeds: totals.seeds, missing }).toEqual({ seeds: SEEDS, missing: [] });
  });
});

test("a seed is one history", async () => {
  for (const seed of [3, 8, 14]) {
    const [one, other] = [await run(planOf(seed)), await run(planOf(seed))];
    expect(one.hash).toBe(other.hash);
  }
});
