import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatDuration, formatSize, parseDuration, parseSize } from "../protocol/units.ts";
import { ConfigError, loadConfig, settings, variableOf } from "../server/config.ts";
import { createLogger } from "../server/logger.ts";
import { defaultSettings } from "../server/settings.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const file = (text: string, name = "queuecall.yaml") => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const load = (flags: Record<string, string> = {}, env: Record<string, string> = {}) => loadConfig({ flags, env });

describe("limits of queues", () => {
  test("for all, by flag; for some, by name or beginning, in the file", async () => {
    const config = file('queues:\n  mail: { max-length: 10, max-bytes: 2GiB }\n  "mail.*":\n    max-length: none\n');
    const { settings } = await load({ config, "max-queue-length": "1000", "max-queue-bytes": "4GiB" });
    expect(settings).toMatchObject({ maxQueueLength: 1_000, maxQueueBytes: 4 * 1024 ** 3 });
    expect(settings.queues).toEqual([
      { queue: "mail", maxLength: 10, maxBytes: 2 * 1024 ** 3 },
      { queue: "mail.*", maxLength: Number.POSITIVE_INFINITY },
    ]);
  });

  test("as docs/operations.md shows them", async () => {
    const page = readFileSync(new URL("../docs/operations.md", import.meta.url), "utf8");
    const [, text = ""] = /```yaml\n(max-queue-length.*?)```/s.exec(page) ?? [];
    const { settings } = await load({ config: file(text) });
    expect(settings.maxQueueLength).toBe(100_000);
    expect(settings.queues).toEqual([
      { queue: "thumbs", maxLength: 5_000, maxBytes: 2 * 1024 ** 3 },
      { queue: "mail.*", maxLength: Number.POSITIVE_INFINITY },
    ]);
  });

  const wrong: [string, string, RegExp][] = [
    ["no map", "queues: 3", /queues: expected lines such as "mail: \{ max-length: 10000 \}"$/],
    ["no map of a queue", "queues: { mail: 3 }", /queues: mail: expected max-length and max-bytes$/],
    [
      "no queue name",
      'queues: { "a b": { max-length: 1 } }',
      /queues: a b: is no queue name; \* may stand at its end$/,
    ],
    ["a star inside", 'queues: { "a*b": { max-length: 1 } }', /is no queue name/],
    ["another key", "queues: { a: { max-lenght: 1 } }", /a: unknown key "max-lenght"; did you mean max-length\?$/],
    [
      "no number",
      "queues: { a: { max-length: many } }",
      /a: max-length: expected a whole number from 1, or none, found/,
    ],
    ["zero", "queues: { a: { max-length: 0 } }", /expected a whole number from 1, or none/],
    ["no size", "queues: { a: { max-bytes: 3 } }", /a: max-bytes: expected a size from 1KiB to 1000GiB/],
    [
      "no room for one job",
      "queues: { a: { max-bytes: 1MiB } }",
      /queues: a: max-bytes: 1MiB has no room for one job .*1032KiB/,
    ],
    ["no room in all", "max-queue-bytes: 1MiB", /^max-queue-bytes: 1MiB has no room for one job/],
  ];
  for (const [title, text, message] of wrong) {
    test(title, async () => {
      await expect(load({ config: file(`${text}\n`) })).rejects.toThrow(message);
      await expect(load({ config: file(`${text}\n`) })).rejects.toThrow(ConfigError);
    });
  }
});

