/** What the READMEs of the examples have a shell do, after their first block; that one made the programs: scripts/interop. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { Child, root } from "../support/processes.ts";
import { announced, Stub } from "../transparent/rig.ts";
import { absent, type Language, languages } from "./rig.ts";

/** In the background the shell becomes the program, so that its id is the program's. */
const python =
  'python() { program=$1; shift; [ $BASHPID = $$ ] || exec "$PYTHON" "$EXAMPLE/$program" "$@"; "$PYTHON" "$EXAMPLE/$program" "$@"; }';

/** Where a reader would be by now, and what stands in place of his activated environment. */
const readers: Record<Language, { page: string; cwd: string; given: string }> = {
  Python: { page: "examples/python/README.md", cwd: join(root, "examples/python"), given: python },
  Go: { page: "examples/go/README.md", cwd: process.env.GO_EXAMPLE ?? "", given: "" },
};

/** A program in place of the shell that starts it. */
function become(program: string): string {
  if (program === "npx queuecall") return 'exec "$NODE" "$CLI"';
  return program === "python" ? 'exec "$PYTHON"' : `exec ${program}`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test.skip.for(absent)("%s: %s", () => {});

const npx = 'npx() { shift; "$NODE" "$CLI" "$@"; }';

/** Runs a script of a page where its reader would be by now. */
function shell(language: Language, broker: BrokerServer, script: string): Child {
  const { page, cwd, given } = readers[language];
  const env = {
    EXAMPLE: dirname(join(root, page)),
    CLI: join(root, "cli/main.ts"),
    NODE: process.execPath,
    QUEUECALL_URL: `http://${broker.grpcAddress}`,
    PYTHON: process.env.PYTHON ?? "python3",
    PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
  };
  return new Child(["-c", [given, npx, script].join("\n")], { program: "bash", cwd, env });
}

/** The blocks of its page that come after the setup, with our broker in place of the default one. */
function blocks(language: Language, broker: BrokerServer): string[] {
  const text = readFileSync(join(root, readers[language].page), "utf8");
  const found = [...text.matchAll(/^```\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  return found.slice(1).map((block) => block.replaceAll("127.0.0.1:7455", broker.grpcAddress));
}

test.for(languages)("%s: the worker, the caller, and a call from anywhere else", async (language) => {
  await using broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  const [script = ""] = blocks(language, broker);
  const { code, stdout, stderr } = await shell(language, broker, `trap 'kill $!' EXIT\n${script}`).ended;
  const greeting = { greeting: "Hello, Ada!" };
  const said = stdout.trim().split("\n");
  expect(
    said.map((line) => JSON.parse(line)),
    stderr,
  ).toEqual([greeting, greeting]);
  expect(code).toBe(0);
});

const sessions = languages.flatMap((language) => [1, 2].map((block) => [language, block] as const));

test.for(sessions)("%s: somebody's own service, block %d", async ([language, block]) => {
  await using broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  const script = blocks(language, broker)[block] ?? "";
  const lines = script
    .replaceAll("9000", String(await freePort()))
    .trim()
    .split("\n");
  // What runs in the background is a shell that becomes it; the rest follows once a worker has come.
  const background = lines.filter((line) => line.endsWith(" &")).map((line) => line.slice(0, -2));
  await using running = new AsyncDisposableStack();
  for (const line of background) running.use(shell(language, broker, line.replace(/^(npx queuecall|\S+)/, become)));
  using stub = new Stub(broker.grpcAddress);
  await announced(stub);
  const [line = ""] = lines.filter((each) => !each.endsWith(" &"));
  const [command = "", expected = ""] = line.split(/ +# /);
  expect(await shell(language, broker, command).ended).toMatchObject({ code: 0, stdout: `${expected}\n` });
});
