/** What the documentation shows is run: the programs of the README against each other, its command, and those that start and ask a broker. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { Child, complete, root } from "../support/processes.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

let folder: string;
let broker: BrokerServer;
let redis: RedisServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-programs-"));
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  redis = await startRedis();
});
afterAll(async () => {
  await broker.close();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The blocks of a page with that info string, with our broker in place of the default one. */
function blocks(page: string, info: string): string[] {
  const found = readFileSync(join(root, page), "utf8").matchAll(new RegExp(`^\`\`\`${info}\n(.*?)^\`\`\`$`, "gms"));
  return [...found].map(([, text = ""]) => text.replaceAll("127.0.0.1:7455", broker.grpcAddress));
}

function program(name: string, text: string): string[] {
  const file = join(folder, name);
  writeFileSync(file, text);
  return ["--import", join(root, "test/docs/as-published.ts"), file];
}

const env = () => ({ QUEUECALL_URL: `http://${broker.grpcAddress}` });

test("README: the worker, the caller, and the command", async () => {
  const [worker = "", caller = ""] = blocks("README.md", "ts");
  const [command = ""] = blocks("README.md", "").filter((text) => text.startsWith("queuecall call"));
  await using running = new Child(program("worker.ts", worker));
  expect(await complete(program("caller.ts", caller))).toMatchObject({ code: 0, stderr: "" });
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? "").slice(1);
  const { code, stdout } = await complete(["cli/main.ts", ...words], { env: env() });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ status: 200 });
  expect(running.stderr).not.toMatch(/Error/);
});

test("docs/operations.md: a broker is started, on SQLite and on Redis, and asked how it is", async () => {
  const [start = ""] = blocks("docs/operations.md", "");
  const commands = start
    .trim()
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim().split(/\s+/).slice(2));
  expect(commands).toHaveLength(2);
  for (const words of commands) {
    const cwd = mkdtempSync(join(tmpdir(), "queuecall-docs-"));
    const args = words.map((word) => word.replace("redis://127.0.0.1:6379", redis.url));
    const child = new Child([join(root, "cli/main.ts"), ...args], { cwd, env: { QUEUECALL_GRPC: "127.0.0.1:0" } });
    await child.line(
      /^ready grpc=127\.0\.0\.1:\d+ http=off storage=(sqlite|redis):\S+ durability=(file|redis-volatile)$/,
    );
    expect(await child.kill("SIGTERM")).toMatchObject({ code: 0 });
    rmSync(cwd, { recursive: true });
  }
  const [ask = ""] = blocks("docs/operations.md", "sh");
  for (const line of ask.trim().split("\n")) {
    const words = line.replace(/#.*/, "").trim().split(/\s+/).slice(1);
    expect(await complete(["cli/main.ts", ...words], { env: env() })).toMatchObject({ code: 0 });
  }
});

test("docs/migrate.md: the code that is ours", async () => {
  const given = `
    import { createQueueClient } from "queuecall/client";
    import { createWorker } from "queuecall/worker";
    const url = ${JSON.stringify(env().QUEUECALL_URL)};
    const send = async () => "sent";
    const to = "you";
    const signal = AbortSignal.timeout(1_000);
    const shared = createQueueClient({ url });
  `;
  const [platformatic = "", bullmq = ""] = blocks("docs/migrate.md", "ts fragment");
  // Its worker runs until the signal; its caller is another program.
  const [worker = "", caller = ""] = platformatic.split("// now, the caller");
  const working = complete(program("mail-worker.ts", given.replace("1_000", "4_000") + worker));
  const calling = await complete(
    program("mail-caller.ts", `${given}${caller}\nif (result !== "sent") process.exit(9);`),
  );
  expect(calling).toMatchObject({ code: 0, stderr: "" });
  const shortened = `${given}const client = shared;${bullmq}\nif (result !== "sent") process.exit(9); await shared.close();`;
  expect(await complete(program("bull.ts", shortened))).toMatchObject({ code: 0 });
  expect(await working).toMatchObject({ code: 0 });
}, 40_000);

test("docs/protocol.md: the .proto files are written", async () => {
  const [line = ""] = (blocks("docs/protocol.md", "")[0] ?? "").split("\n");
  const cwd = mkdtempSync(join(tmpdir(), "queuecall-docs-"));
  const words = line.replace(/#.*/, "").trim().split(/\s+/).slice(1);
  expect(await complete([join(root, "cli/main.ts"), ...words], { cwd })).toMatchObject({ code: 0 });
  expect(readFileSync(join(cwd, "proto/queuecall/v1/worker.proto"), "utf8")).toContain("service WorkerService");
  rmSync(cwd, { recursive: true });
});

test("docs/security.md: a token is made, and the file of tokens is one that a broker takes", async () => {
  const made = blocks("docs/security.md", "").find((text) => text.startsWith("queuecall token")) ?? "";
  const words = [...(made.split("\n")[0] ?? "").replace(/#.*/, "").matchAll(/'([^']*)'|(\S+)/g)];
  const args = words.map(([, quoted, bare]) => quoted ?? bare ?? "").slice(1);
  const { code, stdout } = await complete(["cli/main.ts", ...args]);
  expect(code).toBe(0);
  const { entry } = JSON.parse(stdout) as { entry: { sha256: string } };
  const [tokens = ""] = blocks("docs/security.md", "yaml");
  // The page shortens its hashes.
  const whole = tokens.replaceAll(/([0-9a-f]+)…/g, (_, start: string) => start + entry.sha256.slice(start.length));
  const cwd = mkdtempSync(join(tmpdir(), "queuecall-docs-"));
  writeFileSync(join(cwd, "tokens.yaml"), whole);
  const serve = ["serve", "--storage", "memory:", "--grpc", "127.0.0.1:0", "--tokens", "tokens.yaml"];
  const child = new Child([join(root, "cli/main.ts"), ...serve], { cwd });
  await child.line(/^ready /);
  expect(await child.kill("SIGTERM")).toMatchObject({ code: 0 });
  rmSync(cwd, { recursive: true });
});
