/**
 * From flags, environment and file to one checked {@link Config}. The table
 * below is the only place that knows a setting: its flag, variable and file
 * key all follow from its name.
 *
 *   max-wait  →  --max-wait 1h  ·  QUEUECALL_MAX_WAIT=1h  ·  max-wait: 1h
 *
 * Beside them the file has `queues:`, limits of single queues: config-file.ts.
 */
import { formatSize } from "../protocol/units.ts";
import type { AccessFiles } from "./access/access.ts";
import { exposure } from "./access/exposure.ts";
import { ConfigError, meant, parsed, read, readConfigFile } from "./config-file.ts";
import {
  address,
  addressOrOff,
  count,
  countOrNone,
  duration,
  durationOrNone,
  file,
  type Kind,
  names,
  oneOf,
  origins,
  size,
  text,
  totalOrNone,
  yesOrNo,
} from "./kinds.ts";
import { type BrokerSettings, defaultSettings } from "./settings.ts";
import { durabilityOrder } from "./storage/storage.ts";

/** Everything that `queuecall serve` runs with. */
export interface Config {
  /** Storage URL. May carry credentials: not for printing. */
  storage: string;
  /** "HOST:PORT". */
  grpc: string;
  /** "HOST:PORT" or "off". */
  http: string;
  tls: AccessFiles["tls"];
  tokens: AccessFiles["tokens"];
  /** Folder for what is kept in files. */
  data: string;
  logLevel: LogLevel;
  /** Absent: pretty on a terminal, else JSON. */
  logFormat: "pretty" | "json" | undefined;
  settings: BrokerSettings;
  /** What an operator should know about the configuration; one line each. */
  warnings: string[];
}

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

interface Values extends Omit<BrokerSettings, "queues"> {
  grpc: string;
  http: string;
  storage: string;
  storageFile: string;
  tlsCert: string;
  tlsKey: string;
  tlsClientCa: string;
  tokens: string;
  data: string;
  logLevel: LogLevel;
  logFormat: "pretty" | "json";
}

export { ConfigError };

/** One row of the table. */
export interface Setting<K extends keyof Values = keyof Values> {
  /** In words joined by hyphens, as in flag and file. */
  name: string;
  key: K;
  kind: Kind<Exclude<Values[K], undefined>>;
  /** One line, for --help. */
  help: string;
  /** In people's form, for --help. */
  initial: string | undefined;
}

