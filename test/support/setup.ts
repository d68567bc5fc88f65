/**
 * Runs before each test file: a rejection that nobody handles fails the test it happened in, not only the run; so does
 * one in a process that the test started.
 */
import { afterEach, expect } from "vitest";
import { breakages } from "./processes.ts";

const unhandled: unknown[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));

afterEach(async () => {
  // Node reports a rejection once the turn it happened in is over.
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled.splice(0), "unhandled rejections").toEqual([]);
  expect(breakages(), "processes that broke").toEqual([]);
});
