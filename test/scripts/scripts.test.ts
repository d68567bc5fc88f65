import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { complete, root } from "../support/processes.ts";

const { isOlder, packagesMatch } = await import(`${root}scripts/setup.mjs`);
const { difference } = await import(`${root}scripts/generated.mjs`);

describe("node_modules is what the lockfile says", () => {
  const locked = {
    "": { version: "1.0.0" },
    "node_modules/a": { version: "1.0.0", integrity: "x" },
    "node_modules/for-macos": { version: "1.0.0", optional: true },
  };
  const installed = { "node_modules/a": { version: "1.0.0", integrity: "x" } };

  test("or not", () => {
    expect(packagesMatch(locked, installed)).toBe(true);
    expect(packagesMatch(locked, { "node_modules/a": { version: "1.0.1", integrity: "x" } })).toBe(false);
    expect(packagesMatch(locked, { "node_modules/a": { version: "1.0.0", integrity: "y" } })).toBe(false);
    expect(packagesMatch(locked, {})).toBe(false);
    expect(packagesMatch(locked, undefined)).toBe(false);
  });
});

test("versions compare by major and minor", () => {
  expect(isOlder("v22.12.9", [22, 13])).toBe(true);
  expect(isOlder("v22.13.0", [22, 13])).toBe(false);
  expect(isOlder("v24.0.0", [22, 13])).toBe(false);
  expect(isOlder("6.2.7", [7, 0])).toBe(true);
  expect(isOlder("", [7, 0])).toBe(true);
});

test("generated code that drifted is named", () => {
  const folder = mkdtempSync(join(tmpdir(), "queuecall-drift-"));
  try {
    for (const [side, text] of [
      ["a", "new"],
      ["b", "old"],
    ] as const) {
      mkdirSync(join(folder, side, "deep"), { recursive: true });
      writeFileSync(join(folder, side, "same.js"), "same");
      writeFileSync(join(folder, side, "deep", "changed.js"), text);
    }
    writeFileSync(join(folder, "a", "added.js"), "");
    expect(difference(join(folder, "a"), join(folder, "b"))).toEqual(["added.js", join("deep", "changed.js")]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe("run.mjs", () => {
  test("names its tasks", async () => {
    const { code, stdout, stderr } = await complete(["scripts/run.mjs", "tset"]);
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toMatch(/^usage: node scripts\/run\.mjs demo\|.*test.*\n$/);
  });

  test("says what is wrong with the Redis it was given", async () => {
    const { code, stdout, stderr } = await complete(["scripts/run.mjs", "test"], {
      env: { REDIS_SERVER: "/no/redis" },
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toBe("cannot run /no/redis (REDIS_SERVER names the Redis to test with)\n");
  });

  test("passes arguments and the exit code on", async () => {
    const { code, stdout } = await complete(["scripts/run.mjs", "cli", "--version"]);
    expect([code, stdout]).toEqual([0, "0.1.0\n"]);
    expect((await complete(["scripts/run.mjs", "start", "--nonsense"])).code).toBe(64);
  });
});
