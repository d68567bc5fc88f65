/** The blocks of the documentation: README and its like, docs/, examples/. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../support/processes.ts";

export interface Block {
  file: string;
  /** The line of its fence, from 1. */
  line: number;
  info: string;
  lines: string[];
}

export const files = [
  ...readdirSync(root),
  ...["docs", "examples"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => join(folder, file)),
  ),
].filter((file) => file.endsWith(".md"));
export const texts: ReadonlyMap<string, string> = new Map(
  files.map((file) => [file, readFileSync(join(root, file), "utf8")]),
);
export const blocks: readonly Block[] = [...texts].flatMap(([file, text]) => blocksOf(file, text));

function blocksOf(file: string, text: string): Block[] {
  const found: Block[] = [];
  let open: Block | undefined;
  for (const [i, line] of text.split("\n").entries()) {
    const fence = /^ {0,3}```(.*)$/.exec(line);
    if (!fence) open?.lines.push(line);
    else if (open) open = void found.push(open);
    else open = { file, line: i + 1, info: fence[1]!.trim(), lines: [] };
  }
  if (open) throw new Error(`${file}:${open.line}: the block is not closed`);
  return found;
}

/** The words of a simple command: quotes are taken off, and a comment, a pipe or a redirection ends it. */
export function wordsOf(command: string): string[] {
  const words: string[] = [];
  for (const [token] of command.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)) {
    if (/^(#|[|&;<>)]|\d?>)/.test(token)) break;
    words.push(
      token.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single = "", double = "") => single + double).replace(/[;)]$/, ""),
    );
  }
  return words;
}
