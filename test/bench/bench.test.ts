/** The benchmark works: every kind of measurement, in its smallest form. What it measures is looked at by people. */
import { expect, test } from "vitest";
import { goals, installed } from "../../bench/rows/goals.ts";
import { growth } from "../../bench/rows/growth.ts";
import type { Scenario } from "../../bench/rows/scenario.ts";
import { shapes } from "../../bench/rows/shapes.ts";
import { complete } from "../support/processes.ts";
import { redisUnavailable } from "../support/redis.ts";

const scenarios: Scenario[] = [...goals, ...installed, ...shapes, ...growth];

test("scenarios have names of their own, and ratios of what they measure", () => {
  expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
  for (const { name, contenders, ratios = [] } of scenarios) {
    for (const { of, over = of } of ratios)
      expect(Object.keys(contenders), name).toEqual(expect.arrayContaining([of, over]));
  }
});

/** One of each kind: enqueue and wait, unary gRPC, drain, memory of Redis and of the broker. */
const kinds = ["c1", "unary", "drain", "memory", "held"];

test.skipIf(redisUnavailable)(
  `each kind of measurement gives figures${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`,
  { timeout: 120_000 },
  async () => {
    const { code, stdout, stderr } = await complete(["bench/run.ts", "--tiny", "--only", kinds.join(",")]);
    expect(code, stderr).toBe(0);
    for (const { title, contenders } of scenarios.filter(({ name }) => kinds.includes(name))) {
      const section = stdout.split("── ").find((text) => text.startsWith(title));
      expect(section).toMatch(new RegExp(`${Object.keys(contenders)[0]} +\\d`));
      expect(section).not.toMatch(/NaN|undefined/);
    }
  },
);
