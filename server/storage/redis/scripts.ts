/** The scripts of lua/: file name = verb of the contract, in front of it what it says it uses. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export type ScriptName =
  | "enqueue"
  | "claim"
  | "extend"
  | "settle"
  | "progress"
  | "cancel"
  | "retry"
  | "set-result-ttl"
  | "read"
  | "listen"
  | "read-many"
  | "tick"
  | "count"
  | "list"
  | "pause"
  | "inspect";

export interface Script {
  readonly text: string;
  /** SHA-1, hex: how EVALSHA names it. */
  readonly sha: string;
}

const loaded = new Map<ScriptName, Script>();

/** Constant text: the SHA of a verb changes with a release, never with a call. */
export function script(name: ScriptName): Script {
  const known = loaded.get(name);
  if (known) return known;
  const text = assemble(source(name));
  const made = { text, sha: createHash("sha1").update(text).digest("hex") };
  loaded.set(name, made);
  return made;
}

/** The shebang must stay the first line; line numbers of errors count from it. */
function assemble(verb: string): string {
  const [shebang = "", ...body] = verb.split("\n");
  const uses = /^-- uses: (.+)$/m.exec(verb)?.[1]?.split(", ") ?? [];
  return [shebang, source("prelude"), ...uses.map(source), ...body].join("\n");
}

function source(name: string): string {
  return readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), "utf8");
}
