/** Thousands of timeouts on one connection leave it working, and leave no waiter behind. */
import { expect, test } from "vitest";
import { createBroker } from "../../server/index.ts";
import { GrpcCaller, methods } from "../support/grpc.ts";

const TIMEOUTS = 3_000;
const IN_FLIGHT = 500;

test.each([
  ["the broker answers before the deadline", 300],
  ["the caller's own deadline fires first and resets the stream", 1],
])(
  "thousands of timeouts on one connection: %s",
  async (_, deadlineMs) => {
    const broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
    const caller = new GrpcCaller(broker.grpcAddress);
    try {
      let next = 0;
      const codes = new Map<number, number>();
      const loop = async () => {
        for (let n = next++; n < TIMEOUTS; n = next++) {
          const spec = { queue: "never", jobId: `job-${n}` };
          const { code } = await caller.refused(caller.call(methods.enqueueAndWait, { spec }, { deadlineMs }));
          codes.set(code, (codes.get(code) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: IN_FLIGHT }, loop));
      expect([...codes]).toEqual([[4, TIMEOUTS]]);
      // The same connection still serves.
      await expect(caller.call(methods.enqueue, { spec: { queue: "after", jobId: "after" } })).resolves.toBeTruthy();
      await expect.poll(() => broker.stats.calls, { timeout: 10_000 }).toBe(0);
      expect(broker.stats.waiting).toBe(0);
    } finally {
      caller.close();
      await broker.close();
    }
  },
  90_000,
);
