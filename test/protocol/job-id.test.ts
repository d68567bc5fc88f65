import { expect, it } from "vitest";
import { generateJobId } from "../../protocol/job-id.ts";
import { ManualClock } from "../../protocol/manual-clock.ts";

it("makes UUIDv7s that sort by time", async () => {
  const clock = new ManualClock(0x0190_0000_0000);
  const first = generateJobId(clock);
  expect(first).toMatch(/^01900000-0000-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(generateJobId(clock)).not.toBe(first);
  await clock.advance(1);
  expect(generateJobId(clock) > first).toBe(true);
});
