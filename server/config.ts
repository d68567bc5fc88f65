/**
 * From flags, environment and file to one checked {@link Config}. The table
 * below is the only place that knows a setting: its flag, variable and file
 * key all follow from its name.
 *
 *   max-wait  →  --max-wait 1h  ·  QUEUECALL_MAX_WAIT=1h  ·  max-wait: 1h
 */
import { readFileSync } from "node:fs";
import { closest, distance } from "fastest-levenshtein";
import { MAX_DURATION_MS } from "../protocol/limits.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "../protocol/units.ts";
import type { AccessFiles } from "./access/access.ts";
import { exposure } from "./access/exposure.ts";
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

/** The configuration cannot be used. One line that says what, where and what instead. Exit code 78. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** How the text of a setting becomes its value. */
interface Kind<T> {
  /** Stands for the value in --help. */
  placeholder: string;
  /** What is expected, for the error message. */
  expected: string;
  /** Undefined: not such a value. */
  parse(text: string): T | undefined;
  show(value: T): string;
}

interface Values extends BrokerSettings {
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

const text: Kind<string> = {
  placeholder: "TEXT",
  expected: "a value",
  parse: (value) => value || undefined,
  show: String,
};
const file: Kind<string> = { ...text, placeholder: "FILE" };
const address: Kind<string> = {
  ...text,
  placeholder: "HOST:PORT",
  expected: "HOST:PORT, such as 127.0.0.1:7455 (port 0 takes a free one)",
  parse: (value) => (/^(\[[\da-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/.test(value) && portOf(value) < 65536 ? value : undefined),
};
const addressOrOff: Kind<string> = {
  ...address,
  placeholder: "HOST:PORT|off",
  expected: `${address.expected}, or off`,
  parse: (value) => (value === "off" ? value : address.parse(value)),
};
const count: Kind<number> = {
  placeholder: "N",
  expected: "a whole number from 1",
  parse: (value) => (/^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined),
  show: String,
};
const size: Kind<number> = {
  placeholder: "SIZE",
  expected: "a size from 1KiB to 1GiB, such as 512KiB or 4MiB",
  parse: (value) => within(parseSize(value), 1024, 1024 ** 3),
  show: formatSize,
};
const yesOrNo: Kind<boolean> = {
  placeholder: "true|false",
  expected: "true or false",
  parse: (value) => ({ true: true, false: false })[value],
  show: String,
};

const names: Kind<readonly string[]> = {
  placeholder: "NAMES",
  expected: "names of headers in lower case, separated by commas, such as tenant,x-*",
  parse: (value) => (/^[0-9a-z_.*-]+( *, *[0-9a-z_.*-]+)*$/.test(value) ? value.split(/ *, */) : undefined),
  show: (value) => value.join(","),
};

const origins: Kind<readonly string[]> = {
  placeholder: "ORIGINS",
  expected: "origins separated by commas, such as https://app.example.com,http://localhost:5173, or *",
  parse: (value) =>
    /^(\*|https?:\/\/[^\s,/]+( *, *https?:\/\/[^\s,/]+)*)$/.test(value) ? value.split(/ *, */) : undefined,
  show: (value) => value.join(","),
};

function duration(min = 100): Kind<number> {
  return {
    placeholder: "DURATION",
    expected: `a duration with its unit, such as 500ms, 25s or 1h30m${min > 0 ? `, from ${formatDuration(min)}` : ""}`,
    parse: (value) => within(parseDuration(value), min, MAX_DURATION_MS),
    show: formatDuration,
  };
}

function oneOf<T extends string>(choices: readonly T[]): Kind<T> {
  return {
    placeholder: choices.length > 3 ? "CHOICE" : choices.join("|"),
    expected: `one of ${choices.join(", ")}`,
    parse: (value) => choices.find((each) => each === value),
    show: String,
  };
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

function broker<K extends keyof BrokerSettings>(name: string, key: K, kind: Setting<K>["kind"], help: string): Setting {
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
  const inFile = file === undefined ? {} : await readConfigFile(file);

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
    if (found) values[each.key] = parse(each, found);
  }
  const { grpc, http, storage: _, storageFile: __, tlsCert, tlsKey, tlsClientCa, tokens, ...others } = values as Values;
  const { data, logLevel, logFormat, ...rest } = others;
  const tls = tlsFiles(tlsCert, tlsKey, tlsClientCa);
  return {
    storage: storageUrl(given("storage"), given("storage-file")) ?? `sqlite:${data}/queuecall.db`,
    grpc,
    http,
    tls,
    tokens,
    data,
    logLevel,
    logFormat,
    settings: { ...defaultSettings, ...rest },
    warnings: [...unknownVariables(env), ...exposure([grpc], { tls, tokens })],
  };
}

function parse({ kind }: Setting, { text, source }: Given): unknown {
  const value = (kind as Kind<unknown>).parse(text.trim());
  if (value === undefined) throw new ConfigError(`${source}: expected ${kind.expected}, found "${text.slice(0, 80)}"`);
  return value;
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

async function readConfigFile(file: string): Promise<Record<string, string>> {
  const { parseDocument } = await import("yaml");
  const document = parseDocument(read(file, "config file"));
  const [error] = document.errors;
  if (error) {
    // As in `storage: memory:`, which YAML takes for a mapping in a mapping.
    const hint = error.code === "BLOCK_AS_IMPLICIT_KEY" ? "; put a value that ends with a colon in quotes" : "";
    throw new ConfigError(`config file ${file}: ${error.message.split("\n")[0]?.replace(/:$/, "")}${hint}`);
  }
  const content: unknown = document.toJS() ?? {};
  if (typeof content !== "object" || Array.isArray(content)) {
    throw new ConfigError(`config file ${file}: expected lines such as "max-wait: 1h"`);
  }
  const names = settings.map(({ name }) => name);
  return Object.fromEntries(
    Object.entries(content as object).map(([key, value]) => {
      if (!names.includes(key)) throw new ConfigError(`config file ${file}: unknown key "${key}"${meant(key, names)}`);
      if (value === null || typeof value === "object") {
        throw new ConfigError(`config file ${file}: ${key} needs a single value`);
      }
      return [key, String(value)];
    }),
  );
}

function read(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(
      `${what}: cannot read ${file}${code === "ENOENT" ? ": there is no such file" : ` (${code})`}`,
    );
  }
}

function unknownVariables(env: Sources["env"]): string[] {
  const known = [...settings.map(({ name }) => variableOf(name)), ...OTHER_VARIABLES];
  return Object.keys(env)
    .filter((name) => name.startsWith("QUEUECALL_") && !known.includes(name) && !KUBERNETES.test(name))
    .sort()
    .map((name) => `unknown environment variable ${name} is ignored${meant(name, known)}`);
}

/** "; did you mean …?" where one of the names is near enough. */
function meant(name: string, names: readonly string[]): string {
  const plain = (each: string) => each.toLowerCase().replaceAll(/[-_]/g, "");
  const best = closest(plain(name), names.map(plain));
  const near = distance(plain(name), best) <= Math.max(2, best.length / 3);
  return near ? `; did you mean ${names.find((each) => plain(each) === best)}?` : "";
}

function portOf(hostAndPort: string): number {
  return Number(hostAndPort.slice(hostAndPort.lastIndexOf(":") + 1));
}

function within(value: number | undefined, min: number, max: number): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}
