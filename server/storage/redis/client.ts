/** ioredis, as we want it: it may connect and reconnect, but it never queues, resends, or decides to try again. */
import type { Writable } from "node:stream";
import { Cluster, Command, Redis } from "ioredis";
import { reconnectMs } from "../../../protocol/backoff.ts";
import type { Clock } from "../../../protocol/clock.ts";
import type { Packed } from "./packed.ts";
import { respOf } from "./resp.ts";
import type { Address, Target } from "./url.ts";

export type Client = Redis | Cluster;
/** Whole numbers, Buffers, null, and arrays of them. */
export type Reply = number | Buffer | null | Reply[];
export type Argument = string | number | Uint8Array;

/** How long a connection may take to come up, and a node of a cluster to answer. Milliseconds. */
const CONNECT_MS = 5_000;

/** Connects at once; says how it goes by events. For one server, sentinels or a cluster. */
export function connect(target: Target, clock: Clock, name: string): Client {
  return target.topology === "cluster"
    ? new Cluster(target.addresses, clusterOptions(target, clock, name))
    : new Redis({ ...serverOptions(target, clock, name), ...addressOptions(target) });
}

/** Hints go through any one node of a cluster: it passes them on to all. */
export function connectOne(target: Target, address: Address, clock: Clock, name: string): Redis {
  const where = target.topology === "sentinel" ? addressOptions(target) : address;
  // In a cluster the next try is another node's: HintLine.
  const strategy = target.topology === "cluster" && { retryStrategy: null };
  return new Redis({ ...serverOptions(target, clock, name), ...where, ...strategy });
}

function addressOptions({ topology, addresses, name, tls }: Target) {
  if (topology === "single") return { ...addresses[0]! };
  // A master that stood still goes on taking writes until its sentinels demote it: what it confirms then is lost.
  const leaveOld = { failoverDetector: true };
  return { sentinels: addresses, name, role: "master" as const, enableTLSForSentinelMode: tls, ...leaveOld };
}

function serverOptions({ username, password, db, tls }: Target, clock: Clock, name: string) {
  return {
    db,
    ...(username && { username }),
    ...(password && { password }),
    ...(tls && { tls: {} }),
    connectionName: name,
    protocol: 2 as const,
    disableClientInfo: true,
    // A server that is loading is the business of health.ts.
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: false,
    connectTimeout: CONNECT_MS,
    keepAlive: 5_000,
    noDelay: true,
    retryStrategy: (attempt: number) => reconnectMs(attempt, clock.random(), 50, 3_000),
  };
}

function clusterOptions(target: Target, clock: Clock, name: string) {
  const { retryStrategy, enableOfflineQueue, ...redisOptions } = serverOptions(target, clock, name);
  return {
    redisOptions,
    enableOfflineQueue: false,
    enableReadyCheck: true,
    scaleReads: "master" as const,
    maxRedirections: 8,
    // Zero: not the client's to try again. MOVED and ASK are followed at once.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 0,
    slotsRefreshTimeout: CONNECT_MS,
    slotsRefreshInterval: 5_000,
    clusterRetryStrategy: (attempt: number) => reconnectMs(attempt, clock.random(), 50, 3_000),
  };
}

/** ioredis puts a command together argument by argument, which took a tenth of a busy broker's time. */
class PlainCommand extends Command {
  readonly #packed: readonly Packed[];

  constructor(name: string, args: Argument[], packed: readonly Packed[]) {
    super(name, args as (string | number | Buffer)[]);
    this.#packed = packed;
  }

  /** ioredis writes one piece, what this returns: those before it are written here. */
  override toWritable(stream: Writable): Buffer {
    const pieces = respOf(this.name, this.args as (string | Buffer)[], this.#packed);
    const last = pieces.pop() as Buffer;
    if (pieces.length > 0) {
      // All in one system call.
      stream.cork();
      queueMicrotask(() => stream.uncork());
      for (const piece of pieces) stream.write(piece);
    }
    return last;
  }
}

/**
 * Bytes go out as they are and come back as Buffers.
 * @param packed arguments behind the others, which ioredis has no need to look at
 */
export function send(client: Client, name: string, args: Argument[], packed: readonly Packed[] = []): Promise<Reply> {
  return client.sendCommand(new PlainCommand(name, args, packed)) as Promise<Reply>;
}
