/** A minimal worker, whole, in under 60 lines as worker.proto promises: generated stubs and nothing else. */
import { type Delivery, openWork, type WorkStream } from "./stubs.ts";

export function minimalWorker(address: string, queue: string, handle: (job: Delivery) => Promise<Buffer>) {
  const due = new Map<string, object>(); // settlements without an answer
  let current: WorkStream | undefined;
  let online = false;
  let stopped = false;
  let failures = 0;
  let ids = 0;

  async function run(job: Delivery): Promise<void> {
    const outcome = await handle(job).then(
      (data) => ({ completed: { payload: { data } } }),
      (error: Error) => ({ failed: { status: { code: 2, message: error.message } } }),
    );
    const { queue, job_id, lease_token } = job;
    const settlement = { settle_id: String(++ids), queue, job_id, lease_token, ...outcome };
    due.set(settlement.settle_id, settlement);
    if (online) current?.write({ frame: { settlements: [settlement] } });
  }

  function open(): void {
    const stream = openWork(address);
    const say = (frame: object) => stream.write({ frame });
    current = stream;
    stream.on("data", ({ welcome, frame }) => {
      if (welcome) {
        online = true;
        failures = 0;
        if (due.size > 0) say({ settlements: [...due.values()] });
      }
      if (!frame) return;
      if (frame.seq !== "0") say({ received_seq: frame.seq });
      if (frame.ping) say({ pong: frame.ping });
      for (const { settle_id, result } of frame.settled) if (result !== "RESULT_RETRY") due.delete(settle_id);
      for (const job of frame.deliveries) void run(job);
    });
    stream.on("status", () => {
      online = false;
      const wait = Math.min(5_000, 100 * 2 ** failures++);
      if (!stopped) setTimeout(open, wait * (0.5 + Math.random() / 2));
    });
    const subscriptions = [{ queue }];
    stream.write({
      hello: { protocol_version: 1, worker_id: "minimal", subscriptions, window: 1, renew_on_pong: true },
    });
  }

  function stop(): void {
    stopped = true;
    current?.cancel();
  }

  open();
  return { cut: () => current?.cancel(), stop };
}
