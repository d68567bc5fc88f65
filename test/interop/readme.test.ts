/** What the READMEs of the examples have a shell do, after their first block; that one made the programs: scripts/interop. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createBroker } from "../../server/index.ts";
import { Child, root } from "../support/processes.ts";
import { absent, type Language, languages } from "./rig.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-readme-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** In the background the shell becomes the program, so that its id is the program's. */
const python =
  'python() { program=$1; shift; [ $BASHPID = $$ ] || exec "$PYTHON" "$EXAMPLE/$program" "$@"; "$PYTHON" "$EXAMPLE/$program" "$@"; }';

/** Where a reader would be by now, and what stands in place of his activated environment. */
const readers: Record<Language, { page: string; cwd: () => string; given: string }> = {
  Python: { page: "examples/python/README.md", cwd: () => folder, given: python },
  Go: { page: "examples/go/README.md", cwd: () => process.env.GO_EXAMPLE ?? "", given: "" },
};

test.skip.for(absent)("%s: %s", () => {});

test.for(languages)("%s: the worker, the caller, and a call from anywhere else", async (language) => {
  await using broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  const { page, cwd, given } = readers[language];
  const [, commands = ""] = [...readFileSync(join(root, page), "utf8").matchAll(/^```\n(.*?)^```$/gms)].map(
    ([, text = ""]) => text,
  );
  const script = commands.replaceAll("127.0.0.1:7455", broker.grpcAddress);
  expect(script).not.toBe(commands);
  const env = {
    EXAMPLE: dirname(join(root, page)),
    CLI: join(root, "cli/main.ts"),
    NODE: process.execPath,
    QUEUECALL_URL: `http://${broker.grpcAddress}`,
    PYTHON: process.env.PYTHON ?? "python3",
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
  };
  const npx = 'npx() { shift; "$NODE" "$CLI" "$@"; }';
  const args = ["-c", ["trap 'kill $!' EXIT", given, npx, script].join("\n")];
  const { code, stdout, stderr } = await new Child(args, { program: "bash", cwd: cwd(), env }).ended;
  const greeting = { greeting: "Hello, Ada!" };
  expect(
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
    stderr,
  ).toEqual([greeting, greeting]);
  expect(code).toBe(0);
});