/** Every setting of a broker, in the order of --help. */
export const settings: readonly Setting[] = [
  setting("grpc", "grpc", address, "gRPC (HTTP/2) address: all services, health, reflection", "127.0.0.1:7455"),
  setting(
    "http",
    "http",
    addressOrOff,
    "HTTP address: Connect, gRPC-Web, gRPC, /metrics, /healthz, /readyz",
    "127.0.0.1:8455",
  ),
  setting(
    "storage",
    "storage",
    { ...text, placeholder: "URL" },
    "memory: · sqlite:PATH · redis://HOST:PORT/DB?prefix=qc · rediss:// · redis+cluster://HOST:PORT,HOST:PORT · redis+sentinel://… (default: sqlite: in the data folder)",
  ),
  setting("storage-file", "storageFile", file, "file that holds the storage URL, for secrets"),
  setting(
    "tls-cert",
    "tlsCert",
    file,
    "certificate chain in PEM: TLS from 1.2; read again when it changes, or at SIGHUP",
  ),
  setting("tls-key", "tlsKey", file, "private key of --tls-cert in PEM"),
  setting("tls-client-ca", "tlsClientCa", file, "authorities in PEM: who connects needs a certificate of one of them"),
  setting(
    "tokens",
    "tokens",
    file,
    "who may do what, in YAML (docs/security.md); read again when it changes, or at SIGHUP",
  ),
  setting("data", "data", { ...text, placeholder: "FOLDER" }, "data folder", "./queuecall-data"),
  setting("log-level", "logLevel", oneOf(logLevels), `least level to log: ${logLevels.join(", ")}`, "info"),
  setting(
    "log-format",
    "logFormat",
    oneOf(["pretty", "json"]),
    "form of log lines (default: pretty on a terminal, else json)",
  ),
  broker("max-wait", "maxWaitMs", duration(), "longest wait of a call; longer ones are clamped"),
  broker("drain-timeout", "drainTimeoutMs", duration(0), "longest time that a drain takes before what is left is cut"),
  broker(
    "drain-delay",
    "drainDelayMs",
    duration(0),
    "time between NOT_SERVING and the first refusal, for load balancers",
  ),
  broker("lease", "leaseMs", duration(), "how long a delivery is a worker's without renewal"),
  broker("reconnect-grace", "reconnectGraceMs", duration(0), "how long leases outlive their stream"),
  broker("ping-interval", "pingIntervalMs", duration(), "a side that sent nothing for this long sends a ping"),
  broker("max-stream-age", "maxStreamAgeMs", duration(), "worker streams are moved on after this long (±10 %)"),
  broker(
    "max-connection-age",
    "maxConnectionAgeMs",
    durationOrNone,
    "callers' connections are asked to come anew after this long (±10 %); calls under way go on",
  ),
  broker("max-payload", "maxPayloadBytes", size, "largest payload of a job"),
  broker("max-result", "maxResultBytes", size, "largest result of a job"),
  broker("max-headers", "maxHeadersBytes", size, "headers and labels of a job together"),
  broker(
    "pass-headers",
    "passHeaders",
    names,
    "user metadata of transparent calls that travels to the worker and back",
  ),
  broker("cors-origins", "corsOrigins", origins, "browser pages of these origins may call on the HTTP port"),
  broker("max-waiters", "maxWaiters", count, "calls that wait at one time"),
  broker("max-sessions", "maxSessions", count, "worker streams at one time"),
  broker("max-connections", "maxConnections", count, "connections to the gRPC port at one time"),
  broker("max-exchanges", "maxExchanges", count, "multiplexed streams at one time"),
  broker("max-enqueues", "maxEnqueues", count, "enqueues that wait for the storage at one time"),
  broker("max-enqueue-bytes", "maxEnqueueBytes", size, "bytes of their payloads"),
  broker(
    "max-unread-bytes",
    "maxUnreadBytes",
    size,
    "bytes that peers have not read; beyond it the stalest stream ends",
  ),
  broker(
    "max-queue-length",
    "maxQueueLength",
    countOrNone,
    "jobs of a queue that have not ended; an enqueue of more is refused",
  ),
  broker(
    "max-queue-bytes",
    "maxQueueBytes",
    totalOrNone,
    "bytes of the jobs of a queue that have not ended: payloads, headers, labels",
  ),
  broker("pass-stacks", "passStacks", yesOrNo, "let callers see the stacks that workers send"),
  broker("sweep-interval", "sweepIntervalMs", duration(), "open waits are re-read this often"),
  broker("probe-interval", "probeIntervalMs", duration(), "a worker with room looks for jobs this often (±50 %)"),
  broker(
    "require-durability",
    "requireDurability",
    oneOf(durabilityOrder),
    `refuse to start below this class, weakest first: ${durabilityOrder.join(", ")}`,
  ),
];

function setting<K extends keyof Values>(
  name: string,
  key: K,
  kind: Setting<K>["kind"],
  help: string,
  initial?: string,
): Setting {
  return { name, key, kind, help, initial } as unknown as Setting;
}

function broker<K extends keyof Values & keyof BrokerSettings>(
  name: string,
  key: K,
  kind: Setting<K>["kind"],
  help: string,
): Setting {
  const value = defaultSettings[key];
  const shown = value === undefined ? undefined : kind.show(value as never);
  return setting(name, key, kind, help, shown === "" ? undefined : shown);
}

/** `QUEUECALL_MAX_WAIT` for `max-wait`. */
export function variableOf(name: string): string {
  return `QUEUECALL_${name.toUpperCase().replaceAll("-", "_")}`;
}

/** Variables that are ours but no setting of a broker. */
const OTHER_VARIABLES = ["CONFIG", "URL", "TOKEN", "TOKEN_FILE"].map((name) => `QUEUECALL_${name}`);

