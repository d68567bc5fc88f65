/** What GitHub runs: scripts that exist, no more rights than needed, and a package that is tried on every Node it promises. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { root } from "../support/processes.ts";

interface Step {
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}
interface Job {
  permissions?: Record<string, string>;
  "timeout-minutes"?: number;
  strategy?: { matrix: { node: string[] } };
  steps: Step[];
}

const folder = join(root, ".github/workflows");
const workflows = readdirSync(folder).map((file) => [file, parse(readFileSync(join(folder, file), "utf8"))] as const);
const { scripts, engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

describe.each(workflows)("%s", (_, { permissions, jobs }) => {
  const all = Object.values<Job>(jobs);
  const steps = all.flatMap((job) => job.steps);

  test("may read, and nothing else by default; every job ends", () => {
    expect(Object.entries(permissions).filter(([name, right]) => name !== "contents" || right !== "read")).toEqual([]);
    for (const job of all) expect(job["timeout-minutes"]).toBeGreaterThan(0);
  });

  test("takes actions of GitHub only, in a named version, and keeps no credentials", () => {
    const used = steps.flatMap(({ uses }) => uses ?? []);
    for (const each of used) expect(each).toMatch(/^actions\/[\w-]+@(v\d+|[0-9a-f]{40})$/);
    for (const step of steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"))) {
      expect(step.with?.["persist-credentials"]).toBe(false);
    }
  });

  test("runs npm scripts that there are, and puts nothing from outside into a shell", () => {
    const runs = steps.flatMap(({ run }) => run ?? []);
    const named = runs.flatMap((run) => [...run.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!));
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
    for (const run of runs) expect(run).not.toContain("${{");
  });
});

test("the package is tried on the oldest Node that it allows", () => {
  const ci = workflows.find(([file]) => file === "ci.yml")![1];
  const oldest = engines.node.replace(">=", "");
  expect(ci.jobs.package.strategy.matrix.node).toContain(`${oldest}.0`);
});

test("only publishing may ask for an identity", () => {
  const asking = workflows.flatMap(([file, { jobs }]) =>
    Object.entries<Job>(jobs)
      .filter(([, { permissions }]) => permissions?.["id-token"] === "write")
      .map(([name]) => `${file} ${name}`),
  );
  expect(asking).toEqual(["release.yml npm"]);
});
