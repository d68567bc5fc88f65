/** A guarded broker as a process: its start, its signal, what it says, and the commands that call it. */
import { afterAll, describe, expect, test } from "vitest";
import { parseTokens } from "../../server/access/token-file.ts";
import { loadConfig } from "../../server/config.ts";
import { command } from "../support/command.ts";
import { Child } from "../support/processes.ts";
import { redisUnavailable, startRedis } from "../support/redis.ts";
import { Folder, role } from "./rig.ts";

const folder = new Folder();
afterAll(() => folder[Symbol.dispose]());

const mailer = role("mailer", "mail/*", ["enqueue", "wait"]);
const serve = (args: string[]) =>
  new Child(["cli/main.ts", "serve", "--storage", "memory:", "--grpc", "127.0.0.1:0", "--http", "off", ...args]);
const READY = /^ready grpc=(\S+) /;

test("a broken token file: 78 and one line with file, line and field", async () => {
  const file = folder.write("broken.yaml", "- name: a\n  sha256: abc\n");
  const { code, stdout, stderr } = await serve(["--tokens", file]).ended;
  expect([code, stdout]).toEqual([78, ""]);
  expect(stderr).toMatch(/^queuecall: token file \S+broken\.yaml:2: \[0\]\.sha256: expected [^\n]+\n$/);
  const missing = await serve(["--tokens", folder.file("none.yaml")]).ended;
  expect([missing.code, missing.stderr]).toEqual([78, expect.stringMatching(/^queuecall: [^\n]+no such file\n$/)]);
});

test("token, commands, SIGHUP; the token is in no output", async () => {
  const made = await command(["token", "--name", "new one", "--queue", "mail/*", "--verb", "enqueue"]);
  const { token, entry } = JSON.parse(made.stdout);
  expect(token).toMatch(/^qct_[\w-]{43}$/);
  expect(parseTokens(JSON.stringify([entry]), "t")).toMatchObject([
    { name: "new one", rights: [{ queues: ["mail/*"], verbs: ["enqueue"] }] },
  ]);

  const file = folder.write("tokens.yaml", [mailer.entry]);
  await using broker = serve(["--tokens", file, "--log-level", "trace", "--log-format", "json"]);
  const [, address] = await broker.line(READY);
  const env = { QUEUECALL_URL: `http://${address}` };
  const enqueue = (args: string[], more = {}) => command(["enqueue", "mail/a", ...args], { ...env, ...more });
  expect((await enqueue([])).code).toBe(77);
  expect((await enqueue([], { QUEUECALL_TOKEN: mailer.token })).code).toBe(0);
  const refused = await enqueue(["--token-file", folder.write("token", `${token}\n`)]);
  expect([refused.code, refused.stderr]).toEqual([77, expect.stringContaining("the token is not known here")]);

  folder.write("tokens.yaml", [mailer.entry, entry]);
  broker.process.kill("SIGHUP");
  await broker.line(/tokens read again/);
  expect((await enqueue(["--token-file", folder.file("token")])).code).toBe(0);
  const get = await command(["get", "mail/a", "x"], { ...env, QUEUECALL_TOKEN: token });
  expect([get.code, get.stderr]).toEqual([77, expect.stringContaining("new one has no right to wait on queue mail/a")]);

  const { code, stdout, stderr } = await broker.kill("SIGTERM");
  expect(code).toBe(0);
  for (const secret of [token, mailer.token]) {
    for (const text of [stdout, stderr, refused.stderr, get.stderr]) expect(text).not.toContain(secret);
  }
});

test.skipIf(redisUnavailable)(
  "the user and password of a Redis are in no output, whether they are right or wrong",
  async () => {
    const redis = await startRedis({ args: ["--user", ..."someone on >sesame-42 ~* &* +@all".split(" ")] });
    try {
      for (const [password, line] of [
        ["sesame-42", READY],
        ["sesame-43", /WRONGPASS|refus|password/i],
      ] as const) {
        const storage = folder.write("storage", `redis://someone:${password}@127.0.0.1:${redis.port}/0`);
        const args = ["cli/main.ts", "serve", "--grpc", "127.0.0.1:0", "--http", "off", "--storage-file", storage];
        await using broker = new Child([...args, "--log-level", "trace"]);
        await broker.line(line);
        const { stdout, stderr } = await broker.kill("SIGTERM");
        expect(stdout + stderr).not.toMatch(/sesame|someone/);
      }
    } finally {
      await redis.stop();
    }
  },
);

test("a storage URL's user and password are in no output", async () => {
  // Nobody listens on port 1: all it can do is to say so, again and again.
  const storage = folder.write("storage", "redis://someone:sesame-42@127.0.0.1:1/0?prefix=qc");
  const args = [
    "cli/main.ts",
    "serve",
    "--grpc",
    "127.0.0.1:0",
    "--http",
    "off",
    "--storage-file",
    storage,
    "--log-level",
    "trace",
  ];
  await using broker = new Child(args);
  await broker.line(/127\.0\.0\.1:1/);
  const { stdout, stderr } = await broker.kill("SIGTERM");
  expect(stdout + stderr).not.toMatch(/sesame|someone/);
});

describe("a broker that is open to a network is warned about in one line with the remedy", () => {
  const warnings = async (flags: Record<string, string>) =>
    (await loadConfig({ flags: { grpc: "0.0.0.0:7455", ...flags }, env: {} })).warnings;
  const tls = { "tls-cert": "c", "tls-key": "k" };

  test.each([
    [{}, /^listening on 0\.0\.0\.0:7455 without TLS and tokens: .* give --tls-cert, --tls-key and --tokens/],
    [{ tokens: "t" }, /without TLS: .* give --tls-cert FILE and --tls-key FILE/],
    [tls, /without tokens: .* give --tokens FILE/],
    [{ grpc: "[::]:7455" }, /^listening on \[::\]:7455 without/],
  ])("%o", async (flags, expected) => {
    expect(await warnings(flags as Record<string, string>)).toEqual([expect.stringMatching(expected)]);
  });

  test.each([
    { ...tls, tokens: "t" },
    { ...tls, "tls-client-ca": "ca" },
    { grpc: "127.0.0.1:1" },
    { grpc: "localhost:1" },
    { grpc: "[::1]:1" },
  ])("not %o", async (flags) => {
    expect(await warnings(flags as Record<string, string>)).toEqual([]);
  });

  test.each([{ "tls-cert": "c" }, { "tls-key": "k" }, { "tls-client-ca": "c" }])(
    "%o alone is refused",
    async (flags) => {
      await expect(warnings(flags as Record<string, string>)).rejects.toThrow(
        /^tls-\S+ needs tls-\S+: give --tls-\S+ FILE$/,
      );
    },
  );
});
