/** examples/python/full_worker.py: what it adds to the minimal one. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createQueueClient, JobCancelledError } from "../../client/index.ts";
import { createBroker } from "../../server/index.ts";
import { Child, root } from "../support/processes.ts";

let ends: AsyncDisposableStack;
beforeEach(() => {
  ends = new AsyncDisposableStack();
});
afterEach(() => ends.disposeAsync());

async function broker(storage = "memory:", grpc = "127.0.0.1:0") {
  return ends.use(await createBroker({ storage, grpc, settings: { leaseMs: 3_000 } }));
}

function worker(...addresses: string[]): Child {
  const options = { program: process.env.PYTHON ?? "python3" };
  return ends.use(new Child([join(root, "examples/python/full_worker.py"), addresses.join(","), "count"], options));
}

function counting(address: string) {
  const client = ends.use(createQueueClient({ url: `http://${address}` }));
  return client.queue<{ to: number }, { counted: number }>("count");
}

test("a job longer than its lease, with progress; and one that is cancelled", async () => {
  const { grpcAddress } = await broker();
  worker(grpcAddress);
  const queue = counting(grpcAddress);
  await queue.enqueue("long", { to: 5 });
  const seen: number[] = [];
  for await (const { progress, attempt, outcome } of queue.watch("long")) {
    if (progress) seen.push(progress.current);
    if (outcome) expect({ outcome, attempt }).toMatchObject({ outcome: { result: { counted: 5 } }, attempt: 1 });
  }
  expect(seen.at(-1)).toBe(4);
  await queue.enqueue("stop", { to: 600 });
  for await (const { state } of queue.watch("stop")) if (state === "running") await queue.cancel("stop");
  await expect(queue.wait("stop")).rejects.toThrow(JobCancelledError);
});

test("it keeps its jobs over a broker that is restarted, and moves on from one that drains", async () => {
  const folder = mkdtempSync(join(tmpdir(), "queuecall-interop-"));
  ends.defer(() => rmSync(folder, { recursive: true }));
  const storage = `sqlite:${join(folder, "queuecall.db")}`;
  let current = await broker(storage);
  const address = current.grpcAddress;
  worker(address);
  const queue = counting(address);
  for (const end of ["close", "drain"] as const) {
    await queue.enqueue(end, { to: 3 });
    const result = queue.wait(end);
    for await (const { state } of queue.watch(end)) if (state === "running") break;
    await current[end]();
    current = await broker(storage, address);
    expect(await result).toEqual({ counted: 3 });
    expect((await queue.get(end)).attempt).toBe(1);
  }
});

test("SIGTERM: what runs is finished, nothing new is taken, the process ends", async () => {
  const { grpcAddress } = await broker();
  const child = worker(grpcAddress);
  const queue = counting(grpcAddress);
  await queue.enqueue("running", { to: 2 });
  const result = queue.wait("running");
  for await (const { state } of queue.watch("running")) if (state === "running") break;
  const ended = child.kill("SIGTERM");
  expect(await result).toEqual({ counted: 2 });
  await queue.enqueue("later", { to: 1 });
  expect(await ended).toMatchObject({ code: 0 });
  expect(await queue.get("later")).toMatchObject({ state: "queued", attempt: 0 });
});