describe("layers", () => {
  test("defaults", async () => {
    expect(await load()).toEqual({
      storage: "sqlite:./queuecall-data/queuecall.db",
      grpc: "127.0.0.1:7455",
      http: "127.0.0.1:8455",
      data: "./queuecall-data",
      logLevel: "info",
      logFormat: undefined,
      settings: defaultSettings,
      warnings: [],
    });
  });

  test("flags win over environment, over file", async () => {
    const config = file("max-wait: 1m\ndrain-timeout: 2m\ndrain-delay: 3m\nmax-waiters: 7\npass-stacks: true\n");
    const { settings } = await load(
      { config, "max-wait": "10s" },
      { QUEUECALL_MAX_WAIT: "20s", QUEUECALL_DRAIN_TIMEOUT: "30s" },
    );
    expect(settings).toMatchObject({
      maxWaitMs: 10_000,
      drainTimeoutMs: 30_000,
      drainDelayMs: 180_000,
      maxWaiters: 7,
      passStacks: true,
    });
  });

  test("the file can be named in the environment, and may be empty", async () => {
    expect((await load({}, { QUEUECALL_CONFIG: file("grpc: 0.0.0.0:1\n") })).grpc).toBe("0.0.0.0:1");
    expect((await load({ config: file("# nothing yet\n") })).grpc).toBe("127.0.0.1:7455");
  });

  test("an empty variable is not set", async () => {
    expect((await load({}, { QUEUECALL_GRPC: "" })).grpc).toBe("127.0.0.1:7455");
  });

  test("SQLite follows the data folder", async () => {
    expect((await load({ data: "/var/lib/qc" })).storage).toBe("sqlite:/var/lib/qc/queuecall.db");
  });

  test("every setting can be given in each way", async () => {
    const values: Record<string, string> = { grpc: "127.0.0.1:1", http: "off", storage: "memory:", data: "d" };
    values["log-level"] = "warn";
    values["log-format"] = "json";
    values["require-durability"] = "redis-always";
    values.tokens = "tokens.yaml";
    values["cors-origins"] = "https://app.example";
    // These are not given alone.
    const notAlone = ["storage-file", "tls-cert", "tls-key", "tls-client-ca"];
    for (const { name, kind, initial } of settings.filter(({ name }) => !notAlone.includes(name))) {
      const text = values[name] ?? initial ?? "";
      expect(kind.parse(text), name).toBeDefined();
      const one = await load({ [name]: text });
      expect(await load({}, { [variableOf(name)]: text }), name).toEqual(one);
      expect(await load({ config: file(`${name}: "${text}"\n`) }), name).toEqual(one);
    }
  });
});

describe("refusals are one line that says where and what", () => {
  test.each<[Record<string, string>, RegExp]>([
    [{ grpc: "7455" }, /^--grpc: expected HOST:PORT/],
    [{ grpc: "127.0.0.1:70000" }, /^--grpc: expected HOST:PORT/],
    [{ "max-wait": "25" }, /^--max-wait: expected a duration with its unit, .* found "25"$/],
    [{ "max-wait": "0s" }, /^--max-wait: expected a duration/],
    [{ "max-wait": "9999d" }, /^--max-wait: expected a duration/],
    [{ "max-payload": "many" }, /^--max-payload: expected a size/],
    [{ "max-waiters": "0" }, /^--max-waiters: expected a whole number/],
    [{ "log-level": "loud" }, /^--log-level: expected one of trace, debug/],
    [{ "require-durability": "steel" }, /^--require-durability: expected one of memory, redis-volatile/],
    [{ "pass-stacks": "yes" }, /^--pass-stacks: expected true or false/],
    [{ http: "on" }, /^--http: expected HOST:PORT, .*, or off, found "on"$/],
    [{ config: "/no/such/file" }, /^config file: cannot read \/no\/such\/file: there is no such file$/],
    [{ "storage-file": "/no/such/file" }, /^--storage-file: cannot read/],
  ])("%o", async (flags, message) => {
    const error = await load(flags).catch((each) => each);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("\n");
  });

  test("an unknown key is named with the one that was meant", async () => {
    await expect(load({ config: file("max-wiat: 1h\n") })).rejects.toThrow(
      /unknown key "max-wiat"; did you mean max-wait\?$/,
    );
    await expect(load({ config: file("maxWait: 1h\n") })).rejects.toThrow(/did you mean max-wait\?$/);
    await expect(load({ config: file("zebra: 1h\n") })).rejects.toThrow(/unknown key "zebra"$/);
  });

  test("a value of the wrong shape", async () => {
    await expect(load({ config: file("queue:\n  a: {}\n") })).rejects.toThrow(/did you mean queues\?$/);
    await expect(load({ config: file("grpc:\n  host: x\n") })).rejects.toThrow(/grpc needs a single value/);
    await expect(load({ config: file("- grpc\n") })).rejects.toThrow(/expected lines such as/);
    await expect(load({ config: file("grpc: [\n") })).rejects.toThrow(/^config file .*queuecall.yaml: /);
    await expect(load({ config: file("storage: memory:\n") })).rejects.toThrow(
      /at line 1, column \d+; put a value that ends with a colon in quotes$/,
    );
    await expect(load({ config: file("max-wait: soon\n") })).rejects.toThrow(/^max-wait in .*: expected a duration/);
  });

  test("a bad variable is named", async () => {
    await expect(load({}, { QUEUECALL_MAX_WAIT: "soon" })).rejects.toThrow(/^QUEUECALL_MAX_WAIT: expected a duration/);
  });
});

