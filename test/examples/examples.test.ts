/** Each example as its reader runs it: in processes of its own, against a broker. */
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startTestBroker, type TestBroker } from "../../testing/index.ts";
import { Child, complete } from "../support/processes.ts";
import { announced, Stub } from "../transparent/rig.ts";

let broker: TestBroker;
let children: Child[];
beforeEach(async () => {
  children = [];
  broker = await startTestBroker();
});
afterEach(async () => {
  const ends = await Promise.all(children.map((child) => child.kill("SIGTERM")));
  await broker.close();
  for (const { code, stderr } of ends) expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

function start(...args: string[]): Child {
  const child = new Child(args);
  children.push(child);
  return child;
}

/** Starts a web server of an example; answers how to ask it. */
async function serve(file: string, waitMs: number) {
  const [, url] = await start(file, broker.url, "0", String(waitMs)).line(/^listening on (\S+)$/);
  return async (path: string, json?: unknown) => {
    const post = { method: "POST", body: JSON.stringify(json), headers: { "content-type": "application/json" } };
    const response = await fetch(`${url}${path}`, json === undefined ? {} : post);
    return { status: response.status, body: await response.json() };
  };
}

test("http-api: the result, 500 for a failure, 504 with the job's id", async () => {
  const ask = await serve("examples/http-api/api.ts", 100);
  expect(await ask("/primes/1000")).toEqual({ status: 504, body: { error: "not done yet", jobId: "below-1000" } });
  start("examples/http-api/worker.ts", broker.url);
  expect(await broker.client.queue("primes").wait("below-1000")).toEqual({ count: 168 });
  expect(await ask("/primes/1000")).toEqual({ status: 200, body: { count: 168 } });
  expect(await ask("/primes/many")).toEqual({
    status: 500,
    body: { error: "give a whole number up to 1000000", jobId: "below-many" },
  });
  expect(await ask("/primes")).toMatchObject({ status: 404 });
});

test("rpc: two processes; each argument has its own result, equal ones share it", async () => {
  const server = start("examples/rpc/server.ts", broker.url);
  const { code, stdout, stderr } = await complete(["examples/rpc/client.ts", broker.url]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toBe("2 + 3 = 5\n2 + 4 = 6\n2 + 3 = 5\nstressed = desserts\n");
  await server.line(/reverse/);
  expect(server.stdout).toBe("add(2, 3)\nadd(2, 4)\nreverse(stressed)\n");
});

test("background: 202 while it runs, then the result; 404 for an unknown id; the older form joins", async () => {
  const ask = await serve("examples/background/web.ts", 100);
  expect(await ask("/reports/june", { pages: 3 })).toEqual({ status: 202, body: { jobId: "june" } });
  expect(await ask("/reports/june")).toEqual({ status: 202, body: { jobId: "june" } });
  expect(await ask("/reports/july")).toEqual({ status: 404, body: { error: "no such report" } });
  // What older callers do to ask for a result: the same id again, without a payload.
  const older = broker.client.queue("reports").enqueueAndWait("june", undefined);

  start("examples/background/worker.ts", broker.url);
  const lines = ["page 1 of june", "page 2 of june", "page 3 of june"];
  expect(await older).toEqual({ lines });
  expect(await ask("/reports/june")).toEqual({ status: 200, body: { lines } });
  expect(await broker.client.queue("reports").enqueueAndWait("june", undefined)).toEqual({ lines });
  expect(await broker.client.queue("reports").get("june")).toMatchObject({ attempt: 1 });

  await ask("/reports/empty", { pages: 0 });
  await broker.client
    .queue("reports")
    .wait("empty")
    .catch(() => {});
  expect(await ask("/reports/empty")).toEqual({ status: 500, body: { error: "a report has at least one page" } });
});

test("cache: a result is kept, a failure is not", async () => {
  const { code, stdout, stderr } = await complete(["examples/cache/cache.ts", broker.url]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout.split("\n")).toEqual([
    "  asked upstream for Oslo",
    "failed: upstream is down",
    "  asked upstream for Oslo",
    "sunny in Oslo",
    "sunny in Oslo",
    "  asked upstream for Rome",
    "sunny in Rome",
    "",
  ]);
});

describe("transparent, as examples/transparent/README.md says", () => {
  const caller = "created\ncat.jpg 64\ncached\ncat.jpg 64\n[invalid_argument] which image?\ncreated dog.jpg 32\n";
  const run = (file: string, ...args: string[]) => complete([`examples/transparent/${file}`, ...args]);
  const prints = (stdout: string) => expect.objectContaining({ code: 0, stdout, stderr: "" });

  test("a client and a server as they are, and a forwarder between them", async () => {
    const [, server] = await start("examples/transparent/server.ts", "0").line(/^listening on (\S+)$/);
    expect(await run("client.ts", server!, "cat.jpg", "64")).toEqual(prints("image/png cat.jpg 64\n"));
    const to = ["--to", server!, "--service", "acme.v1.Thumbnailer"];
    await using forward = new Child(["cli/main.ts", "forward", "--url", broker.url, ...to]);
    using stub = new Stub(broker.broker.grpcAddress);
    await announced(stub);
    expect(await run("client.ts", broker.url, "dog.jpg", "32")).toEqual(prints("image/png dog.jpg 32\n"));
    expect((await forward.kill()).code).toBe(0);
  });

  test("the same implementation as a worker, and a caller that knows of the queue", async () => {
    start("examples/transparent/worker.ts", broker.url);
    expect(await run("caller.ts", broker.url)).toEqual(prints(caller));
    expect(await run("client.ts", broker.url)).toEqual(prints("image/png cat.jpg 64\n"));
  });
});

test("each file of an example is under 50 lines", () => {
  const files = ["http-api", "rpc", "background", "cache", "transparent"].flatMap((folder) =>
    readdirSync(`examples/${folder}`)
      .filter((file) => file.endsWith(".ts"))
      .map((file) => `examples/${folder}/${file}`),
  );
  const long = files.filter((file) => readFileSync(file, "utf8").split("\n").length > 50);
  expect(files.length).toBeGreaterThan(4);
  expect(long).toEqual([]);
});
