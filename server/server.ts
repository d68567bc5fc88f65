/** The composition root: the only place that wires a broker's objects together. */
import { ServerCredentials } from "@grpc/grpc-js";
import { type Clock, systemClock } from "../protocol/clock.ts";
import { maxMessageBytes } from "../protocol/limits.ts";
import { version } from "../protocol/version.ts";
import { type AccessFiles, openAccess } from "./access/access.ts";
import { Broker } from "./broker/broker.ts";
import { both, type Observer } from "./broker/observer.ts";
import { type HttpPort, listenHttp } from "./http/http-server.ts";
import { jobLog } from "./observe/job-log.ts";
import type { Metrics } from "./observe/metrics.ts";
import { TimedStorage } from "./observe/timed-storage.ts";
import { Door } from "./rpc/door.ts";
import { Front, staysOpen } from "./rpc/front.ts";
import { register } from "./rpc/grpc/adapter.ts";
import { TlsCredentials } from "./rpc/grpc/credentials.ts";
import { addHealth } from "./rpc/grpc/health.ts";
import { createGrpcServer } from "./rpc/grpc/http2-server.ts";
import { addReflection } from "./rpc/grpc/reflection.ts";
import { CALLS, Health, PROCESS } from "./rpc/health.ts";
import { Reflection } from "./rpc/reflection.ts";
import { type BrokerSettings, defaultSettings } from "./settings.ts";
import { openStorage } from "./storage/open.ts";
import type { Storage, StorageInfo } from "./storage/storage.ts";

/** What a broker logs to. pino fits. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface BrokerServerOptions {
  /** Storage URL: `memory:`, `sqlite:PATH`, `redis://…`. */
  storage: string;
  /** Address of the gRPC port, "HOST:PORT"; port 0 takes a free one. Default 127.0.0.1:7455. */
  grpc?: string;
  /** Address of the HTTP port, "HOST:PORT", or "off", without which nothing is counted. Port 0 takes a free one. Default "off". */
  http?: string;
  /** Files for TLS; read again when they change. Default: plain text. */
  tls?: AccessFiles["tls"];
  /** File that says who may do what, see docs/security.md; read again when it changes. Default: everybody may do everything. */
  tokens?: AccessFiles["tokens"];
  settings?: Partial<BrokerSettings>;
  logger?: Logger;
  /** For tests. */
  clock?: Clock;
}

/** A running broker. */
export interface BrokerServer {
  /** "HOST:PORT" as it is listened on. */
  readonly grpcAddress: string;
  /** The same of the HTTP port; undefined where it is off. */
  readonly httpAddress: string | undefined;
  /** What it stores in, and what that survives. */
  readonly storage: StorageInfo;
  /** Stops gracefully: refuses new work, sends callers and workers elsewhere, waits for what is under way. `cut`: not all of it ended in time. */
  drain(): Promise<{ cut: boolean }>;
  /** Reads tokens and certificates now. What is wrong with them is logged, and what was read before stays. */
  reload(): Promise<void>;
  /** Stops at once. Nothing stored is lost. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  /** Resolves once the storage answers for the first time: from then on calls are accepted. */
  readonly serving: Promise<void>;
  /** Resolves if the broker can never go on, e.g. after a failed fsync: the process should exit. */
  readonly failed: Promise<Error>;
  /** For tests and metrics: what it holds now. */
  readonly stats: { readonly waiting: number; readonly sessions: number; readonly calls: number };
}

/** The address cannot be listened on. One line that says why and what to do. Exit code 78. */
export class ListenRefused extends Error {
  override readonly name = "ListenRefused";
}

/** Streams that are not ours (health watches, reflection) get this long to notice the end. */
const FAREWELL_MS = 100;

/**
 * Starts a broker in this process.
 * @throws StorageRefused the storage cannot be used as it is
 * @throws ListenRefused the address cannot be listened on
 * @throws AccessRefused the files of tokens or certificates cannot be used
 */
