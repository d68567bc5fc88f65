/** `npm run demo`: a broker, a worker and a caller, each a process of its own; ends by itself and leaves nothing behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "queuecall-demo-"));
const children: ChildProcess[] = [];
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

try {
  console.log("Starting a broker that stores in SQLite, and a worker.");
  const storage = `sqlite:${join(folder, "queuecall.db")}`;
  const ports = ["--grpc", "127.0.0.1:0", "--http", "off"];
  const broker = start("cli/main.ts", "serve", "--storage", storage, ...ports, "--log-level", "warn");
  const [ready] = await Promise.race([once(lines(broker), "line"), ended(broker).then(() => [""])]);
  const address = /^ready grpc=(\S+)/.exec(ready)?.[1];
  if (!address) throw new Error("the broker did not start");
  console.log(`  ${ready}`);

  const worker = start("examples/demo/worker.ts", `http://${address}`);
  lines(worker).on("line", (line) => console.log(`  [worker] ${line}`));
  const caller = start("examples/demo/caller.ts", `http://${address}`);
  caller.stdout?.pipe(process.stdout, { end: false });
  const code = await ended(caller);

  worker.kill("SIGTERM");
  const workerCode = await ended(worker);
  broker.kill("SIGTERM");
  const brokerCode = await ended(broker);
  if (code !== 0 || workerCode !== 0 || brokerCode !== 0) {
    throw new Error(`exit codes: caller ${code}, worker ${workerCode}, broker ${brokerCode}`);
  }
  console.log(`
Worker and broker drained; done. Try next:
  npm start                       a broker on 127.0.0.1:7455
  npm run demo -- worker          this worker on it; the code is in examples/demo
  npm run -s queuecall -- call greetings --data '{"name":"you"}'
  npm run -s queuecall -- --help`);
} catch (error) {
  console.error(`the demo failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  for (const child of children) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
}

function start(...args: string[]): ChildProcess {
  // Settings of the person who looks on are not for the demo.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("QUEUECALL_")));
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

function lines(child: ChildProcess) {
  if (!child.stdout) throw new Error("no stdout");
  return createInterface({ input: child.stdout });
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode;
}
