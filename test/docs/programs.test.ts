/** What the documentation shows is run: the programs of the README against each other, its command, and those that start and ask a broker. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { Authority, hasOpenssl } from "../access/certificates.ts";
import { Child, complete, root } from "../support/processes.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { wordsOf } from "./blocks.ts";

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
  const { code, stdout } = await complete(["cli/main.ts", ...wordsOf(command).slice(1)], { env: env() });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ status: 200 });
  expect(running.stderr).not.toMatch(/Error/);
});

test("README.md: the three commands", async () => {
  const [block = ""] = blocks("README.md", "").filter((text) => text.startsWith("npm run demo"));
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const commands = block
    .trim()
    .split("\n")
    .map((line) => wordsOf(line).slice(1));
  expect(commands).toEqual([["run", "demo"], ["test"], ["start"]]);
  // As npm runs them. The second is what runs this.
  const [demo, , start] = commands.map((words) => scripts[words.at(-1)!].split(" ").slice(1));
  const shown = await complete(demo);
  expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining("JobFailedError")]);
  const env = { QUEUECALL_GRPC: "127.0.0.1:0", QUEUECALL_HTTP: "127.0.0.1:0", QUEUECALL_DATA: join(folder, "data") };
  await using child = new Child(start, { env });
  const [, http] = await child.line(
    /^ready grpc=127\.0\.0\.1:\d+ http=(127\.0\.0\.1:\d+) storage=sqlite:\S+ durability=file$/,
  );
  for (const path of ["healthz", "metrics"]) expect((await fetch(`http://${http}/${path}`)).status).toBe(200);
  expect(await child.kill("SIGTERM")).toMatchObject({ code: 0 });
}, 180_000);

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

test("docs/operations.md: a broker is asked with buf curl, by its reflection", async () => {
  const [session = ""] = blocks("docs/operations.md", "sh").filter((text) => text.startsWith("buf curl"));
  const buf = { program: join(root, "node_modules/.bin/buf") };
  const answers = [];
  for (const line of session.trim().split("\n")) {
    const { code, stdout, stderr } = await complete(wordsOf(line).slice(1), buf);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    answers.push(stdout);
  }
  const [services = "", stored = "{}", read = "{}"] = answers;
  expect(services.split("\n")).toContain("queuecall.v1.BrokerService");
  expect(JSON.parse(stored)).toMatchObject({ disposition: "DISPOSITION_CREATED" });
  expect(JSON.parse(read)).toMatchObject({ job: { jobId: "a", state: "JOB_STATE_QUEUED" } });
}, 180_000);

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
  const untilStopped = `const stop = new AbortController(); process.once("SIGTERM", () => stop.abort());`;
  const lasting = given.replace(
    "const signal = AbortSignal.timeout(1_000);",
    `${untilStopped} const { signal } = stop;`,
  );
  await using working = new Child(program("mail-worker.ts", lasting + worker));
  const calling = await complete(
    program("mail-caller.ts", `${given}${caller}\nif (result !== "sent") process.exit(9);`),
  );
  expect(calling).toMatchObject({ code: 0, stderr: "" });
  const shortened = `${given}const client = shared;${bullmq}\nif (result !== "sent") process.exit(9); await shared.close();`;
  expect(await complete(program("bull.ts", shortened))).toMatchObject({ code: 0 });
  expect(await working.kill("SIGTERM")).toMatchObject({ code: 0, stderr: "" });
}, 180_000);

test("docs/protocol.md: the .proto files are written", async () => {
  const [line = ""] = (blocks("docs/protocol.md", "")[0] ?? "").split("\n");
  const cwd = mkdtempSync(join(tmpdir(), "queuecall-docs-"));
  const words = line.replace(/#.*/, "").trim().split(/\s+/).slice(1);
  expect(await complete([join(root, "cli/main.ts"), ...words], { cwd })).toMatchObject({ code: 0 });
  expect(readFileSync(join(cwd, "proto/queuecall/v1/worker.proto"), "utf8")).toContain("service WorkerService");
  rmSync(cwd, { recursive: true });
});

test.skipIf(!hasOpenssl)(
  `docs/security.md: a token is made, its entry goes into the file shown, and the broker with TLS takes it${hasOpenssl ? "" : " (skipped: no openssl)"}`,
  async () => {
    const commands = blocks("docs/security.md", "").map((text) => wordsOf(text.trim()));
    const [serve = [], make = []] = ["serve", "token"].map((verb) => commands.find((words) => words[1] === verb) ?? []);
    const made = await complete(["cli/main.ts", ...make.slice(1)]);
    expect(made.code).toBe(0);
    const { token, entry } = JSON.parse(made.stdout) as { token: string; entry: { name: string; sha256: string } };
    const cwd = mkdtempSync(join(tmpdir(), "queuecall-docs-"));
    const [tokens = ""] = blocks("docs/security.md", "yaml");
    expect(tokens).toContain(`- name: ${entry.name} `);
    // The page shortens its hashes; the first is the one of the token above.
    let hashes = 0;
    const whole = (_: string, start: string) => (hashes++ === 0 ? entry.sha256 : start.padEnd(64, "0"));
    writeFileSync(join(cwd, "tokens.yaml"), tokens.replaceAll(/([0-9a-f]+)…/g, whole));
    const authority = new Authority(cwd, "authority");
    authority.sign("broker", "IP:127.0.0.1");
    const args = serve.slice(1).map((word) => (word === "0.0.0.0:7455" ? "127.0.0.1:0" : word));
    expect(args).toContain("127.0.0.1:0");
    await using child = new Child([join(root, "cli/main.ts"), ...args], { cwd });
    const [, address] = await child.line(/^ready grpc=(\S+) /);
    const url = { QUEUECALL_URL: `https://${address}`, QUEUECALL_TOKEN: token };
    const enqueue = (queue: string) =>
      complete(["cli/main.ts", "enqueue", queue, "--tls-ca", authority.file], { env: url });
    expect(await enqueue("mail/in")).toMatchObject({ code: 0 });
    expect(await enqueue("reports")).toMatchObject({ code: 77, stderr: expect.stringContaining("enqueue") });
    expect(await child.kill("SIGTERM")).toMatchObject({ code: 0 });
    rmSync(cwd, { recursive: true });
  },
  180_000,
);
