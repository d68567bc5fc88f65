/** What the command says to those who hold it wrong. Nothing here needs a broker. */
import { describe, expect, test } from "vitest";
import { command } from "../support/command.ts";
import { complete } from "../support/processes.ts";

const env = { QUEUECALL_URL: "http://127.0.0.1:1" };
const cli = (...args: string[]) => command(args, env);
const commands = [
  "serve",
  "enqueue",
  "call",
  "wait",
  "watch",
  "get",
  "cancel",
  "retry",
  "health",
  "fsck",
  "proto",
  "info",
  "queues",
  "list",
  "workers",
  "services",
  "forget",
  "pause",
  "resume",
  "purge",
];

describe("help", () => {
  test.each(commands)("%s --help has examples", async (name) => {
    const { code, stdout, stderr } = await cli(name, "--help");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain(`Usage: queuecall ${name}`);
    expect(stdout).toMatch(new RegExp(`Examples\\n.*queuecall ${name}`));
  });

  test("the command itself lists commands and exit codes", async () => {
    const { code, stdout } = await complete(["cli/main.ts", "--help"], { env });
    expect(code).toBe(0);
    for (const name of commands) expect(stdout).toMatch(new RegExp(`^ {2}${name} \\[options\\]`, "m"));
    expect(stdout).toContain("Exit codes");
  });
});

describe("mistakes are one line on stderr and an exit code", () => {
  test.each<[number, RegExp, ...string[]]>([
    [64, /unknown command 'serv' \(Did you mean serve\?\)/, "serv"],
    [64, /unknown option '--grcp' \(Did you mean --grpc\?\)/, "serve", "--grcp", "x"],
    [64, /too many arguments/, "serve", "extra"],
    [64, /missing required argument 'queue'/, "call"],
    [64, /Expected a duration/, "call", "q", "--timeout", "5"],
    [64, /Expected NAME=VALUE/, "enqueue", "q", "--header", "x"],
    [64, /Allowed choices are join, reject/, "enqueue", "q", "--on-duplicate", "maybe"],
    [64, /one of --data and --data-file/, "enqueue", "q", "--data", "1", "--data-file", "x"],
    [64, /required option '--out <DIR>' not specified/, "proto"],
    [65, /--data is not JSON/, "call", "q", "--data", "{nope}"],
    [65, /cannot read \/no\/file \(ENOENT\)/, "call", "q", "--data", "@/no/file"],
    [65, /queue: must be 1–128 characters/, "get", "no queue", "x"],
    [69, /./, "get", "q", "x", "--timeout", "300ms"],
    [78, /--max-wait: expected a duration/, "serve", "--max-wait", "5"],
    [78, /unknown scheme "nosuch:"/, "serve", "--storage", "nosuch:"],
    [78, /found no file, one is required/, "fsck", "--storage", "sqlite:/no/such.db"],
    [78, /memory: ends with its process/, "fsck", "--storage", "memory:"],
    [69, /cannot be reached|not available|does not answer/, "fsck", "--storage", "redis://127.0.0.1:1"],
    [78, /--http: expected HOST:PORT, .* or off, found "8455"/, "serve", "--http", "8455"],
  ])("%i %o", async (expected, message, ...args) => {
    const { code, stdout, stderr } = await cli(...args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^queuecall: [^\n]+\n$/);
    expect([code, stdout]).toEqual([expected, ""]);
  });
});
