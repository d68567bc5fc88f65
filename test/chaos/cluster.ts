/** A Redis Cluster of six: three masters, each with a replica. Brokers find their way in it by themselves. */
import { setTimeout as pause } from "node:timers/promises";
import type { RedisServer } from "../support/redis.ts";
import { type RedisCluster, startRedisCluster } from "../support/redis-cluster.ts";
import { type FaultKind, failover, repeated, storageFault } from "./faults.ts";
import { caughtUp } from "./redis-pair.ts";
import type { Servers } from "./servers.ts";

const args = ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"];
/** Keys that one MIGRATE takes along. */
const BATCH = 20;
/** What it all is about: the slot of the queue with the most to do. */
const HOT = "qc:{hot}:m";

export class ClusterServers implements Servers {
  readonly links = [];
  readonly #cluster: RedisCluster;

  private constructor(cluster: RedisCluster) {
    this.#cluster = cluster;
  }

  static async start(): Promise<ClusterServers> {
    return new ClusterServers(await startRedisCluster(args, { replicas: true }));
  }

  get directUrl(): string {
    return this.#cluster.url;
  }

  url(): string {
    return this.#cluster.url;
  }

  get nodes(): readonly RedisServer[] {
    return this.#cluster.nodes;
  }

  /** Who is whose, as the masters agree. */
  async shards(): Promise<Shard[]> {
    const views = await Promise.all(this.nodes.map((node) => this.#viewOf(node)));
    const [view] = views;
    if (view && views.every((each) => JSON.stringify(each) === JSON.stringify(view))) {
      return view.map(({ master, replica, slots }) => ({
        ...{ master: this.#node(master), replica: this.#node(replica), slots },
      }));
    }
    await pause(50);
    return this.shards();
  }

  async hot(): Promise<Shard & { slot: number }> {
    const slot = (await this.nodes[0]!.admin.call("CLUSTER", "KEYSLOT", HOT)) as number;
    const shards = await this.shards();
    const shard = shards.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))!;
    return { ...shard, slot };
  }

  /** Every replica has all that its master confirmed until now. */
  async inStep(): Promise<void> {
    for (const { master, replica } of await this.shards()) {
      await until(replica, /master_link_status:up/);
      await caughtUp(master);
    }
  }

  /** The replica of that shard is its master now, and all agree. */
  async failedOver({ master, replica }: Shard, revive: () => Promise<unknown> = async () => {}): Promise<void> {
    await until(replica, /role:master/);
    await revive();
    await until(master, /role:slave.*master_link_status:up/s);
    await this.shards();
  }

  /** Moves the hot slot to the next shard, key by key, while it is used. */
  async migrateHotSlot(): Promise<void> {
    const from = await this.hot();
    const to = (await this.shards()).find(({ master }) => master !== from.master)!;
    const [source, target] = [from.master, to.master];
    const [sourceId, targetId] = await Promise.all([idOf(source), idOf(target)]);
    const slot = String(from.slot);
    await target.admin.call("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceId);
    await source.admin.call("CLUSTER", "SETSLOT", slot, "MIGRATING", targetId);
    for (;;) {
      const keys = (await source.admin.call("CLUSTER", "GETKEYSINSLOT", slot, String(BATCH))) as string[];
      if (keys.length === 0) break;
      await source.admin.call("MIGRATE", "127.0.0.1", String(target.port), "", "0", "5000", "KEYS", ...keys);
    }
    for (const { admin } of [target, source]) await admin.call("CLUSTER", "SETSLOT", slot, "NODE", targetId);
    await this.shards();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.stop();
  }

  #node(port: number): RedisServer {
    return this.nodes.find((node) => node.port === port)!;
  }

  /** Sorted, so that the views of two nodes can be compared. Undefined while a shard is not whole. */
  async #viewOf({
    admin,
  }: RedisServer): Promise<{ master: number; replica: number; slots: [number, number][] }[] | undefined> {
    const ranges = (await admin.call("CLUSTER", "SLOTS")) as Range[];
    const byMaster = Map.groupBy(ranges, ([, , [, master]]) => master);
    const shards = [...byMaster].map(([master, parts]) => ({
      ...{ master, replica: parts[0]![3]?.[1] ?? 0 },
      slots: parts.map(([first, last]): [number, number] => [first, last]).sort(([a], [b]) => a - b),
    }));
    const whole = shards.length === 3 && shards.every(({ replica }) => replica !== 0);
    return whole ? shards.sort((a, b) => a.master - b.master) : undefined;
  }
}

type Node = [host: string, port: number];
/** As CLUSTER SLOTS has it: the master first. */
type Range = [first: number, last: number, master: Node, ...replicas: Node[]];

interface Shard {
  master: RedisServer;
  replica: RedisServer;
  /** First and last of each range. */
  slots: [number, number][];
}

async function idOf({ admin }: RedisServer): Promise<string> {
  return (await admin.call("CLUSTER", "MYID")) as string;
}

/** Replication has no event to wait for. */
async function until(server: RedisServer, pattern: RegExp): Promise<void> {
  while (!pattern.test(await server.admin.info("replication"))) await pause(20);
}

export const clusterFaults: readonly FaultKind<ClusterServers>[] = [
  failover("hot shard's master killed, its replica promoted", async (servers) => {
    const shard = await servers.hot();
    shard.master.kill("SIGKILL");
    await servers.failedOver(shard, () => shard.master.restart());
  }),
  failover("hot shard's master stopped, its replica promoted", async (servers) => {
    const shard = await servers.hot();
    shard.master.kill("SIGSTOP");
    await servers.failedOver(shard, async () => shard.master.kill("SIGCONT"));
  }),
  storageFault("planned failover of the hot shard", async (servers) => {
    const shard = await servers.hot();
    await servers.inStep();
    await shard.replica.admin.call("CLUSTER", "FAILOVER");
    await servers.failedOver(shard);
  }),
  storageFault("hot slot moved to another shard", (servers) => servers.migrateHotSlot()),
  storageFault("a master killed and restarted at once", async (servers, { which }) => {
    const { master } = (await servers.shards())[Math.floor(which * 3)]!;
    await master.restart();
  }),
  storageFault("FUNCTION FLUSH", ({ nodes }) =>
    // Replicas refuse it, and get it from their masters.
    repeated(5, 100, () => Promise.allSettled(nodes.map(({ admin }) => admin.call("FUNCTION", "FLUSH")))),
  ),
  storageFault("CLIENT KILL", ({ nodes }) =>
    repeated(3, 300, async () => {
      for (const { admin } of nodes)
        for (const type of ["normal", "pubsub"]) await admin.call("CLIENT", "KILL", "TYPE", type);
    }),
  ),
];
