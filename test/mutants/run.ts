/**
 * Tests of the tests: applies each mutant in a copy of the repository, never in the checkout, runs the tests that it
 * names, and demands red. Exit code 1 if a mutant survives.
 *
 *   npm run mutants                        all of them
 *   npm run mutants -- --only NAME [NAME]  some of them
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutant, mutated } from "./mutant.ts";
import { mutants } from "./mutants.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Mutants tried at the same time, each in a copy of its own. */
const COPIES = 2;
/** A mutant that makes its tests hang is found, too. */
const PATIENCE_MS = 120_000;

/** `silent`: not one test ran, so nothing is known. */
type Verdict = "killed" | "survived" | "silent";

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const [flag, ...names] = args;
  if (flag !== undefined && (flag !== "--only" || names.length === 0)) return refuse("usage: --only NAME [NAME …]");
  const stranger = names.find((name) => !mutants.some((mutant) => mutant.name === name));
  if (stranger !== undefined) return refuse(`no mutant is called ${stranger}`);
  const chosen = mutants.filter(({ name }) => names.length === 0 || names.includes(name));

  const verdicts = await judge(chosen);
  const failed = chosen.filter((mutant) => verdicts.get(mutant) !== "killed");
  console.log(`${chosen.length} mutants: ${chosen.length - failed.length} killed, ${failed.length} not`);
  for (const mutant of failed) console.log(`  ${mutant.name} ${verdicts.get(mutant)}: ${mutant.why} (${mutant.file})`);
  return failed.length === 0 ? 0 : 1;
}

function refuse(line: string): number {
  console.error(line);
  return 64;
}

async function judge(chosen: readonly Mutant[]): Promise<Map<Mutant, Verdict>> {
  const verdicts = new Map<Mutant, Verdict>();
  const queue = [...chosen];
  const copies = Array.from({ length: Math.min(COPIES, chosen.length) }, copy);
  const work = async (folder: string) => {
    for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
      const began = performance.now();
      const verdict = await tried(mutant, folder);
      verdicts.set(mutant, verdict);
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      console.log(`${verdict.padEnd(8)} ${seconds.padStart(5)} s  ${mutant.name.padEnd(30)} ${mutant.why}`);
    }
  };
  try {
    await Promise.all(copies.map(work));
  } finally {
    for (const folder of copies) rmSync(folder, { recursive: true, force: true });
  }
  return verdicts;
}

/** All that git knows or would take, as it is now, with the packages of the checkout. */
function copy(): string {
  const folder = mkdtempSync(join(tmpdir(), "queuecall-mutants-"));
  const options = { cwd: root, encoding: "utf8" } as const;
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], options);
  const gone = execFileSync("git", ["ls-files", "-z", "--deleted"], options).split("\0");
  for (const file of listed.split("\0").filter((each) => each !== "" && !gone.includes(each))) {
    cpSync(join(root, file), join(folder, file));
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}

async function tried(mutant: Mutant, folder: string): Promise<Verdict> {
  const path = join(folder, mutant.file);
  const text = readFileSync(path, "utf8");
  writeFileSync(path, mutated(mutant, text));
  try {
    return await verdictOf(mutant, folder);
  } finally {
    writeFileSync(path, text);
  }
}

/** Red because a test failed, not because nothing could run. */
async function verdictOf(mutant: Mutant, folder: string): Promise<Verdict> {
  const first = await run(mutant, folder, ["--bail", "1"]);
  // Where two files run, the one that is cut short can take the report of the other along.
  return first === "silent" ? await run(mutant, folder, []) : first;
}

async function run({ tests, only }: Mutant, folder: string, flags: string[]): Promise<Verdict> {
  const report = join(folder, ".mutant.json");
  rmSync(report, { force: true });
  const pattern = only ? ["-t", only.source] : [];
  const args = ["run", ...tests, ...pattern, ...flags, "--reporter", "json", "--outputFile", report];
  const vitest = spawn(join(root, "node_modules/.bin/vitest"), args, { cwd: folder, stdio: "ignore" });
  const patience = setTimeout(() => vitest.kill("SIGTERM"), PATIENCE_MS);
  const [code] = await once(vitest, "exit");
  clearTimeout(patience);
  if (code === null) return "killed";
  // A run that is cut short may leave none.
  if (!existsSync(report)) return "silent";
  const { numFailedTests, numPassedTests } = JSON.parse(readFileSync(report, "utf8"));
  if (numFailedTests > 0) return "killed";
  return numPassedTests > 0 ? "survived" : "silent";
}
