/** A Redis Cluster of a test's own: three masters, no replicas. */
import { setTimeout as pause } from "node:timers/promises";
import { freePorts, type RedisServer, startRedis } from "./redis.ts";

export interface RedisCluster {
  /** redis+cluster://… of all three. */
  readonly url: string;
  readonly nodes: readonly RedisServer[];
  /** Empties all nodes. */
  flush(): Promise<void>;
  stop(): Promise<void>;
}

const SLOTS = 16384;

export async function startRedisCluster(args: string[] = []): Promise<RedisCluster> {
  const ports = await freePorts(6);
  const nodes = await Promise.all([0, 1, 2].map((i) => startNode(ports[i]!, ports[i + 3]!, args)));
  for (const [i, { admin }] of nodes.entries()) {
    const first = Math.floor((SLOTS * i) / nodes.length);
    const last = Math.floor((SLOTS * (i + 1)) / nodes.length) - 1;
    await admin.call("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
    await admin.call("CLUSTER", "ADDSLOTSRANGE", String(first), String(last));
  }
  for (const [i, { port }] of nodes.entries()) {
    if (i > 0) await nodes[0]!.admin.call("CLUSTER", "MEET", "127.0.0.1", String(port), String(ports[i + 3]));
  }
  await Promise.all(nodes.map(settled));
  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`,
    nodes,
    async flush() {
      await Promise.all(nodes.map(({ admin }) => admin.flushall()));
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** The bus has a port of its own: by default 10,000 higher, which may be none. */
function startNode(port: number, bus: number, args: string[]): Promise<RedisServer> {
  const cluster = ["--cluster-enabled", "yes", "--cluster-port", String(bus), "--cluster-node-timeout", "2000"];
  return startRedis({ port, args: [...cluster, ...args] });
}

/** Gossip has no event to wait for. */
async function settled({ admin }: RedisServer): Promise<void> {
  for (;;) {
    const info = (await admin.call("CLUSTER", "INFO")) as string;
    if (info.includes("cluster_state:ok") && info.includes("cluster_known_nodes:3")) return;
    await pause(20);
  }
}
