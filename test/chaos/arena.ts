/** Everything that takes part: the storage's servers, three brokers, workers, callers, and a proxy between any two. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_LEASE_MS } from "../../protocol/limits.ts";
import { Stage } from "../faults/stage.ts";
import { freePorts } from "../support/redis.ts";
import type { CallerOrders, WorkerOrders } from "./load.ts";
import { Part } from "./part.ts";
import { TcpProxy } from "./proxy.ts";
import type { Servers } from "./servers.ts";

const BROKERS = 3;
const ownTime = new URL("own-time.ts", import.meta.url).href;

export interface ArenaOptions<S extends Servers> {
  seed: number;
  servers(brokers: number): Promise<S>;
  /** Absent: brokers with the settings that they have by themselves. */
  leaseMs?: number;
}

/** Times in proportion to the lease, as the defaults are to theirs. */
function settings(leaseMs: number | undefined): string[] {
  const quiet = ["--log-level", "error", "--log-format", "json"];
  if (leaseMs === undefined) return quiet;
  const intervals = ["--ping-interval", "1s", "--sweep-interval", "2s", "--probe-interval", "500ms"];
  return [...quiet, "--lease", `${leaseMs}ms`, "--reconnect-grace", "1s", ...intervals];
}

export class Arena<S extends Servers> implements AsyncDisposable {
  readonly leaseMs: number;
  readonly servers: S;
  readonly brokers: readonly Part[];
  readonly workers: readonly Part[];
  readonly callers: readonly Part[];
  /** What callers and workers reach the brokers by, and brokers the storage: one for each broker. */
  readonly networks: Record<"callers" | "workers" | "storage", readonly TcpProxy[]>;
  /** Where the processes write what they saw. */
  readonly folder = mkdtempSync(join(tmpdir(), "queuecall-chaos-"));
  readonly #stage = new Stage();

  private constructor(
    servers: S,
    ports: number[],
    callers: TcpProxy[],
    workers: TcpProxy[],
    { seed, leaseMs }: ArenaOptions<S>,
  ) {
    this.servers = servers;
    this.leaseMs = leaseMs ?? DEFAULT_LEASE_MS;
    this.networks = { callers, workers, storage: servers.links };
    const urls = (proxies: TcpProxy[]) => proxies.map(({ port }) => `http://127.0.0.1:${port}`);
    this.brokers = ports.map((port, i) => {
      const { name, history } = this.#named(`b${i + 1}`);
      const env = { NODE_OPTIONS: `--import=${ownTime}`, CHAOS_HISTORY: history, CHAOS_NAME: name };
      const options = { grpc: `127.0.0.1:${port}`, args: settings(leaseMs), env };
      return new Part(name, async () => (await this.#stage.broker(servers.url(i), options)).child);
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

  static async start<S extends Servers>(options: ArenaOptions<S>): Promise<Arena<S>> {
    const servers = await options.servers(BROKERS);
    const ports = await freePorts(BROKERS);
    const links = () => Promise.all(ports.map((port) => TcpProxy.open(port)));
    const arena = new Arena(servers, ports, await links(), await links(), options);
    // A run that is cut short leaves nothing behind.
    process.once("exit", arena.#orphaned);
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

  readonly #orphaned = () => {
    for (const part of this.parts) part.signal("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  };

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#orphaned);
    await this.#stage[Symbol.asyncDispose]();
    await Promise.all([...this.networks.callers, ...this.networks.workers].map((proxy) => proxy.close()));
    await this.servers[Symbol.asyncDispose]();
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