export async function createBroker(options: BrokerServerOptions): Promise<BrokerServer> {
  const { clock = systemClock, logger } = options;
  const settings = { ...defaultSettings, ...options.settings };
  const brokerId = Buffer.from(clock.randomBytes(6)).toString("hex");
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();

  const access = openAccess(options, clock, logger);
  const door = access.gate && new Door(access.gate);

  const storage = await openStorage(options.storage, {
    brokerId,
    clock,
    ...(settings.requireDurability && { requireDurability: settings.requireDurability }),
    warn: (message) => logger?.warn({}, message),
    fatal: fail,
  });
  const { http = "off" } = options;
  // Loaded where somebody can scrape, so that a broker embedded without the port carries none of it.
  const metrics = http === "off" ? undefined : (await import("./observe/metrics.ts")).createMetrics(clock);
  const broker = new Broker({
    brokerId,
    clock,
    settings,
    storage: metrics ? new TimedStorage(storage, metrics.storageWatch) : storage,
    observer: observerOf(metrics, logger),
  });

  const largest = maxMessageBytes(Math.max(settings.maxPayloadBytes, settings.maxResultBytes));
  const server = createGrpcServer(
    { "grpc.max_receive_message_length": largest, "grpc.max_send_message_length": -1 },
    { clock, settings, staysOpen, refused: seldom(clock, "gRPC", logger) },
  );
  const onBug = (error: unknown, path: string) => logger?.error({ err: error, path }, "internal error");
  const front = new Front(broker, onBug, door);
  register(server, front);
  const health = new Health();
  addHealth(server, health);
  const reflection = new Reflection(broker.services);
  addReflection(server, reflection, front);

  const { promise: serving, resolve: serve } = Promise.withResolvers<void>();
  let draining = false;
  const showReadiness = (ready: boolean) => {
    if (ready) serve();
    if (!draining) health.set(CALLS, ready);
  };
  const stopWatching = storage.onReady(showReadiness);

  let grpcAddress: string;
  let httpPort: HttpPort | undefined;
  try {
    const credentials = access.tls ? new TlsCredentials(access.tls) : ServerCredentials.createInsecure();
    grpcAddress = await listen(server, options.grpc ?? "127.0.0.1:7455", credentials);
    if (metrics) {
      const { tls, gate } = access;
      const refused = seldom(clock, "HTTP", logger);
      const { connectMount } = await import("./rpc/connect/adapter.ts");
      const mount = connectMount({ front, health, reflection });
      const unreadyNow = () => unready(storage, draining);
      httpPort = await openHttp(http, {
        unready: unreadyNow,
        metrics,
        tls,
        gate,
        mount,
        staysOpen,
        clock,
        refused,
        onBug,
      });
    }
  } catch (error) {
    stopWatching();
    broker.close();
    server.forceShutdown();
    await storage.close();
    throw error;
  }
  broker.start();
  access.watch();
  health.set(PROCESS, true);
  showReadiness(storage.ready);
  metrics?.read({
    version: version(),
    settings,
    get storage() {
      return storage.info;
    },
    get storageReady() {
      return storage.ready;
    },
    get draining() {
      return draining;
    },
    get calls() {
      return front.calls.count;
    },
    get exchanges() {
      return front.exchanges;
    },
    get waiting() {
      return broker.waiting;
    },
    get sessions() {
      return broker.workers.size;
    },
    get unreadBytes() {
      return front.unreadBytes;
    },
    intake: broker.intake,
    get load() {
      return broker.workers.load;
    },
    depths: () => broker.depths(),
    count: (queue) => storage.count(queue),
    limitsOf: (queue) => broker.limitsOf(queue),
  });

  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      stopWatching();
      access.close();
      broker.close();
      server.forceShutdown();
      await Promise.all([storage.close(), httpPort?.close()]);
    })();
    return closing;
  };

  const drain = async () => {
    draining = true;
    health.set(PROCESS, false);
    health.set(CALLS, false);
    await pause(clock, settings.drainDelayMs);
    const ended = Promise.all([broker.drain(), front.drain()]).then(() => false);
    // Tells every connection to go elsewhere (GOAWAY) and takes no new one.
    server.tryShutdown(() => {});
    const cut = await Promise.race([ended, pause(clock, settings.drainTimeoutMs).then(() => true)]);
    await pause(clock, FAREWELL_MS);
    await close();
    return { cut };
  };

  return {
    grpcAddress,
    httpAddress: httpPort?.address,
    get storage() {
      return storage.info;
    },
    drain,
    reload: access.reload,
    close,
    [Symbol.asyncDispose]: close,
    serving,
    failed,
    stats: {
      get waiting() {
        return broker.waiting;
      },
      get sessions() {
        return broker.workers.size;
      },
      get calls() {
        return front.calls.count;
      },
    },
  };
}

/** Says that connections are not taken: once a minute, however many there are. */
function seldom(clock: Clock, port: string, logger: Logger | undefined): (why: string) => void {
  let next = 0;
  return (why) => {
    if (clock.monotonic() < next) return;
    next = clock.monotonic() + 60_000;
    logger?.warn({ port, why }, "connections are not taken");
  };
}

function observerOf(metrics: Metrics | undefined, logger: Logger | undefined): Partial<Observer> | undefined {
  const log = logger && jobLog(logger);
  return metrics && log ? both(metrics.observer, log) : (metrics?.observer ?? log);
}

/** Why no calls are accepted, in one line. */
function unready(storage: Storage, draining: boolean): string | undefined {
  if (draining) return "draining";
  return storage.ready ? undefined : `storage ${storage.info.url} does not answer or cannot be used as it is`;
}

async function openHttp(address: string, options: Parameters<typeof listenHttp>[1]): Promise<HttpPort> {
  try {
    return await listenHttp(address, options);
  } catch (error) {
    throw refused("HTTP", "--http HOST:PORT, or off", address, error as Error);
  }
}

function refused(port: string, flag: string, address: string, error: Error): ListenRefused {
  const text = /EADDRINUSE/.test(error.message)
    ? `${port} address ${address} is in use: stop what listens there, or choose another with ${flag} (port 0 takes a free one)`
    : `cannot listen on ${port} address ${address}: ${error.message}`;
  return new ListenRefused(text, { cause: error });
}

function listen(
  server: ReturnType<typeof createGrpcServer>,
  address: string,
  credentials: ServerCredentials,
): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (!error) return resolve(`${address.slice(0, address.lastIndexOf(":"))}:${port}`);
      reject(refused("gRPC", "--grpc HOST:PORT", address, error));
    });
  });
}

function pause(clock: Clock, ms: number): Promise<void> {
  return ms === 0 ? Promise.resolve() : new Promise((resolve) => clock.setTimer(resolve, ms));
}
