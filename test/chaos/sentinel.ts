/** A Redis and its replica under three sentinels, which decide who is the master. Brokers find it through them, without a proxy. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { Child } from "../support/processes.ts";
import { binary, freePorts, type RedisServer, startRedis } from "../support/redis.ts";
import { between, type FaultKind, failover, repeated, storageFault } from "./faults.ts";
import { caughtUp } from "./redis-pair.ts";
import type { Servers } from "./servers.ts";

const NAME = "queuecall";
const DOWN_AFTER_MS = 1_000;
const args = ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"];

export class SentinelServers implements Servers {
  readonly links = [];
  readonly nodes: readonly RedisServer[];
  readonly sentinels: readonly Sentinel[];

  private constructor(nodes: RedisServer[], sentinels: Sentinel[]) {
    this.nodes = nodes;
    this.sentinels = sentinels;
  }

  static async start(): Promise<SentinelServers> {
    const nodes = await Promise.all([startRedis({ args }), startRedis({ args })]);
    const [master, replica] = nodes;
    await replica.admin.call("REPLICAOF", "127.0.0.1", String(master.port));
    const sentinels = (await freePorts(3)).map((port) => new Sentinel(port, master.port));
    const servers = new SentinelServers(nodes, sentinels);
    await Promise.all(sentinels.map((sentinel) => sentinel.start()));
    await servers.inStep();
    // They find each other, and the replica, by what the master passes on.
    for (const sentinel of sentinels) await sentinel.ready();
    return servers;
  }

  get directUrl(): string {
    return `redis+sentinel://${this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",")}/0?name=${NAME}`;
  }

  url(): string {
    return this.directUrl;
  }

  /** As the sentinels say. */
  async master(): Promise<RedisServer> {
    const ports = await Promise.all(this.sentinels.map((sentinel) => sentinel.masterPort()));
    const agreed = ports.every((port) => port === ports[0]);
    const master = this.nodes.find(({ port }) => port === ports[0]);
    if (master && agreed) return master;
    await pause(50);
    return this.master();
  }

  replicaOf(master: RedisServer): RedisServer {
    return this.nodes.find((node) => node !== master)!;
  }

  /** The replica has all that the master confirmed until now. */
  async inStep(): Promise<void> {
    const master = await this.#role("master");
    await until(this.replicaOf(master), /master_link_status:up/);
    await caughtUp(master);
  }

  /** Another than `before` is the master, and `before`, which is back, its replica. */
  async failedOver(before: RedisServer, revive: () => Promise<unknown>): Promise<void> {
    await until(this.replicaOf(before), /role:master/);
    await revive();
    await until(before, /role:slave.*master_link_status:up/s);
    while ((await this.master()) === before) await pause(50);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.sentinels.map((each) => each.stop()), ...this.nodes.map((each) => each.stop())]);
  }

  async #role(role: string): Promise<RedisServer> {
    for (const node of this.nodes) {
      if ((await node.admin.info("replication")).includes(`role:${role}`)) return node;
    }
    await pause(50);
    return this.#role(role);
  }
}

class Sentinel {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "queuecall-sentinel-"));
  readonly #file = join(this.#folder, "sentinel.conf");
  readonly #admin: Redis;
  #child: Child | undefined;

  constructor(port: number, masterPort: number) {
    this.port = port;
    const lines = [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${this.#folder}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${masterPort} 2`,
      `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${NAME} 4000`,
    ];
    writeFileSync(this.#file, `${lines.join("\n")}\n`);
    this.#admin = new Redis({ port, host: "127.0.0.1", retryStrategy: () => 50, maxRetriesPerRequest: null });
    this.#admin.on("error", () => {});
  }

  async start(): Promise<void> {
    this.#child = new Child([this.#file, "--sentinel"], { program: binary });
    await this.#child.line(/Sentinel ID is/);
  }

  async kill(): Promise<void> {
    await this.#child?.kill("SIGKILL");
  }

  async masterPort(): Promise<number> {
    const [, port] = (await this.#admin.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) as [string, string];
    return Number(port);
  }

  /** It knows the other two, and the replica. */
  async ready(): Promise<void> {
    const info = new RegExp(`name=${NAME},status=ok,address=[^,]+,slaves=1,sentinels=3`);
    while (!info.test((await this.#admin.call("INFO", "sentinel")) as string)) await pause(50);
  }

  async failOver(): Promise<void> {
    await this.#admin.call("SENTINEL", "FAILOVER", NAME);
  }

  async stop(): Promise<void> {
    this.#admin.disconnect();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Replication has no event to wait for. */
async function until(server: RedisServer, pattern: RegExp): Promise<void> {
  while (!pattern.test(await server.admin.info("replication"))) await pause(20);
}

export const sentinelFaults: readonly FaultKind<SentinelServers>[] = [
  failover("master killed, its replica promoted", async (servers) => {
    const master = await servers.master();
    master.kill("SIGKILL");
    await servers.failedOver(master, () => master.restart());
  }),
  failover("master stopped, its replica promoted", async (servers) => {
    const master = await servers.master();
    master.kill("SIGSTOP");
    await servers.failedOver(master, async () => master.kill("SIGCONT"));
  }),
  failover("SENTINEL FAILOVER", async (servers, { which }) => {
    const master = await servers.master();
    await servers.sentinels[Math.floor(which * 3)]!.failOver();
    await servers.failedOver(master, async () => {});
  }),
  storageFault("a sentinel killed and restarted", async ({ sentinels }, { which, much }) => {
    const sentinel = sentinels[Math.floor(which * 3)]!;
    await sentinel.kill();
    await pause(between(0, 3_000, much));
    await sentinel.start();
  }),
  storageFault("no sentinel while the master restarts", async (servers, { much }) => {
    const master = await servers.master();
    await Promise.all(servers.sentinels.map((sentinel) => sentinel.kill()));
    master.kill("SIGKILL");
    await pause(between(0, 1_500, much));
    await master.restart();
    await Promise.all(servers.sentinels.map((sentinel) => sentinel.start()));
    for (const sentinel of servers.sentinels) await sentinel.ready();
  }),
  storageFault("CLIENT KILL", (servers) =>
    repeated(4, 300, async () => {
      const { admin } = await servers.master();
      for (const type of ["normal", "pubsub"]) await admin.call("CLIENT", "KILL", "TYPE", type);
    }),
  ),
];
