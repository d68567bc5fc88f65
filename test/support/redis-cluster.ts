/** A Redis Cluster of a test's own: three masters, each with a replica where that is asked for. */
import { setTimeout as pause } from "node:timers/promises";
import { freePorts, type RedisServer, startRedis } from "./redis.ts";

export interface RedisCluster {
  /** redis+cluster://… of the first three. */
  readonly url: string;
  readonly nodes: readonly RedisServer[];
  /** Empties all nodes. */
  flush(): Promise<void>;
  stop(): Promise<void>;
}

const SLOTS = 16384;

const MASTERS = 3;

export async function startRedisCluster(args: string[] = [], { replicas = false } = {}): Promise<RedisCluster> {
  const size = replicas ? 2 * MASTERS : MASTERS;
  const ports = await freePorts(2 * size);
  const nodes = await Promise.all(Array.from({ length: size }, (_, i) => startNode(ports[i]!, ports[i + size]!, args)));
  const masters = nodes.slice(0, MASTERS);
  for (const [i, { admin }] of masters.entries()) {
    const first = Math.floor((SLOTS * i) / MASTERS);
    const last = Math.floor((SLOTS * (i + 1)) / MASTERS) - 1;
    await admin.call("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1));
    await admin.call("CLUSTER", "ADDSLOTSRANGE", String(first), String(last));
  }
  for (const [i, { port }] of nodes.entries()) {
    if (i > 0) await nodes[0]!.admin.call("CLUSTER", "MEET", "127.0.0.1", String(port), String(ports[i + size]));
  }
  await Promise.all(nodes.map((node) => settled(node, size)));
  for (const [i, { admin }] of nodes.slice(MASTERS).entries()) {
    await admin.call("CLUSTER", "REPLICATE", (await masters[i]!.admin.call("CLUSTER", "MYID")) as string);
  }
  return {
    url: `redis+cluster://${masters.map(({ port }) => `127.0.0.1:${port}`).join(",")}`,
    nodes,
    async flush() {
      await Promise.all(masters.map(({ admin }) => admin.flushall()));
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
async function settled({ admin }: RedisServer, size: number): Promise<void> {
  for (;;) {
    const info = (await admin.call("CLUSTER", "INFO")) as string;
    if (info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${size}`)) return;
    await pause(20);
  }
}