describe("storage from a file", () => {
  test("is read and trimmed", async () => {
    const secret = file("redis://user:secret@host:6379\n", "secret");
    expect((await load({ "storage-file": secret })).storage).toBe("redis://user:secret@host:6379");
    expect((await load({}, { QUEUECALL_STORAGE_FILE: secret })).storage).toBe("redis://user:secret@host:6379");
  });

  test("the stronger place wins; both in one place contradict each other", async () => {
    const secret = file("redis://in-file", "secret");
    expect((await load({ storage: "memory:" }, { QUEUECALL_STORAGE_FILE: secret })).storage).toBe("memory:");
    expect((await load({ "storage-file": secret }, { QUEUECALL_STORAGE: "memory:" })).storage).toBe("redis://in-file");
    await expect(load({ storage: "memory:", "storage-file": secret })).rejects.toThrow(
      "give one of --storage and --storage-file, not both",
    );
    await expect(load({ "storage-file": file("\n", "empty") })).rejects.toThrow(/is empty/);
  });
});

describe("environment", () => {
  test("an unknown variable is one warning, with the one that was meant", async () => {
    const { warnings } = await load({}, { QUEUECALL_MAX_WIAT: "1h", QUEUECALL_URL: "http://x", HOME: "/" });
    expect(warnings).toEqual([
      "unknown environment variable QUEUECALL_MAX_WIAT is ignored; did you mean QUEUECALL_MAX_WAIT?",
    ]);
  });

  test("what Kubernetes injects for Services is neither used nor warned of", async () => {
    const injected = {
      QUEUECALL_SERVICE_HOST: "10.0.0.1",
      QUEUECALL_SERVICE_PORT: "7455",
      QUEUECALL_SERVICE_PORT_GRPC: "7455",
      QUEUECALL_PORT: "tcp://10.0.0.1:7455",
      QUEUECALL_PORT_7455_TCP: "tcp://10.0.0.1:7455",
      QUEUECALL_PORT_7455_TCP_PROTO: "tcp",
      QUEUECALL_PORT_7455_TCP_PORT: "7455",
      QUEUECALL_PORT_7455_TCP_ADDR: "10.0.0.1",
      QUEUECALL_GRPC_SERVICE_HOST: "10.0.0.2",
      QUEUECALL_GRPC_PORT: "tcp://10.0.0.2:7455",
      QUEUECALL_GRPC_PORT_7455_TCP_ADDR: "10.0.0.2",
    };
    expect(await load({}, injected)).toEqual(await load());
    for (const { name } of settings) expect(variableOf(name)).not.toMatch(/_(SERVICE_HOST|SERVICE_PORT|PORT|TCP)(_|$)/);
  });
});

describe("units", () => {
  test.each<[string, number | undefined]>([
    ["0", 0],
    ["0s", 0],
    ["500ms", 500],
    ["25s", 25_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["365d", 31_536_000_000],
    ["25", undefined],
    ["-1s", undefined],
    ["1s ", undefined],
    ["", undefined],
    ["1 h", undefined],
  ])("duration %j", (text, ms) => expect(parseDuration(text)).toBe(ms));

  test.each<[string, number | undefined]>([
    ["1MiB", 1_048_576],
    ["64 KiB", 65_536],
    ["1MB", 1_000_000],
    ["512", 512],
    ["512B", 512],
    ["1TB", undefined],
    ["-1", undefined],
  ])("size %j", (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test("what is shown can be read again", () => {
    for (const ms of [0, 1, 999, 25_000, 90_000, 3_600_000, 90_061_001])
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    for (const bytes of [1, 1023, 8192, 1_048_576, 1_048_577]) expect(parseSize(formatSize(bytes))).toBe(bytes);
    expect(formatDuration(90_000)).toBe("1m30s");
    expect(formatSize(1_048_576)).toBe("1MiB");
  });
});

describe("log", () => {
  const lines = async (
    logFormat: "json" | "pretty",
    say: (logger: Awaited<ReturnType<typeof createLogger>>) => void,
  ) => {
    const stream = new PassThrough();
    say(await createLogger({ logLevel: "info", logFormat }, stream));
    return String(stream.read() ?? "");
  };

  test.each(["json", "pretty"] as const)("%s carries no credentials, payloads or headers", async (format) => {
    const text = await lines(format, (logger) => {
      logger.debug({}, "not at this level");
      logger.warn({ url: "redis://user:sesame@host:6379" }, "cannot reach rediss://:sesame@host");
      logger.error({ err: new Error("connect redis://u:sesame@host"), token: "sesame" }, "x");
      logger.info({ job: { payload: "sesame", headers: { a: "sesame" } }, payload: "sesame" }, "y");
    });
    expect(text).not.toContain("sesame");
    expect(text).not.toContain("not at this level");
    expect(text).toContain("redis://***@host:6379");
  });

  test("json is one object per line", async () => {
    const text = await lines("json", (logger) => logger.info({ queue: "q" }, "hello"));
    expect(JSON.parse(text)).toMatchObject({ level: 30, queue: "q", msg: "hello" });
  });
});
