/** gen/: made from proto/ by buf, committed, never edited. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./process.mjs";

/** Writes gen/ anew. */
export function generate() {
  return run("buf", ["generate"]);
}

/** 0 if gen/ is what buf makes of proto/ now, otherwise says what differs. */
export async function generatedCodeIsCurrent() {
  const fresh = mkdtempSync(join(tmpdir(), "queuecall-gen-"));
  try {
    const code = await run("buf", ["generate", "--output", fresh]);
    if (code !== 0) return code;
    const differing = difference(join(fresh, "gen"), "gen");
    for (const file of differing) console.error(`gen/${file} is not what buf makes of proto/`);
    if (differing.length > 0) console.error("run: npm run generate");
    return differing.length > 0 ? 1 : 0;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/**
 * Files that are not the same in both folders, or only in one.
 * @param {string} a
 * @param {string} b
 */
export function difference(a, b) {
  const [inA, inB] = [filesOf(a), filesOf(b)];
  const all = new Set([...inA.keys(), ...inB.keys()]);
  return [...all].filter((file) => inA.get(file) !== inB.get(file)).sort();
}

/**
 * Every file below a folder, with what is in it.
 * @param {string} folder
 * @returns {Map<string, string>}
 */
function filesOf(folder) {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return new Map(
    files
      .filter((file) => statSync(join(folder, file)).isFile())
      .map((file) => [file, readFileSync(join(folder, file), "utf8")]),
  );
}
