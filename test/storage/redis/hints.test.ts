/** Hints: what they carry, and that they arrive. */
import { describe, expect, test } from "vitest";
import type { JobStatus } from "../../../server/job/job.ts";
import { decodeHint, encodeHint } from "../../../server/storage/redis/hints.ts";
import type { Hint, Storage } from "../../../server/storage/storage.ts";
import { redisUnavailable, serverOf, storageOn } from "./rig.ts";

const binary = Buffer.from([0, 1, 255, 0, 10, 13]);
const base: JobStatus = {
  queue: "q",
  jobId: "ü:{}",
  state: "running",
  version: 2 ** 52,
  attempt: 1,
  cancelRequested: true,
};
const changed = (status: JobStatus): Hint => ({ kind: "changed", queue: "q", jobId: "ü:{}", version: 2 ** 52, status });
const result = (data: Buffer): JobStatus => ({
  ...base,
  state: "succeeded",
  outcome: { kind: "result", payload: { data, contentType: "a/b", messageType: "" } },
});

const hints: [string, Hint][] = [
  ["ready", { kind: "ready", queue: "a/b" }],
  ["cancel", { kind: "cancel", queue: "q", jobId: "\u2028", lane: "l1", leaseToken: Buffer.from(binary) }],
  ["superseded", { kind: "superseded", lane: "l1" }],
  ["changed, without a status", { kind: "changed", queue: "q", jobId: "a", version: 7 }],
  ["changed, in flight", changed(base)],
  ["changed, with a result", changed(result(binary))],
  [
    "changed, with a failure",
    changed({
      ...base,
      state: "failed",
      outcome: {
        kind: "failure",
        failure: {
          kind: "handler",
          status: { code: 13, message: "böse\n", details: [{ typeUrl: "t", value: binary }] },
          type: "Error",
          stack: "at x",
          attempts: [{ number: 1, endTime: 1, workerId: "w", message: "m" }],
        },
      },
    }),
  ],
];

test.each(hints)("%s: comes back as it went", (_name, hint) => {
  expect(decodeHint(encodeHint(hint))).toEqual(hint);
});

test("a large outcome stays at home", () => {
  const hint = encodeHint(changed(result(Buffer.alloc(5_000))));
  expect(hint.length).toBeLessThan(200);
  expect(decodeHint(hint)).toEqual({ kind: "changed", queue: "q", jobId: "ü:{}", version: 2 ** 52 });
});

test.each(["", "{", '["new","x"]\0', "null\0", "\0\0"])("what is none is dropped: %j", (text) => {
  expect(decodeHint(Buffer.from(text))).toBeUndefined();
});

describe.skipIf(redisUnavailable)(
  `hints over Redis${redisUnavailable ? ` (skipped: ${redisUnavailable})` : ""}`,
  () => {
    const next = (storage: Storage) =>
      new Promise<Hint>((resolve) => {
        const stop = storage.onHint((hint) => {
          stop();
          resolve(hint);
        });
      });

    test("L-PG4: reach the broker they are for, and after a cut connection again", async () => {
      const server = await serverOf();
      const [b1, b2] = [await storageOn(server.url), await storageOn(server.url, { brokerId: "b2" })];
      const others: Hint[] = [];
      b1.onHint((hint) => others.push(hint));
      const first = next(b2);
      b1.hint("b2", changed(result(binary)));
      expect(await first).toEqual(changed(result(binary)));

      const missed = new Promise<boolean>((resolve) => void b2.onReady(resolve));
      await server.admin.call("CLIENT", "KILL", "TYPE", "pubsub");
      expect(await missed, "told to read again").toBe(true);
      const second = next(b2);
      b1.hint("b2", { kind: "ready", queue: "q" });
      expect(await second).toEqual({ kind: "ready", queue: "q" });
      expect(others).toEqual([]);
    });

    test("to nobody, or while the server is away, are dropped", async () => {
      const server = await serverOf();
      const storage = await storageOn(server.url);
      storage.hint("nobody", { kind: "ready", queue: "q" });
      server.kill("SIGKILL");
      storage.hint("nobody", { kind: "ready", queue: "q" });
    });
  },
);
