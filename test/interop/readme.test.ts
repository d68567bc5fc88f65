/** The second block of examples/python/README.md, as a shell runs it; the first made the environment: scripts/interop.mjs. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { createBroker } from "../../server/index.ts";
import { Child, root } from "../support/processes.ts";

test("the worker, the caller, and a call from anywhere else", async () => {
  await using broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  const page = readFileSync(join(root, "examples/python/README.md"), "utf8");
  const [, commands = ""] = [...page.matchAll(/^```\n(.*?)^```$/gms)].map(([, text = ""]) => text);
  const script = commands.replaceAll("127.0.0.1:7455", broker.grpcAddress);
  expect(script).not.toBe(commands);
  const cwd = mkdtempSync(join(tmpdir(), "queuecall-readme-"));
  const given = [
    "trap 'kill $!' EXIT",
    // In the background the shell becomes the program, so that its id is the program's.
    'python() { program=$1; shift; [ $BASHPID = $$ ] || exec "$PYTHON" "$EXAMPLE/$program" "$@"; "$PYTHON" "$EXAMPLE/$program" "$@"; }',
    'npx() { shift; "$NODE" "$CLI" "$@"; }',
  ];
  const env = {
    EXAMPLE: join(root, "examples/python"),
    CLI: join(root, "cli/main.ts"),
    NODE: process.execPath,
    QUEUECALL_URL: `http://${broker.grpcAddress}`,
    PYTHON: process.env.PYTHON ?? "python3",
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
  };
  const args = ["-c", [...given, script].join("\n")];
  const { code, stdout, stderr } = await new Child(args, { program: "bash", cwd, env }).ended;
  rmSync(cwd, { recursive: true });
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
