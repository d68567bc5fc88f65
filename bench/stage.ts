/** What one scenario runs on: processes of its own, started here, measured from outside, ended by their id. */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child, root } from "../test/support/processes.ts";
import { type RedisServer, startRedis } from "../test/support/redis.ts";

/** It cannot be measured here; the message says why. */
export class Unavailable extends Error {}

export type Storage = "redis" | "sqlite" | "memory";

/** A broker of ours. */
export interface BrokerProcess {
  pid: number;
  /** Of its gRPC port. */
  address: string;
  url: string;
  metrics(): Promise<string>;
}

export class Stage implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  #redis: Promise<RedisServer> | undefined;
  #keyspaces = 0;

  /** The scenario's Redis, one for all that is measured on it. @param args of redis-server, for the first who asks */
  redis(args: string[] = []): Promise<RedisServer> {
    this.#redis ??= startRedis({ args }).then((server) => {
      this.#stack.defer(() => server.stop());
      return server;
    });
    return this.#redis;
  }

  /** Keys that no other contender on the scenario's Redis uses: their workers would take each other's jobs. */
  keyspace(): string {
    return `bench${++this.#keyspaces}`;
  }

  async folder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "queuecall-bench-"));
    this.#stack.defer(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  /** `queuecall serve`. @param through a program that runs it, with its arguments */
  async broker(storage: string, { through = [] }: { through?: string[] } = {}): Promise<BrokerProcess> {
    const serve = [join(root, "cli/main.ts"), "serve", "--storage", storage, "--grpc", "127.0.0.1:0"];
    const [program = process.execPath, ...args] = [...through, process.execPath, ...serve, "--log-level", "error"];
    // A tracer that is ended may leave the broker behind.
    const group = through.length > 0;
    const child = new Child([...args, "--http", "127.0.0.1:0"], { program, cwd: await this.folder(), group });
    this.#stack.use(child);
    const [, address = "", http = ""] = await child.line(/^ready grpc=(\S+) http=(\S+)/);
    // Under a tracer the broker is the tracer's child.
    const pid = through.length === 0 ? child.process.pid! : (childrenOf(child.process.pid!)[0] ?? child.process.pid!);
    const metrics = async () => await (await fetch(`http://${http}/metrics`)).text();
    return { pid, address, url: `http://${address}`, metrics };
  }

  /** A part of the benchmark in a process of its own. */
  async part(file: string): Promise<Part> {
    const path = fileURLToPath(new URL(`parts/${file}`, import.meta.url));
    const env = { ...process.env, NODE_NO_WARNINGS: "1" };
    const child = fork(path, { stdio: ["ignore", "ignore", "pipe", "ipc"], env, execArgv: profiled(file) });
    const part = new Part(child, file);
    this.#stack.defer(() => part.end());
    await part.ready;
    return part;
  }

  /** A server that is not ours, listening once `ready` has been said. */
  async server(program: string, args: string[], ready: RegExp, env: Record<string, string> = {}): Promise<number> {
    if (spawnSync("which", [program]).status !== 0) throw new Unavailable(`no ${program} on the PATH`);
    // It may be started by a script that stays.
    const child = new Child(args, { program, env, cwd: await this.folder(), group: true });
    this.#stack.use(child);
    await child.line(ready);
    return child.process.pid!;
  }

  /** A process that has to be there for another. */
  background(program: string, args: string[]): void {
    const child = spawn(program, args, { stdio: "ignore" });
    this.#stack.defer(() => void child.kill("SIGKILL"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** A process that answers: parts/part.ts. */
export class Part {
  readonly pid: number;
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  #ids = 0;

  constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.pid = child.pid!;
    let said = "";
    child.stderr?.on("data", (text: Buffer) => (said = (said + text).slice(-4_000)));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    child.on("message", (message: { id?: number; answer?: unknown; error?: string }) => {
      if (message.id === undefined) return resolve();
      const waiting = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.answer);
      else waiting?.reject(new Error(`${name}: ${message.error}`));
    });
    child.once("exit", (code, signal) => {
      const missing = /Cannot find package '([^']+)'/.exec(said)?.[1];
      const error = missing
        ? new Unavailable(`${missing} is not installed (npm ci in bench/)`)
        : new Error(`${name} ended with ${code ?? signal}: ${said}`);
      reject(error);
      for (const waiting of this.#asked.values()) waiting.reject(error);
    });
  }

  ask<T>(verb: string, about: unknown = {}): Promise<T> {
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve: resolve as (answer: unknown) => void, reject });
      this.#child.send({ id, verb, about });
    });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    // Its channel closes, and it ends by itself, with its profile written where one is taken.
    this.#child.disconnect();
    const cut = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await gone;
    clearTimeout(cut);
  }
}

/** CPU that a process has used since it started. Seconds; undefined where the system does not say (it does on Linux). */
export function cpuOf(pid: number): number | undefined {
  try {
    // After the name, which may hold anything: fields 14 and 15 of proc(5) in ticks of 10 ms.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return undefined;
  }
}

function childrenOf(pid: number): number[] {
  const list = `/proc/${pid}/task/${pid}/children`;
  return existsSync(list) ? readFileSync(list, "latin1").trim().split(" ").filter(Boolean).map(Number) : [];
}

/** QUEUECALL_BENCH_PROFILE=FOLDER: CPU profiles of the parts go there. */
function profiled(file: string): string[] {
  const folder = process.env.QUEUECALL_BENCH_PROFILE;
  return folder === undefined
    ? []
    : ["--cpu-prof", "--cpu-prof-dir", folder, "--cpu-prof-name", `${file}-${Date.now()}.cpuprofile`];
}
