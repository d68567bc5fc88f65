/** The scripts of lua/: file name = verb of the contract, in front of it what it says it uses. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export type ScriptName =
  | "enqueue"
  | "claim"
  | "extend"
  | "settle"
  | "settle-claim"
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
  | "announce"
  | "name"
  | "unname"
  | "announced"
  | "add-service"
  | "forget-service"
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

/**
 * A verb, and in front of it those parts of the library that it uses: each part is made anew on every call, and what is
 * not used would cost more than what is. The shebang must stay the first line.
 */
function assemble(verb: string): string {
  const [shebang = "", ...body] = verb.split("\n");
  const uses = /^-- uses: (.+)$/m.exec(verb)?.[1]?.split(", ") ?? [];
  const parts = ["prelude", ...uses].flatMap((name) => partsOf(source(name)));
  let text = body.join("\n");
  // Lua names what it uses before it uses it, so backwards finds all.
  for (const part of parts.reverse()) {
    if (part.names.length === 0 || part.names.some((name) => new RegExp(`\\b${name}\\b`).test(text))) {
      text = `${part.text}\n${text}`;
    }
  }
  return `${shebang}\n${text}`;
}

interface Part {
  /** What it declares; nothing: a statement, always there. */
  names: string[];
  text: string;
}

/** The library is a list of local functions and local values, each from a line that starts with "local" to the next. */
function partsOf(library: string): Part[] {
  const code = library.replaceAll(/^\s*--.*\n/gm, "");
  return code.split(/^(?=local )/m).map((text) => {
    const [, names = ""] = /^local (?:function )?([\w, ]+)/.exec(text) ?? [];
    return { names: names.trim().split(/, */).filter(Boolean), text: text.trimEnd() };
  });
}

function source(name: string): string {
  return readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), "utf8");
}