/** What Kubernetes sets in every pod for a Service whose name starts with "queuecall". Never used by us. */
const KUBERNETES =
  /^QUEUECALL(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** Where settings come from, strongest first. */
export interface Sources {
  /** By setting name, and `config` for the file. */
  flags: Readonly<Record<string, string | undefined>>;
  env: Readonly<Record<string, string | undefined>>;
}

/** The text of one setting, and where it was given. */
interface Given {
  text: string;
  /** For messages: "--max-wait", "QUEUECALL_MAX_WAIT", "max-wait in queuecall.yaml". */
  source: string;
  /** 0 flag, 1 environment, 2 file. */
  rank: number;
}

/** @throws ConfigError */
export async function loadConfig({ flags, env }: Sources): Promise<Config> {
  const file = flags.config ?? (env.QUEUECALL_CONFIG || undefined);
  const known = settings.map(({ name }) => name);
  const { texts: inFile, queues } = file === undefined ? { texts: {}, queues: [] } : await readConfigFile(file, known);

  const given = (name: string): Given | undefined => {
    const variable = variableOf(name);
    if (flags[name] !== undefined) return { text: flags[name], source: `--${name}`, rank: 0 };
    // An empty variable is how compose files and charts say "not set".
    if (env[variable]) return { text: env[variable], source: variable, rank: 1 };
    if (inFile[name] !== undefined) return { text: inFile[name], source: `${name} in ${file}`, rank: 2 };
    return undefined;
  };

  const values: Partial<Record<keyof Values, unknown>> = {};
  for (const each of settings) {
    const found = given(each.name) ?? (each.initial && { text: each.initial, source: each.name, rank: 3 });
    if (found) values[each.key] = parsed(each.kind as Kind<unknown>, found.text, found.source);
  }
  const { grpc, http, storage: _, storageFile: __, tlsCert, tlsKey, tlsClientCa, tokens, ...others } = values as Values;
  const { data, logLevel, logFormat, ...rest } = others;
  const tls = tlsFiles(tlsCert, tlsKey, tlsClientCa);
  const brokerSettings = { ...defaultSettings, ...rest, queues };
  requireRoomForOneJob(brokerSettings);
  return {
    storage: storageUrl(given("storage"), given("storage-file")) ?? `sqlite:${data}/queuecall.db`,
    grpc,
    http,
    tls,
    tokens,
    data,
    logLevel,
    logFormat,
    settings: brokerSettings,
    warnings: [...unknownVariables(env), ...exposure([grpc], { tls, tokens })],
  };
}

/** A queue that has no room for one job of the largest size would refuse what the other limits allow. */
function requireRoomForOneJob({ maxQueueBytes, queues, maxPayloadBytes, maxHeadersBytes }: BrokerSettings): void {
  const least = maxPayloadBytes + maxHeadersBytes;
  const given = [
    ["max-queue-bytes", maxQueueBytes] as const,
    ...queues.map(({ queue, maxBytes = least }) => [`queues: ${queue}: max-bytes`, maxBytes] as const),
  ];
  for (const [name, bytes] of given) {
    if (bytes >= least) continue;
    const found = `${formatSize(bytes)} has no room for one job of max-payload and max-headers`;
    throw new ConfigError(`${name}: ${found}, ${formatSize(least)}: give at least that, or lower those`);
  }
}

function tlsFiles(cert: string | undefined, key: string | undefined, clientCa: string | undefined): Config["tls"] {
  if (cert && key) return { cert, key, clientCa };
  const [given, missing] = cert
    ? ["tls-cert", "tls-key"]
    : key
      ? ["tls-key", "tls-cert"]
      : ["tls-client-ca", "tls-cert"];
  if (cert || key || clientCa) throw new ConfigError(`${given} needs ${missing}: give --${missing} FILE`);
  return undefined;
}

/** The stronger of both; from the same place they contradict each other. */
function storageUrl(url: Given | undefined, file: Given | undefined): string | undefined {
  if (url && file?.rank === url.rank) throw new ConfigError(`give one of ${url.source} and ${file.source}, not both`);
  if (!file || (url && url.rank < file.rank)) return url?.text.trim();
  const content = read(file.text, file.source).trim();
  if (content === "") throw new ConfigError(`${file.source}: ${file.text} is empty, but should hold the storage URL`);
  return content;
}

function unknownVariables(env: Sources["env"]): string[] {
  const known = [...settings.map(({ name }) => variableOf(name)), ...OTHER_VARIABLES];
  return Object.keys(env)
    .filter((name) => name.startsWith("QUEUECALL_") && !known.includes(name) && !KUBERNETES.test(name))
    .sort()
    .map((name) => `unknown environment variable ${name} is ignored${meant(name, known)}`);
}
