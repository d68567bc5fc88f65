/** The verbs of lua/, one a file that is named as in the contract, and the library that all of them stand on. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { recordFields } from "./record.ts";

const verbs = [
  "enqueue",
  "claim",
  "extend",
  "settle",
  "settle-claim",
  "progress",
  "cancel",
  "retry",
  "set-result-ttl",
  "read",
  "listen",
  "read-many",
  "tick",
  "count",
  "list",
  "pause",
  "announce",
  "name",
  "unname",
  "announced",
  "add-service",
  "forget-service",
  "inspect",
] as const;
export type ScriptName = (typeof verbs)[number];

/** A verb, in both ways that a server can have it. */
export interface Script {
  readonly name: ScriptName;
  /** FCALL. */
  readonly function: string;
  /** FCALL of verbs of one queue, packed: those with the same of these. Undefined: it goes by itself, and as it is. */
  readonly together: string | undefined;
  /** EVAL: the library with this verb alone. */
  readonly text: string;
  /** SHA-1 of that text, hex: EVALSHA. */
  readonly sha: string;
}

/** A job, as verbs have it: what is behind its name in their text, `job.id`, is a place in an array. See prelude.lua. */
const beside = ["id", "stored", "index", "score", "start_by", "list", "list_score"];
const places = [...beside, ...Object.keys(recordFields)];
const place = new Map(places.map((name, i) => [name, i + 1]));
const bounds = `local FIRST, LAST = ${beside.length + 1}, ${places.length}`;

const TOGETHER = source("together");
const shared = [bounds, ...["prelude", "lifecycle", "settling", "claiming", "time-driven"].map(source)].join("\n");
const texts = verbs.map((verb) => [verb, ...split(source(verb))] as const);
/** Releases that differ have names that differ, and are there side by side. */
const NAME = `queuecall_${sha1([shared, ...texts.flat(), TOGETHER].join("\n")).slice(0, 16)}`;

/** Verbs that many callers and workers ask for at once. */
const frequent: readonly ScriptName[] = ["enqueue", "settle", "settle-claim"];

/** FUNCTION LOAD: constant text. */
export const library = {
  text: [`#!lua name=${NAME}`, shared, "local verbs = {}", ...texts.map(registered), TOGETHER, ...together()].join(
    "\n",
  ),
};

const scripts = new Map(texts.map(([verb, shebang, body]) => [verb, scriptOf(verb, shebang, body)]));

export function script(name: ScriptName): Script {
  return scripts.get(name)!;
}

function scriptOf(verb: ScriptName, shebang: string, body: string): Script {
  // The library has locals of these names.
  const given = "local given_keys, given_argv = KEYS, ARGV";
  const text = [shebang, given, shared, body, "begin(given_keys, given_argv)", "return whole_call(verb)"].join("\n");
  const together = frequent.includes(verb) ? togetherOf(shebang) : undefined;
  return { name: verb, function: functionOf(verb), together, text, sha: sha1(text) };
}

/** Of verbs with the same flags. */
function togetherOf(shebang: string): string {
  return `${NAME}_together${shebang.includes("allow-oom") ? "_allow_oom" : ""}`;
}

function together(): string[] {
  const shebangs = texts.filter(([verb]) => frequent.includes(verb)).map(([, shebang]) => shebang);
  return [...new Set(shebangs)].map((shebang) => registration(togetherOf(shebang), shebang, "together"));
}

function registration(name: string, shebang: string, callback: string): string {
  return `redis.register_function{ function_name = '${name}', flags = ${flagsOf(shebang)}, callback = ${callback} }`;
}

function flagsOf(shebang: string): string {
  const flags = /flags=(\S+)/.exec(shebang)?.[1];
  return flags ? `{ '${flags}' }` : "{}";
}

function registered([verb, shebang, body]: (typeof texts)[number]): string {
  return `do
${body}
verbs['${verb}'] = verb
${registration(functionOf(verb), shebang, "function(keys, argv) begin(keys, argv) return whole_call(verb) end")}
end`;
}

function functionOf(verb: ScriptName): string {
  return `${NAME}_${verb.replaceAll("-", "_")}`;
}

/** The shebang with the flags of a verb is its first line. */
function split(text: string): [shebang: string, body: string] {
  const end = text.indexOf("\n");
  return [text.slice(0, end), text.slice(end + 1)];
}

/** Without comments: the server keeps the text. With numbers for the names of what a job has. */
function source(name: string): string {
  const text = readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), "utf8").replaceAll(/^\s*--.*\n/gm, "");
  return text.replaceAll(/\b([a-z]\w*)\.(\w+)\b/g, (access, object: string, field: string) => {
    if (!place.has(field)) return access;
    return `${object}[${place.get(field)}]`;
  });
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}
