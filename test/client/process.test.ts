/** What a program that uses the client looks like from outside. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";
import { FakeBroker, succeeded } from "./fake-broker.ts";

let broker: FakeBroker;

beforeEach(async () => {
  broker = await FakeBroker.start();
});
afterEach(() => broker.close());

/** What the program prints; it must end by itself, well before anything times out. */
async function run(program: string, ...args: string[]): Promise<string> {
  const path = fileURLToPath(new URL(`programs/${program}.ts`, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args], { timeout: 10_000 });
  return stdout.trim();
}

it("L-R13: an idle client does not keep the process alive", async () => {
  broker.on("enqueueAndWait", (call) => ({ job: succeeded(call, "done") }));
  expect(await run("idle", broker.url)).toBe("done");
});

it("a call in progress does", async () => {
  broker.on("enqueueAndWait", async (call) => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    return { job: succeeded(call, "late") };
  });
  expect(await run("busy", broker.url, "30000")).toBe("late");
});

it("a call that timed out does not, though its RPC hangs", async () => {
  expect(await run("busy", broker.url, "1000")).toBe("TIMEOUT");
});

it("a call without a broker keeps it alive until its timeout", async () => {
  broker.close();
  expect(await run("busy", broker.url, "300")).toBe("BROKER_UNAVAILABLE");
});

it("the client loads neither a storage nor the server", async () => {
  broker.on("enqueueAndWait", (call) => ({ job: succeeded(call, "done") }));
  const loaded: string[] = JSON.parse(await run("modules", broker.url));
  expect(loaded.some((url) => url.includes("/client/"))).toBe(true);
  expect(loaded.filter((url) => /ioredis|sqlite|grpc-js|pino|\/server\/|\/worker\//.test(url))).toEqual([]);
});
