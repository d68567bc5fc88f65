import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { durationOf } from "../../protocol/duration.ts";
import { MAX_DURATION_MS } from "../../protocol/limits.ts";

test.each([0, 1, 999, 1_000, 1_001, 30_000, 2 ** 31 + 7, MAX_DURATION_MS])("%d ms are what the library says", (ms) => {
  expect(durationOf(ms)).toEqual(durationFromMs(ms));
});
