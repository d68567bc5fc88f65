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
  /** FCALL: of this verb, or of some that have the same. */
  readonly function: string;
  /** Many callers and workers ask for it at once, so that what is asked of one queue in one turn travels together. */
  readonly frequent: boolean;
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

const frequent: readonly ScriptName[] = ["enqueue", "settle", "settle-claim"];

const shared = [bounds, ...["prelude", "lifecycle", "settling", "claiming", "time-driven"].map(source)].join("\n");
const [none, run] = ["local verbs = {}", source("run")];
const texts = verbs.map((verb) => [verb, ...split(source(verb))] as const);
/** Releases that differ have names that differ, and are there side by side. */
const NAME = `queuecall_${sha1([shared, ...texts.flat(), run].join("\n")).slice(0, 16)}`;

/** FUNCTION LOAD: constant text. */
export const library = {
  text: [`#!lua name=${NAME}`, shared, none, ...texts.map(kept), run, ...registrations()].join("\n"),
};

const scripts = new Map(texts.map((text) => [text[0], scriptOf(text)]));

export function script(name: ScriptName): Script {
  return scripts.get(name)!;
}

function scriptOf(parts: (typeof texts)[number]): Script {
  const [name, shebang] = parts;
  // The library has locals of these names.
  const given = "local given_keys, given_argv = KEYS, ARGV";
  const text = [shebang, given, shared, none, kept(parts), run, "return run(given_keys, given_argv)"].join("\n");
  return { name, function: functionOf(shebang), frequent: frequent.includes(name), text, sha: sha1(text) };
}

function kept([verb, , body]: (typeof texts)[number]): string {
  return `do
${body}
verbs['${verb}'] = verb
end`;
}

/** One function for each set of flags: they are those of the whole call, and a full Redis is to refuse some verbs only. */
function registrations(): string[] {
  return [...new Set(texts.map(([, shebang]) => shebang))].map((shebang) => {
    const flags = flagsOf(shebang);
    const list = flags ? `{ '${flags}' }` : "{}";
    return `redis.register_function{ function_name = '${functionOf(shebang)}', flags = ${list}, callback = run }`;
  });
}

function functionOf(shebang: string): string {
  return `${NAME}_run${flagsOf(shebang)
    .replace(/^(?=.)/, "_")
    .replaceAll("-", "_")}`;
}

function flagsOf(shebang: string): string {
  return /flags=(\S+)/.exec(shebang)?.[1] ?? "";
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
