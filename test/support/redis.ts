/** A Redis server of a test's own: a free port of the loopback, a folder of its own, gone with the test. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

export const binary = process.env.REDIS_SERVER ?? "redis-server";

/** Why tests that need a server cannot run here; undefined if they can. */
export const redisUnavailable: string | undefined = spawnSync(binary, ["--version"]).error
  ? "no redis-server on the PATH (or in REDIS_SERVER)"
  : undefined;

export interface RedisServer {
  /** Of the process that runs now. */
  readonly pid: number;
  readonly url: string;
  readonly port: number;
  /** For what a test does behind the storage's back. Reconnects by itself. */
  readonly admin: Redis;
  /** SIGSTOP, SIGCONT, SIGKILL, … */
  kill(signal: NodeJS.Signals): void;
  /** Starts it again, with what it saved, on the same port. */
  restart(): Promise<void>;
  /** Ends `maxFileBytes`. */
  roomAgain(): void;
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Of redis-server, e.g. ["--appendonly", "yes"]. */
  args?: string[];
  port?: number;
  /** No file of it can be larger: as on a disk that is full. Bytes, in steps of 512. `roomAgain` ends it. */
  maxFileBytes?: number;
}

export async function startRedis({ args = [], port, maxFileBytes }: ServerOptions = {}): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), "queuecall-redis-"));
  const at = port ?? (await freePort());
  const fixed = ["--port", String(at), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
  let limit = maxFileBytes;
  let child = await launch([...fixed, ...args], limit);
  const admin = new Redis({ port: at, host: "127.0.0.1", retryStrategy: () => 20, maxRetriesPerRequest: null });
  admin.on("error", () => {});
  // A test run that is cut short leaves nothing behind.
  const orphaned = () => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", orphaned);
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL"); // Also ends a stopped one.
    await gone;
  };
  return {
    url: `redis://127.0.0.1:${at}`,
    port: at,
    get pid() {
      return child.pid!;
    },
    admin,
    kill: (signal) => void child.kill(signal),
    async restart() {
      await end();
      child = await launch([...fixed, ...args], limit);
    },
    roomAgain() {
      limit = undefined;
      const prlimit = ["--pid", String(child.pid), "--fsize=unlimited"];
      const { status, stderr } = spawnSync("prlimit", prlimit, { encoding: "utf8" });
      if (status !== 0) throw new Error(`prlimit: ${stderr}`);
    },
    async stop() {
      process.off("exit", orphaned);
      admin.disconnect();
      await end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Why a full disk cannot be made here; undefined if it can. */
export const limitsUnavailable: string | undefined =
  redisUnavailable ?? (spawnSync("prlimit", ["--version"]).error ? "no prlimit on the PATH" : undefined);

/** Resolves once it says that it takes connections. */
async function launch(args: string[], maxFileBytes?: number): Promise<ChildProcess> {
  // A write beyond the limit is refused as one on a full disk is, unless the signal for it ends the process.
  const limited = `trap '' XFSZ; ulimit -S -f ${Math.ceil((maxFileBytes ?? 0) / 512)}; exec "$0" "$@"`;
  const [program, given] = maxFileBytes === undefined ? [binary, args] : ["sh", ["-c", limited, binary, ...args]];
  const child = spawn(program, given, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit").then(([code]) => {
    throw new Error(`redis-server exited with ${code}: ${log.slice(-500)}`);
  });
  exited.catch(() => {});
  let log = "";
  const ready = new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      if (log.length < 100_000) log += chunk.toString();
      if (log.includes("Ready to accept connections")) resolve();
    });
  });
  await Promise.race([ready, exited]);
  return child;
}

/** Ports stay taken until all are known, so that none is given twice. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  for (let i = 0; i < count; i++) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}
