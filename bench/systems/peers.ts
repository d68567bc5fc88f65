/** Others, each as its documentation says, with its worker and its caller in processes of their own. */
import { join } from "node:path";
import { freePort } from "../../test/support/redis.ts";
import type { Seen } from "../parts/load.ts";
import { type Contender, withUsage } from "../rounds.ts";
import type { Stage } from "../stage.ts";

interface PeerShape {
  inFlight: number;
  bytes?: number;
  concurrency?: number;
  handlerMs?: number;
}

async function started(stage: Stage, file: string, worker: object, caller: object) {
  const [working, calling] = await Promise.all([stage.part(file), stage.part(file)]);
  await working.ask("connect", worker);
  await calling.ask("connect", caller);
  return { working, calling, processes: { client: calling.pid, worker: working.pid } };
}

/** @platformatic/job-queue and BullMQ, on the Redis of the scenario. */
export function onRedis(file: "platformatic.mjs" | "bullmq.mjs", shape: PeerShape): Contender {
  const { inFlight, bytes = 200, concurrency = 64, handlerMs = 0 } = shape;
  return async (stage, size) => {
    const { url, port, pid } = await stage.redis();
    // Else the worker of one contender would take the jobs of another.
    const caller = { url, port, prefix: stage.keyspace() };
    const { calling, processes } = await started(stage, file, { ...caller, concurrency, handlerMs }, caller);
    const load = { inFlight, bytes, seconds: size.seconds };
    return () => withUsage({ ...processes, storage: pid }, () => calling.ask<Seen>("wait", load));
  };
}

/** BullMQ `addBulk`, answered once stored; nobody works. */
export function addBulk({ inFlight, batch }: { inFlight: number; batch: number }): Contender {
  return async (stage, size) => {
    const { port, pid } = await stage.redis();
    const caller = await stage.part("bullmq.mjs");
    await caller.ask("connect", { port, prefix: stage.keyspace() });
    const load = { inFlight, batch, bytes: 200, seconds: size.seconds };
    return () => withUsage({ client: caller.pid, storage: pid }, () => caller.ask<Seen>("enqueue", load));
  };
}

export function nats({ inFlight, bytes = 200 }: PeerShape): Contender {
  return async (stage, size) => {
    const port = await freePort();
    const pid = await stage.server("nats-server", ["-a", "127.0.0.1", "-p", String(port)], /Server is ready/);
    const { calling, processes } = await started(stage, "nats.mjs", { port, worker: true }, { port });
    const load = { inFlight, bytes, seconds: size.seconds };
    return () => withUsage({ ...processes, broker: pid }, () => calling.ask<Seen>("wait", load));
  };
}

export function rabbitmq({ inFlight, bytes = 200 }: PeerShape): Contender {
  return async (stage, size) => {
    const [port, names] = [await freePort(), await freePort()];
    const folder = await stage.folder();
    // Its name server would stay behind: this one is ours to end.
    stage.background("epmd", ["-port", String(names)]);
    await stage.server("/usr/lib/rabbitmq/bin/rabbitmq-server", [], /Starting broker\.\.\. completed/, {
      ERL_EPMD_PORT: String(names),
      HOME: folder,
      RABBITMQ_NODENAME: `bench${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(await freePort()),
      RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
      RABBITMQ_LOG_BASE: join(folder, "log"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "plugins"),
      RABBITMQ_CONFIG_FILE: join(folder, "none"),
    });
    const { calling, processes } = await started(stage, "rabbitmq.mjs", { port, worker: true }, { port });
    const load = { inFlight, bytes, seconds: size.seconds };
    return () => withUsage(processes, () => calling.ask<Seen>("wait", load));
  };
}
