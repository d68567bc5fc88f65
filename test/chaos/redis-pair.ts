/**
 * A Redis with a replica, and in front of them a proxy for each broker: the address stays, whoever is the master behind
 * it. Both write every command to disk before they answer; only the tail that a replica has not got can be lost.
 */
import { setTimeout as pause } from "node:timers/promises";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { between, type FaultKind, failover, repeated, stopped, storageFault } from "./faults.ts";
import { TcpProxy } from "./proxy.ts";
import type { Servers } from "./servers.ts";

/** Class redis-always. A replica comes at once; a script that runs longer than 200 ms is called busy. */
const args = [
  ...["--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no"],
  ...["--repl-diskless-sync-delay", "0", "--busy-reply-threshold", "200"],
];

export class RedisPair implements Servers {
  master: RedisServer;
  replica: RedisServer;
  /** One for each broker. */
  readonly links: readonly TcpProxy[];
  /** What the replica hears the master through. */
  readonly #replication: TcpProxy;

  private constructor(master: RedisServer, replica: RedisServer, links: TcpProxy[], replication: TcpProxy) {
    this.master = master;
    this.replica = replica;
    this.links = links;
    this.#replication = replication;
  }

  static async start(brokers: number): Promise<RedisPair> {
    const [master, replica] = await Promise.all([startRedis({ args }), startRedis({ args })]);
    const links = await Promise.all(Array.from({ length: brokers }, () => TcpProxy.open(master.port)));
    const pair = new RedisPair(master, replica, links, await TcpProxy.open(master.port));
    await pair.#follow();
    return pair;
  }

  /** Storage URL for one broker. */
  url(broker: number): string {
    return `redis://127.0.0.1:${this.links[broker]!.port}/0`;
  }

  /** For whoever looks at the end. */
  get directUrl(): string {
    return `${this.master.url}/0`;
  }

  /** Planned: the master waits for its replica, hands over, and nothing is lost. */
  async failOver(): Promise<void> {
    await this.inStep();
    await this.master.admin.call("FAILOVER", "TO", "127.0.0.1", String(this.replica.port), "TIMEOUT", "5000");
    await this.#until(this.replica, /role:master/);
    await this.#switch();
  }

  /**
   * The master dies while its replica has not heard of it for a while: what was confirmed since is lost.
   * @param unheard what happens meanwhile
   */
  async promoteLagging(unheard: () => Promise<void>): Promise<void> {
    this.#replication.set("down", { deaf: true });
    await unheard();
    this.master.kill("SIGKILL");
    this.#replication.cut();
    await this.replica.admin.call("REPLICAOF", "NO", "ONE");
    this.#replication.set("down", {});
    await this.#switch(() => this.replica.restart());
  }

  /** The replica has all that the master confirmed until now. */
  async inStep(): Promise<void> {
    await this.#until(this.replica, /master_link_status:up/);
    await caughtUp(this.master);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.links, this.#replication].map((proxy) => proxy.close()));
    await Promise.all([this.master.stop(), this.replica.stop()]);
  }

  /** The replica is the master now. @param revive brings the former one back, if it died */
  async #switch(revive = async () => {}): Promise<void> {
    [this.master, this.replica] = [this.replica, this.master];
    for (const link of this.links) {
      link.target = this.master.port;
      link.cut();
    }
    this.#replication.target = this.master.port;
    await revive();
    await this.#follow();
  }

  async #follow(): Promise<void> {
    await this.replica.admin.call("REPLICAOF", "127.0.0.1", String(this.#replication.port));
    await this.#until(this.replica, /master_link_status:up/);
  }

  /** Replication has no event to wait for. */
  async #until(server: RedisServer, pattern: RegExp): Promise<void> {
    while (!pattern.test(await server.admin.info("replication"))) await pause(20);
  }
}

/** Its replica has all that it confirmed until now. WAIT speaks of what its own connection saw last: the ping makes that now. */
export async function caughtUp({ admin }: RedisServer): Promise<void> {
  await admin.ping();
  while ((await admin.wait(1, 1_000)) < 1);
}

/** What can happen to it. */
export const pairFaults: readonly FaultKind<RedisPair>[] = [
  storageFault("redis killed and restarted", async ({ master }, { much }) => {
    master.kill("SIGKILL");
    await pause(between(0, 1_500, much));
    await master.restart();
  }),
  storageFault("redis stopped for two leases", ({ master }, _, leaseMs) =>
    stopped({ signal: (signal) => master.kill(signal) }, 2 * leaseMs),
  ),
  storageFault("CLIENT PAUSE for two leases", async ({ master }, _, leaseMs) => {
    await master.admin.call("CLIENT", "PAUSE", String(2 * leaseMs), "ALL");
    await master.admin.ping();
  }),
  storageFault("FUNCTION FLUSH", ({ master }) => repeated(10, 100, () => master.admin.call("FUNCTION", "FLUSH"))),
  storageFault("CLIENT KILL", ({ master }, { much }) =>
    repeated(4, between(50, 500, much), async () => {
      for (const type of ["normal", "pubsub"]) await master.admin.call("CLIENT", "KILL", "TYPE", type);
    }),
  ),
  storageFault("redis full", async ({ master }, { much }) => {
    await master.admin.config("SET", "maxmemory", "1mb");
    await pause(between(500, 2_500, much));
    await master.admin.config("SET", "maxmemory", "0");
  }),
  storageFault("redis busy", async ({ master }, { much }) => {
    const until = `local t = redis.call('TIME') local e = t[1] * 1000 + t[2] / 1000 + ${between(300, 1_500, much)}`;
    const loop = "repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > e";
    await master.admin.eval(`${until} ${loop}`, 0);
  }),
  storageFault("planned failover", (pair) => pair.failOver()),
  failover("lagging replica promoted", (pair, { much }) => pair.promoteLagging(() => pause(between(100, 1_000, much)))),
];
