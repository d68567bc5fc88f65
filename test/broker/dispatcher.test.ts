/** Many workers at one queue: what it costs to find out that there is nothing to do, and that all of them get work once there is. */
import { expect, test } from "vitest";
import { call, replaced, requestId, SeamWorker, spec, startRig } from "../support/broker.ts";

const WORKERS = 1_000;

test("a thousand that come to an empty queue do not each ask whether it is, again and again", async () => {
  let claims = 0;
  const rig = await startRig({}, (storage) =>
    replaced(storage, {
      claim(request) {
        claims++;
        return storage.claim(request);
      },
    }),
  );
  const workers = Array.from({ length: WORKERS }, (_, n) => new SeamWorker(rig.broker, { workerId: `w${n}` }));
  await rig.clock.advance(10);
  expect(claims).toBeLessThan(WORKERS / 2);
  claims = 0;
  await rig.clock.advance(1_000);
  expect(claims).toBeLessThan(10);

  for (let n = 0; n < WORKERS; n++) await rig.broker.callers.enqueue(spec(), requestId(), call());
  await rig.clock.advance(10);
  expect(workers.filter(({ deliveries }) => deliveries.length === 1)).toHaveLength(WORKERS);
  await rig.close();
});

test("a backlog reaches all of them, though few ask at one time", async () => {
  const rig = await startRig();
  for (let n = 0; n < WORKERS; n++) await rig.broker.callers.enqueue(spec(), requestId(), call());
  const workers = Array.from({ length: WORKERS }, (_, n) => new SeamWorker(rig.broker, { workerId: `w${n}` }));
  for (let turn = 0; turn < 50; turn++) await rig.clock.advance(1);
  expect(workers.filter(({ deliveries }) => deliveries.length === 1)).toHaveLength(WORKERS);
  await rig.close();
});
