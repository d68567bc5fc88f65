/** The YAML file of a broker: a line for each setting, and the limits of single queues. */
import { readFileSync } from "node:fs";
import { closest, distance } from "fastest-levenshtein";
import { QUEUE_PATTERN } from "../protocol/limits.ts";
import { countOrNone, type Kind, totalOrNone } from "./kinds.ts";
import type { QueueRule } from "./settings.ts";

/** The configuration cannot be used. One line that says what, where and what instead. Exit code 78. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** What a file says. */
export interface ConfigFile {
  /** By setting name. */
  texts: Readonly<Record<string, string>>;
  queues: QueueRule[];
}

/** The one key that is no setting. */
const QUEUES = "queues";
const MAX_QUEUE_RULES = 1_000;
const queueSettings: { name: string; key: "maxLength" | "maxBytes"; kind: Kind<number> }[] = [
  { name: "max-length", key: "maxLength", kind: countOrNone },
  { name: "max-bytes", key: "maxBytes", kind: totalOrNone },
];

/**
 * @param names of the settings
 * @throws ConfigError
 */
export async function readConfigFile(file: string, names: readonly string[]): Promise<ConfigFile> {
  const { parseDocument } = await import("yaml");
  const document = parseDocument(read(file, "config file"));
  const [error] = document.errors;
  if (error) {
    // As in `storage: memory:`, which YAML takes for a mapping in a mapping.
    const hint = error.code === "BLOCK_AS_IMPLICIT_KEY" ? "; put a value that ends with a colon in quotes" : "";
    throw new ConfigError(`config file ${file}: ${error.message.split("\n")[0]?.replace(/:$/, "")}${hint}`);
  }
  const content: unknown = document.toJS() ?? {};
  if (!isMap(content)) {
    throw new ConfigError(`config file ${file}: expected lines such as "max-wait: 1h"`);
  }
  const { [QUEUES]: queues = {}, ...single } = content as Record<string, unknown>;
  return { texts: textsOf(single, names, `config file ${file}`, [QUEUES]), queues: queueRules(queues, file) };
}

function textsOf(
  content: object,
  names: readonly string[],
  where: string,
  others: readonly string[] = [],
): Record<string, string> {
  const entries = Object.entries(content).map(([key, value]) => {
    if (!names.includes(key)) {
      throw new ConfigError(`${where}: unknown key "${key}"${meant(key, [...names, ...others])}`);
    }
    if (value === null || typeof value === "object") throw new ConfigError(`${where}: ${key} needs a single value`);
    return [key, String(value)];
  });
  return Object.fromEntries(entries);
}

function queueRules(queues: unknown, file: string): QueueRule[] {
  const where = `config file ${file}: ${QUEUES}`;
  if (!isMap(queues)) throw new ConfigError(`${where}: expected lines such as "mail: { max-length: 10000 }"`);
  const rules = Object.entries(queues).map(([queue, limits]) => queueRule(queue, limits, `${where}: ${queue}`));
  if (rules.length <= MAX_QUEUE_RULES) return rules;
  throw new ConfigError(
    `${where}: has ${rules.length} entries, the limit is ${MAX_QUEUE_RULES}; "mail.*" stands for many`,
  );
}

function queueRule(queue: string, limits: unknown, where: string): QueueRule {
  if (queue !== "*" && !QUEUE_PATTERN.test(queue.replace(/\*$/, ""))) {
    throw new ConfigError(`${where}: is no queue name; * may stand at its end`);
  }
  const names = queueSettings.map(({ name }) => name);
  if (!isMap(limits)) throw new ConfigError(`${where}: expected ${names.join(" and ")}`);
  const texts = textsOf(limits, names, where);
  const rule: QueueRule = { queue };
  for (const { name, key, kind } of queueSettings) {
    if (texts[name] !== undefined) rule[key] = parsed(kind, texts[name], `${where}: ${name}`);
  }
  return rule;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws ConfigError that says what is expected at that source */
export function parsed<T>(kind: Kind<T>, text: string, source: string): T {
  const value = kind.parse(text.trim());
  if (value === undefined) throw new ConfigError(`${source}: expected ${kind.expected}, found "${text.slice(0, 80)}"`);
  return value;
}

export function read(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(
      `${what}: cannot read ${file}${code === "ENOENT" ? ": there is no such file" : ` (${code})`}`,
    );
  }
}

/** "; did you mean …?" where one of the names is near enough. */
export function meant(name: string, names: readonly string[]): string {
  const plain = (each: string) => each.toLowerCase().replaceAll(/[-_]/g, "");
  const best = closest(plain(name), names.map(plain));
  const near = distance(plain(name), best) <= Math.max(2, best.length / 3);
  return near ? `; did you mean ${names.find((each) => plain(each) === best)}?` : "";
}
