/** The verbs of lua/, one a file that is named as in the contract, and the library that all of them stand on. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

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
  /** FCALL. */
  readonly function: string;
  /** EVAL: the library with this verb alone. */
  readonly text: string;
  /** SHA-1 of that text, hex: EVALSHA. */
  readonly sha: string;
}

const shared = ["prelude", "lifecycle", "settling", "claiming", "time-driven"].map(source).join("\n");
const texts = verbs.map((verb) => [verb, ...split(source(verb))] as const);
/** Releases that differ have names that differ, and are there side by side. */
const NAME = `queuecall_${sha1([shared, ...texts.flat()].join("\n")).slice(0, 16)}`;

/** FUNCTION LOAD: constant text. */
export const library = { text: [`#!lua name=${NAME}`, shared, ...texts.map(registered)].join("\n") };

const scripts = new Map(texts.map(([verb, shebang, body]) => [verb, scriptOf(verb, shebang, body)]));

export function script(name: ScriptName): Script {
  return scripts.get(name)!;
}

function scriptOf(verb: ScriptName, shebang: string, body: string): Script {
  // The library has locals of these names.
  const given = "local given_keys, given_argv = KEYS, ARGV";
  const text = [shebang, given, shared, body, "begin(given_keys, given_argv)", "return verb()"].join("\n");
  return { function: functionOf(verb), text, sha: sha1(text) };
}

function registered([verb, shebang, body]: (typeof texts)[number]): string {
  const flags = /flags=(\S+)/.exec(shebang)?.[1];
  return `do
${body}
redis.register_function{
  function_name = '${functionOf(verb)}', flags = {${flags ? ` '${flags}' ` : ""}},
  callback = function(keys, argv) begin(keys, argv) return verb() end,
}
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

/** Without comments: the server keeps the text. */
function source(name: string): string {
  return readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), "utf8").replaceAll(/^\s*--.*\n/gm, "");
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}
