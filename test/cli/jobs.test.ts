/** The job commands against a real broker and a real worker: what scripts rely on. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestBroker, type TestBroker } from "../../testing/index.ts";
import { createWorker, NonRetryableError, type Worker } from "../../worker/index.ts";
import { command } from "../support/command.ts";
import { complete } from "../support/processes.ts";

let broker: TestBroker;
let worker: Worker;
let running: Promise<void>;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-cli-"));
  broker = await startTestBroker();
  worker = createWorker({ url: broker.url, concurrency: 8 })
    .handle("echo", (payload, { headers }) => (headers.seen ? { payload, headers } : payload))
    .handle("fail", () => {
      throw new NonRetryableError("gone for good");
    })
    .handle("slow", async ({ ms }: { ms: number }, ctx) => {
      ctx.progress(1, 2, "half");
      await sleep(ms, undefined, { signal: ctx.signal });
      return { slept: ms };
    });
  running = worker.run();
});

afterAll(async () => {
  await worker.close();
  await running;
  await broker.close();
  rmSync(folder, { recursive: true });
});

const env = () => ({ QUEUECALL_URL: broker.url });
const run = (args: string[]) => command(args, env());
/** The same in a process of its own. */
const process = (args: string[], input?: string) =>
  complete(["cli/main.ts", ...args], { env: env(), ...(input !== undefined && { input }) });

async function ok(...args: string[]) {
  const { code, stdout, stderr } = await run(args);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

describe("call", () => {
  test("prints the result as JSON", async () => {
    expect(await ok("call", "echo", "--data", '{"n":7}')).toEqual({ n: 7 });
    expect(await ok("call", "echo")).toBe(null);
    expect(await ok("call", "echo", "--url", broker.url, "--data", '"text"', "--timeout", "10s")).toBe("text");
  });

  test("leaves JSON as it came", async () => {
    expect((await run(["call", "echo", "--data", "9007199254740993"])).stdout).toMatch(/^\d+\n$/);
  });

  test("reads JSON from a file and from stdin", async () => {
    const file = join(folder, "request.json");
    writeFileSync(file, '{"from":"file"}');
    expect(await ok("call", "echo", "--data", `@${file}`)).toEqual({ from: "file" });
    expect((await process(["call", "echo", "--data", "-"], '{"from":"stdin"}')).stdout).toBe('{"from":"stdin"}\n');
  });

  test("carries bytes both ways", async () => {
    const [input, output] = [join(folder, "in.bin"), join(folder, "out.bin")];
    writeFileSync(input, Uint8Array.of(0, 255, 1));
    expect(await ok("call", "echo", "--data-file", input)).toEqual({
      contentType: "application/octet-stream",
      base64: "AP8B",
    });
    const { code, stdout } = await run(["call", "echo", "--data-file", input, "--output", output]);
    expect([code, stdout]).toEqual([0, ""]);
    expect(readFileSync(output)).toEqual(Buffer.of(0, 255, 1));
  });

  test("passes headers on", async () => {
    expect(await ok("call", "echo", "--data", "1", "--header", "seen=a=b", "--header", "more=c")).toEqual({
      payload: 1,
      headers: { seen: "a=b", more: "c" },
    });
  });

  test("2: the job failed", async () => {
    const { code, stdout, stderr } = await process(["call", "fail", "--id", "f1"]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^queuecall: Job f1 failed: .*gone for good.*\n$/);
    expect(await ok("get", "fail", "f1")).toMatchObject({
      state: "failed",
      failure: { kind: "handler", message: "gone for good" },
    });
  });

  test("3: the wait is over, and the job goes on", async () => {
    const { code, stdout, stderr } = await run([
      "call",
      "slow",
      "--id",
      "s1",
      "--data",
      '{"ms":900}',
      "--timeout",
      "200ms",
    ]);
    expect([code, stdout]).toEqual([3, ""]);
    expect(stderr).toBe("queuecall: Job s1 timed out after 200 ms; it goes on: queuecall wait slow s1\n");
    expect(await ok("wait", "slow", "s1")).toEqual({ slept: 900 });
  });
});

describe("enqueue, get, cancel, retry, wait", () => {
  test("all options of a job arrive", async () => {
    const options =
      "--priority -5 --delay 1h --max-attempts 7 --backoff-initial 1s --backoff-multiplier 3 --backoff-max 1m --run-timeout 5s --start-timeout 2h --result-ttl 1d --label team=a --label env=b --header h=1 --method /a.B/C --on-duplicate reject --reject-payload-mismatch";
    const created = await ok("enqueue", "nobody", "--id", "all", "--data", "{}", ...options.split(" "));
    expect(created).toMatchObject({
      disposition: "created",
      job: { queue: "nobody", jobId: "all", state: "scheduled" },
    });
    expect(await ok("get", "nobody", "all")).toMatchObject({
      priority: -5,
      maxAttempts: 7,
      method: "/a.B/C",
      labels: { team: "a", env: "b" },
      headers: { h: "1" },
    });
  });

  test("an id is generated; the same id joins, then answers what is kept", async () => {
    expect((await ok("enqueue", "nobody")).job.jobId).toMatch(/^[0-9a-f-]{36}$/);
    expect((await ok("enqueue", "nobody", "--id", "twice")).disposition).toBe("created");
    expect((await ok("enqueue", "nobody", "--id", "twice")).disposition).toBe("joined");
    await ok("call", "echo", "--id", "kept", "--data", "1");
    expect(await ok("enqueue", "echo", "--id", "kept", "--data", "1")).toMatchObject({
      disposition: "cached",
      job: { state: "succeeded", result: 1 },
    });
  });

  test("4 · 5 · 6: not found, exists, cancelled", async () => {
    expect((await run(["get", "nobody", "missing"])).code).toBe(4);
    expect((await run(["cancel", "nobody", "missing"])).code).toBe(4);
    await ok("enqueue", "nobody", "--id", "dup");
    expect((await run(["enqueue", "nobody", "--id", "dup", "--on-duplicate", "reject"])).code).toBe(5);
    expect(await ok("cancel", "nobody", "dup")).toMatchObject({ state: "cancelled", failure: { kind: "cancelled" } });
    expect((await run(["wait", "nobody", "dup"])).code).toBe(6);
    expect(await ok("retry", "nobody", "dup")).toMatchObject({ state: "queued" });
  });

  test("65: what the broker can never accept", async () => {
    const { code, stderr } = await run(["enqueue", "nobody", "--priority", "5000"]);
    expect(code).toBe(65);
    expect(stderr).toMatch(/^queuecall: .*priority.*\n$/);
  });
});

describe("watch", () => {
  test("prints a line for each change, and its exit code says how it ended", async () => {
    await ok("enqueue", "slow", "--id", "w1", "--data", '{"ms":700}');
    const { code, stdout } = await run(["watch", "slow", "w1"]);
    const jobs = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(jobs.at(-1)).toMatchObject({ state: "succeeded", result: { slept: 700 } });
    expect(jobs.map(({ version }) => version)).toEqual(jobs.map(({ version }) => version).sort((a, b) => a - b));

    await run(["call", "fail", "--id", "w2"]);
    expect((await run(["watch", "fail", "w2"])).code).toBe(2);
    expect((await run(["watch", "fail", "missing"])).code).toBe(4);
  });
});
