/** The life of a broker process. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { Child, complete } from "../support/processes.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-serve-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const serve = (args: string[], env: Record<string, string> = {}) =>
  new Child(["cli/main.ts", "serve", "--grpc", "127.0.0.1:0", ...args], { env });
const READY = /^ready grpc=(127\.0\.0\.1:\d+) http=off storage=(\S+) durability=(\S+)$/;

describe("start", () => {
  test("one line on stdout once it accepts calls; SIGTERM drains: 0", async () => {
    await using broker = serve(["--storage", "memory:"]);
    const [, address, storage, durability] = await broker.line(READY);
    expect([storage, durability]).toEqual(["memory:", "memory"]);
    await using client = createQueueClient({ url: `http://${address}` });
    expect((await client.queue("q").enqueue("a", 1)).disposition).toBe("created");
    await client.close();
    const { code, stdout } = await broker.kill("SIGTERM");
    expect(code).toBe(0);
    expect(stdout.split("\n")).toHaveLength(2);
  });

  test("SQLite in the data folder is the default, and keeps what it accepted", async () => {
    const data = join(folder, "made", "on", "demand");
    for (const disposition of ["created", "joined"]) {
      await using broker = serve(["--data", data]);
      const [, address, storage, durability] = await broker.line(READY);
      expect([storage, durability]).toEqual([`sqlite:${join(data, "queuecall.db")}`, "file"]);
      await using client = createQueueClient({ url: `http://${address}` });
      expect((await client.queue("q").enqueue("a", 1)).disposition).toBe(disposition);
      await client.close();
      expect((await broker.kill("SIGINT")).code).toBe(0);
    }
  });

  test("environment, file and secret are read", async () => {
    writeFileSync(join(folder, "storage"), "memory:\n");
    writeFileSync(join(folder, "queuecall.yaml"), "log-level: info\nlog-format: json\n");
    await using broker = serve(["--config", join(folder, "queuecall.yaml")], {
      QUEUECALL_STORAGE_FILE: join(folder, "storage"),
      QUEUECALL_STORAGGE: "oops",
      QUEUECALL_PORT: "tcp://10.0.0.1:7455",
    });
    await broker.line(READY);
    const { stderr } = await broker.kill();
    expect(stderr).toMatch(
      /unknown environment variable QUEUECALL_STORAGGE is ignored; did you mean QUEUECALL_STORAGE\?/,
    );
    expect(stderr).not.toContain("QUEUECALL_PORT");
    for (const line of stderr.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("msg");
  });
});

describe("78: what it cannot run on, in one line", () => {
  test("a port in use", async () => {
    await using first = serve(["--storage", "memory:"]);
    const [, address = ""] = await first.line(READY);
    const { code, stdout, stderr } = await complete([
      "cli/main.ts",
      "serve",
      "--storage",
      "memory:",
      "--grpc",
      address,
    ]);
    expect([code, stdout]).toEqual([78, ""]);
    expect(stderr).toMatch(/^queuecall: gRPC address 127\.0\.0\.1:\d+ is in use: [^\n]+\n$/);
  });

  test("a storage below the class required", async () => {
    const { code, stderr } = await serve(["--storage", "memory:", "--require-durability", "file"]).ended;
    expect(code).toBe(78);
    expect(stderr).toMatch(/^queuecall: [^\n]*memory[^\n]*file[^\n]*\n$/);
  });

  test("a file that another broker has, or that is none of ours", async () => {
    const file = join(folder, "taken.db");
    await using first = serve(["--storage", `sqlite:${file}`]);
    await first.line(READY);
    const second = await serve(["--storage", `sqlite:${file}`]).ended;
    expect(second.code).toBe(78);
    expect(second.stderr).toMatch(/^queuecall: [^\n]+\n$/);

    writeFileSync(join(folder, "letter.txt"), "Dear database, ".repeat(1000));
    const { code, stderr } = await serve(["--storage", `sqlite:${join(folder, "letter.txt")}`]).ended;
    expect(code).toBe(78);
    expect(stderr).toMatch(/^queuecall: [^\n]+\n$/);
  });
});

describe("stop", () => {
  /** A broker whose drain has something to wait for: it says NOT_SERVING for a long while first. */
  const slowToDrain = async () => {
    const broker = serve(["--storage", "memory:", "--drain-delay", "30s"]);
    await broker.line(READY);
    return broker;
  };

  test("a second signal exits at once: 1", async () => {
    await using broker = await slowToDrain();
    broker.process.kill("SIGTERM");
    await broker.line(/draining/);
    await new Promise((resolve) => setTimeout(resolve, 400));
    const { code, stderr } = await broker.kill("SIGTERM");
    expect(code).toBe(1);
    expect(stderr).toContain("second signal");
  });

  test("one Ctrl-C that arrives twice is one", async () => {
    await using broker = serve(["--storage", "memory:", "--drain-delay", "500ms"]);
    await broker.line(READY);
    broker.process.kill("SIGINT");
    await broker.line(/draining/);
    expect((await broker.kill("SIGTERM")).code).toBe(0);
  });
});
