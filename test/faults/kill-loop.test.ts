/** kill -9 of the broker in a loop under load: nothing that was acknowledged is missing, and the storage is sound each time. KILL_ROUNDS=n for more of them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BrokerUnavailableError, createQueueClient } from "../../client/index.ts";
import { fsck } from "../../server/fsck.ts";
import { startRedis } from "../support/redis.ts";
import { freePort, Stage } from "./stage.ts";

const ROUNDS = Number(process.env.KILL_ROUNDS ?? 3);
const PER_ROUND = 150;
const WRITERS = 20;

async function killLoop(storage: string): Promise<void> {
  await using stage = new Stage();
  const grpc = `127.0.0.1:${await freePort()}`;
  await using client = createQueueClient({ url: `http://${grpc}` });
  const queue = client.queue<{ n: number }, unknown>("kept");
  const acknowledged = new Set<string>();
  let broker = await stage.broker(storage, { grpc });
  let next = 0;

  for (let round = 0; round < ROUNDS; round++) {
    let inRound = 0;
    let down = false;
    const writer = async () => {
      while (!down) {
        const jobId = `job-${next++}`;
        try {
          await queue.enqueue(jobId, { n: 1 }, { timeout: 500 });
          acknowledged.add(jobId);
          if (++inRound === PER_ROUND) {
            down = true;
            // In the middle of the others' enqueues.
            await broker.child.kill("SIGKILL");
          }
        } catch (error) {
          expect(error).toBeInstanceOf(BrokerUnavailableError);
        }
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, writer));
    await isSound(storage, acknowledged.size);
    broker = await stage.broker(storage, { grpc });
  }

  expect(acknowledged.size).toBeGreaterThanOrEqual(ROUNDS * PER_ROUND);
  const states = await Promise.all([...acknowledged].map(async (jobId) => (await queue.get(jobId)).state));
  expect(new Set(states)).toEqual(new Set(["queued"]));
}

/** As it was left, before a broker has started on it. */
async function isSound(storage: string, atLeast: number): Promise<void> {
  const findings: unknown[] = [];
  const { jobs } = await fsck(storage, (finding) => findings.push(finding));
  expect(findings).toEqual([]);
  expect(jobs).toBeGreaterThanOrEqual(atLeast);
}

describe("no acknowledged job is missing", { timeout: 60_000 + ROUNDS * 20_000 }, () => {
  test("sqlite", async () => {
    const folder = mkdtempSync(join(tmpdir(), "queuecall-"));
    try {
      await killLoop(`sqlite:${folder}/jobs.db`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("redis with appendfsync always", async () => {
    const redis = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    try {
      await killLoop(`${redis.url}/0`);
    } finally {
      await redis.stop();
    }
  });
});
