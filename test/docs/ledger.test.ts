/**
 * Every block of the documentation is run by a test, or says here why it is not. A block that is added is red until it
 * has its line. Pictures and pseudo-code (`text`) are not run; the page says what runs in their place.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { root } from "../support/processes.ts";
import { type Block, blocks } from "./blocks.ts";

/** Page, beginning of the block, the test that runs it. */
const ran: [page: string, begins: string, by: string][] = [
  ["README.md", "npm run demo", "test/docs/programs.test.ts"],
  ["README.md", "import { createWorker", "test/docs/programs.test.ts"],
  ["README.md", "import { createQueueClient", "test/docs/programs.test.ts"],
  ["README.md", "queuecall call fetch", "test/docs/programs.test.ts"],
  ["docs/migrate.md", "// now, the worker", "test/docs/programs.test.ts"],
  ["docs/migrate.md", "// now\n", "test/docs/programs.test.ts"],
  ["docs/observability.md", "scrape_configs:", "test/docs/prometheus.test.ts"],
  ["docs/operations.md", "npx queuecall serve", "test/docs/programs.test.ts"],
  ["docs/operations.md", "max-queue-length: 100000", "test/config.test.ts"],
  ["docs/operations.md", "queuecall health", "test/docs/programs.test.ts"],
  ["docs/operations.md", "buf curl", "test/docs/programs.test.ts"],
  ["docs/protocol.md", "queuecall proto", "test/docs/programs.test.ts"],
  ["README.md", "queuecall forward", "test/transparent/forward.test.ts"],
  ["docs/transparent.md", "queuecall serve\nqueuecall forward", "test/transparent/forward.test.ts"],
  ["docs/transparent.md", "curl", "test/transparent/http.test.ts"],
  ["docs/transparent.md", "buf curl", "test/transparent/http.test.ts"],
  ["docs/security.md", "queuecall serve", "test/docs/programs.test.ts"],
  ["docs/security.md", "queuecall token", "test/docs/programs.test.ts"],
  ["docs/security.md", "- name: mailer", "test/docs/programs.test.ts"],
  ["examples/transparent/README.md", "node examples/transparent/server", "test/examples/examples.test.ts"],
  ["examples/transparent/README.md", "node examples/transparent/worker", "test/examples/examples.test.ts"],
  ["examples/java/README.md", "mvn ", "scripts/interop/java.mjs"],
  ["examples/java/README.md", "node ../transparent", "test/interop/java/java.test.ts"],
  ["examples/java/README.md", "java ", "test/interop/java/java.test.ts"],
  ["examples/go/README.md", "npx queuecall proto", "scripts/interop/go.mjs"],
  ["examples/go/README.md", "bin/greeter", "test/interop/readme.test.ts"],
  ["examples/go/README.md", "bin/thumbnailer-worker", "test/interop/readme.test.ts"],
  ["examples/go/README.md", "bin/thumbnailer-server", "test/interop/readme.test.ts"],
  ["examples/python/README.md", "python thumbnailer_worker", "test/interop/readme.test.ts"],
  ["examples/python/README.md", "python thumbnailer_server", "test/interop/readme.test.ts"],
  ["examples/python/README.md", "python3 -m venv", "scripts/interop/python.mjs"],
  ["examples/python/README.md", "python minimal_worker.py", "test/interop/readme.test.ts"],
];

/** Page, beginning, why nobody runs it. */
const notRun: [page: string, begins: string, why: string][] = [
  ["docs/testing.md", "npm run sim", "minutes of simulated histories; npm test has some of them: test/sim"],
  ["docs/testing.md", " test/sim/plan.ts", "a list of files"],
  ["docs/testing.md", "npm run chaos", "minutes of faults on real processes: .ci/run runs one"],
  ["docs/migrate.md", "// before\nconst queue = new Queue({", "code of @platformatic/job-queue"],
  ["docs/migrate.md", '// before\nconst queue = new Queue("mail"', "code of BullMQ"],
  ["docs/transparent.md", "const thumbnailer", "examples/transparent/caller.ts is this as a program: test/examples"],
  [
    "docs/observability.md",
    "groups:",
    "PromQL is Prometheus' own; metrics and labels in it: test/docs/prometheus.test.ts",
  ],
];

const opens = ({ file, lines }: Block, page: string, begins: string) =>
  file === page && `${lines.join("\n")}\n`.startsWith(begins);
const where = ({ file, line, lines }: Block) => `${file}:${line}: ${lines[0]}`;

test("every block has its line, and every line its block", () => {
  const lines = [...ran, ...notRun];
  const code = blocks.filter(({ info }) => info !== "text");
  const lost = code.filter((block) => !lines.some(([page, begins]) => opens(block, page, begins)));
  expect(lost.map(where), "no line in `ran` or `notRun` above: run it in a test, or say why not").toEqual([]);
  const idle = lines.filter(([page, begins]) => code.filter((block) => opens(block, page, begins)).length !== 1);
  expect(idle).toEqual([]);
});

test.each(ran)("%s: %s… is run by %s", (page, _, by) => {
  expect(readFileSync(join(root, by), "utf8")).toContain(page);
});

describe("not run", () => {
  for (const [page, begins, why] of notRun) test.skip(`${page}: ${begins.split("\n").join(" ")}… (${why})`);
});
