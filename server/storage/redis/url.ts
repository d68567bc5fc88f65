/** Storage URLs of Redis, taken apart. Not by URL: it knows one host only. */
import { StorageRefused } from "../storage.ts";

export interface Address {
  host: string;
  port: number;
}

export interface Target {
  topology: "single" | "cluster" | "sentinel";
  /** Of the server, of some nodes of the cluster, or of the sentinels. */
  addresses: Address[];
  tls: boolean;
  username?: string;
  password?: string;
  db: number;
  prefix: string;
  /** Sentinel: the name of the master group. */
  name: string;
  /** For people: without credentials. */
  shown: string;
}

const SHAPE = /^(rediss?|redis\+cluster|redis\+sentinel):\/\/(?:([^@/?#]*)@)?([^/?#@]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const EXAMPLE = "redis://[:PASSWORD@]HOST:PORT[/DB][?prefix=qc]";
const parameters = ["prefix", "name", "tls"];

/** @throws StorageRefused, without repeating the URL: it may hold a password */
export function parseRedisUrl(url: string): Target {
  const [, scheme = "", credentials, hosts = "", path = "", query] = SHAPE.exec(url) ?? [];
  if (!scheme) throw refused(`does not look like ${EXAMPLE}`);
  const topology = scheme === "redis+cluster" ? "cluster" : scheme === "redis+sentinel" ? "sentinel" : "single";
  const values = new URLSearchParams(query);
  for (const key of values.keys()) {
    if (!parameters.includes(key)) throw refused(`unknown parameter "${key}"; known are ${parameters.join(", ")}`);
  }
  const addresses = hosts.split(",").map((host) => parseAddress(host, topology === "sentinel" ? 26379 : 6379));
  if (topology === "single" && addresses.length > 1) {
    throw refused("several hosts; use redis+cluster:// or redis+sentinel://");
  }
  const db = path === "" ? 0 : Number(path);
  if (!/^\d{0,5}$/.test(path)) throw refused(`the database must be a number, as in ${EXAMPLE}`);
  if (topology === "cluster" && db !== 0) throw refused("a cluster has database 0 only");
  const name = values.get("name") ?? "";
  if (topology === "sentinel" && name === "") throw refused("redis+sentinel:// needs ?name=MASTER");
  return {
    topology,
    addresses,
    tls: scheme === "rediss" || ["1", "true"].includes(values.get("tls") ?? ""),
    ...parseCredentials(credentials),
    db,
    prefix: parsePrefix(values.get("prefix") ?? "qc"),
    name,
    shown: `${scheme}://${hosts}${topology === "cluster" ? "" : `/${db}`}${name && `?name=${name}`}`,
  };
}

function parseAddress(text: string, defaultPort: number): Address {
  const [, ipv6, host = ipv6, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const number = port === undefined ? defaultPort : Number(port);
  if (host === undefined || number < 1 || number > 65535) throw refused(`a host must be HOST:PORT, as in ${EXAMPLE}`);
  return { host, port: number };
}

function parseCredentials(text: string | undefined): { username?: string; password?: string } {
  if (!text) return {};
  try {
    const [username = "", ...password] = text.split(":");
    const secret = decodeURIComponent(password.join(":"));
    return { ...(username && { username: decodeURIComponent(username) }), ...(secret && { password: secret }) };
  } catch {
    throw refused("user or password is not percent-encoded");
  }
}

/** Braces would take over the hash tag. */
function parsePrefix(prefix: string): string {
  if (!/^[A-Za-z0-9._:/-]{1,64}$/.test(prefix)) throw refused("the prefix must be 1 to 64 of A-Z a-z 0-9 . _ : / -");
  return prefix;
}

function refused(what: string): StorageRefused {
  return new StorageRefused(`storage URL of Redis: ${what}`);
}
