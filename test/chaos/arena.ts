/** Everything that takes part: a Redis with its replica, three brokers, workers, callers, and a proxy between any two. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Stage } from "../faults/stage.ts";
import { freePorts } from "../support/redis.ts";
import type { CallerOrders, WorkerOrders } from "./load.ts";
import { Part } from "./part.ts";
import { TcpProxy } from "./proxy.ts";
import { RedisPair } from "./redis-pair.ts";

export const LEASE_MS = 2_000;
const BROKERS = 3;
/** Times in proportion to the lease, as the defaults are to theirs. */
const brokerArgs = [
  ...["--lease", `${LEASE_MS}ms`, "--reconnect-grace", "1s", "--ping-interval", "1s", "--sweep-interval", "2s"],
  ...["--probe-interval", "500ms", "--log-level", "error", "--log-format", "json"],
];

export class Arena implements AsyncDisposable {
  readonly leaseMs = LEASE_MS;
  readonly redis: RedisPair;
  readonly brokers: readonly Part[];
  readonly workers: readonly Part[];
  readonly callers: readonly Part[];
  /** What callers and workers reach the brokers by, and brokers the storage: one for each broker. */
  readonly networks: Record<"callers" | "workers" | "storage", readonly TcpProxy[]>;
  /** Where the processes write what they saw. */
  readonly folder = mkdtempSync(join(tmpdir(), "queuecall-chaos-"));
  readonly #stage = new Stage();

  private constructor(redis: RedisPair, ports: number[], callers: TcpProxy[], workers: TcpProxy[], seed: number) {
    this.redis = redis;
    this.networks = { callers, workers, storage: redis.links };
    const urls = (proxies: TcpProxy[]) => proxies.map(({ port }) => `http://127.0.0.1:${port}`);
    this.brokers = ports.map((port, i) => {
      const options = { grpc: `127.0.0.1:${port}`, args: brokerArgs };
      return new Part(`b${i + 1}`, async () => (await this.#stage.broker(redis.url(i), options)).child);
    });
    const concurrencies = [16, 8, 4];
    this.workers = concurrencies.map((concurrency, i) => {
      const orders: WorkerOrders = { ...this.#named(`w${i + 1}`), urls: urls(workers), concurrency };
      return this.#process(orders, "worker");
    });
    this.callers = (["multiplex", "unary"] as const).map((mode, i) => {
      const about = { mode, seed: seed * 10 + i, loops: 16, restMs: 100 };
      const orders: CallerOrders = { ...this.#named(`c${i + 1}`), urls: urls(callers), ...about };
      return this.#process(orders, "caller");
    });
  }

  static async start(seed: number): Promise<Arena> {
    const redis = await RedisPair.start(BROKERS);
    const ports = await freePorts(BROKERS);
    const links = () => Promise.all(ports.map((port) => TcpProxy.open(port)));
    const arena = new Arena(redis, ports, await links(), await links(), seed);
    try {
      await Promise.all(arena.brokers.map((each) => each.start()));
      await Promise.all([...arena.workers, ...arena.callers].map((each) => each.start()));
      return arena;
    } catch (error) {
      await arena[Symbol.asyncDispose]();
      throw error;
    }
  }

  get parts(): readonly Part[] {
    return [...this.brokers, ...this.workers, ...this.callers];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stage[Symbol.asyncDispose]();
    await Promise.all([...this.networks.callers, ...this.networks.workers].map((proxy) => proxy.close()));
    await this.redis[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #named(name: string) {
    return { name, history: join(this.folder, `${name}.jsonl`) };
  }

  #process(orders: WorkerOrders | CallerOrders, kind: "worker" | "caller"): Part {
    const program = `test/chaos/${kind}-process.ts`;
    return new Part(orders.name, () => this.#stage.started([program, JSON.stringify(orders)], /^started/));
  }
}
