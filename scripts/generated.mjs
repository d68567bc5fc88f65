/** gen/ of the product and of an example: made from their .proto files by buf, committed, never edited. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./process.mjs";

/** Where code is generated: the folder, and what says how. */
const outputs = { gen: "buf.gen.yaml", "examples/transparent/gen": "examples/transparent/buf.gen.yaml" };

/** Writes them anew. */
export async function generate() {
  for (const template of Object.values(outputs)) {
    const code = await buf(template);
    if (code !== 0) return code;
  }
  return 0;
}

/** 0 if they are what buf makes of the .proto files now, otherwise says what differs. */
export async function generatedCodeIsCurrent() {
  const fresh = mkdtempSync(join(tmpdir(), "queuecall-gen-"));
  try {
    let differing = 0;
    for (const [folder, template] of Object.entries(outputs)) {
      const code = await buf(template, "--output", fresh);
      if (code !== 0) return code;
      for (const file of difference(join(fresh, folder), folder)) {
        differing++;
        console.error(`${folder}/${file} is not what buf makes of its .proto files`);
      }
    }
    if (differing > 0) console.error("run: npm run generate");
    return differing > 0 ? 1 : 0;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/**
 * @param {string} template
 * @param {string[]} args
 */
function buf(template, ...args) {
  return run("buf", ["generate", "--template", template, ...args]);
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
