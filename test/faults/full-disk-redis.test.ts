/** Redis whose disk is full: what it cannot write down it does not take, and nothing that was confirmed is missing later. */
import { expect, test, vi } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { createBroker } from "../../server/index.ts";
import { createWorker } from "../../worker/index.ts";
import { limitsUnavailable, startRedis } from "../support/redis.ts";

const skipped = limitsUnavailable ? ` (skipped: ${limitsUnavailable})` : "";
const AOF = ["--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"];

test.skipIf(limitsUnavailable)(`the disk of the append-only file is full, and has room again${skipped}`, async () => {
  const server = await startRedis({ args: AOF, maxFileBytes: 512 * 1024 });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => server.stop());
  const broker = await createBroker({ storage: server.url, grpc: "127.0.0.1:0" });
  stack.defer(() => broker.close());
  const url = `http://${broker.grpcAddress}`;
  const { promise: finished, resolve: finish } = Promise.withResolvers<string>();
  const stop = new AbortController();
  const working = createWorker({ url })
    .handle("held", () => finished)
    .run({ signal: stop.signal });
  stack.defer(async () => {
    stop.abort();
    await working;
  });
  await using client = createQueueClient({ url, retry: false });

  const held = client.queue("held").enqueueAndWait("a", undefined, { timeout: 60_000 });
  held.catch(() => {});
  await vi.waitFor(() => expect(broker.stats.sessions).toBe(1));
  const stored: string[] = [];
  const bulk = client.queue("bulk");
  const data = Buffer.alloc(20_000, 1);
  let refusal: unknown;
  while (refusal === undefined && stored.length < 1_000) {
    const id = `job-${stored.length}`;
    await bulk.enqueue(id, data).then(
      () => stored.push(id),
      (error) => (refusal = error),
    );
  }
  expect(refusal).toMatchObject({ reason: "STORE_UNAVAILABLE" });
  expect(stored.length).toBeGreaterThan(10);
  // The worker has its result, and nobody to give it to yet.
  finish("kept");

  server.roomAgain();
  expect(await held).toBe("kept");
  await using patient = createQueueClient({ url });
  await patient.queue("bulk").enqueue("after", data);
  // All of it is on the disk.
  await vi.waitFor(async () => {
    const info = await server.admin.info("persistence");
    for (const done of ["aof_last_write_status:ok", "aof_pending_bio_fsync:0", "aof_buffer_length:0"]) {
      expect(info).toContain(done);
    }
  }, 10_000);
  await server.restart();
  await vi.waitFor(() => client.queue("held").get("a"), 20_000);
  for (const id of [...stored, "after"]) expect((await bulk.get(id)).state, id).toBe("queued");
  expect(await client.queue("held").wait("a")).toBe("kept");
});
