/** Runs before each test file: a rejection that nobody handles fails the test it happened in, not only the run. */
import { afterEach, expect } from "vitest";

const unhandled: unknown[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));

afterEach(async () => {
  // Node reports a rejection once the turn it happened in is over.
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled.splice(0), "unhandled rejections").toEqual([]);
});
