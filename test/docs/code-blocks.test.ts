/**
 * What the documentation shows is true: TypeScript compiles against the sources, commands parse, YAML and JSON too,
 * npm scripts exist, links and anchors lead somewhere. The info string of a block says what it is:
 *
 *   ts           a module
 *   ts fragment  part of one, with given.ts in scope
 *   ts sketch    code of others: checked by nobody
 *   text         a picture, or pseudo-code
 *   none, sh     commands
 *
 * That it is also run is shown by ledger.test.ts.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { createProgram } from "../../cli/program.ts";
import { root } from "../support/processes.ts";
import { type Block, blocks, files, texts, wordsOf } from "./blocks.ts";

/** What given.ts exports. */
const given =
  "client, contentId, createClient, createJobClient, createQueueClient, createWorker, defineQueue, JobFailedError, jobOptions, NonRetryableError, send, signal, Thumbnailer, TimeoutError, to, url";

const { scripts, exports: entries } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const where = ({ file, line }: Block) => `${file}:${line}`;
const of = (...infos: string[]) =>
  blocks.filter(({ info }) => infos.includes(info)).map((block) => [where(block), block] as const);

test("there is something to check, and what is not is rare", () => {
  const known = [
    "",
    "text",
    "sh",
    "ts",
    "ts fragment",
    "ts sketch",
    "yaml",
    "json",
    "python",
    "proto",
    "go",
    "ini",
    "docker",
  ];
  expect(blocks.filter(({ info }) => !known.includes(info)).map(where)).toEqual([]);
  expect(of("ts").length).toBeGreaterThan(1);
  expect(of("ts sketch").length).toBeLessThan(4);
});

describe("TypeScript compiles", () => {
  const code = of("ts", "ts fragment");
  let folder: string;
  let said: string[];

  beforeAll(() => {
    // Below the root, so that packages are found.
    mkdirSync(join(root, "node_modules/.cache"), { recursive: true });
    folder = mkdtempSync(join(root, "node_modules/.cache/docs-"));
    for (const [, block] of code) writeFileSync(join(folder, nameOf(block)), moduleOf(block));
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig()));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { stdout } = spawnSync(process.execPath, [tsc, "--pretty", "false", "-p", folder], {
      encoding: "utf8",
      cwd: folder,
    });
    said = stdout.split("\n");
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(code)("%s", (_, block) => {
    expect(said.filter((line) => line.startsWith(nameOf(block)))).toEqual([]);
  });

  test("and nothing else is wrong", () => {
    expect(
      said.filter((line) => /error TS/.test(line) && !code.some(([, block]) => line.startsWith(nameOf(block)))),
    ).toEqual([]);
  });

  /** As package.json exports them, but the sources. */
  function tsconfig() {
    const names = Object.keys(entries).filter((name) => !name.endsWith(".json"));
    const paths = names.map((name) => [`queuecall${name.slice(1)}`, [join(root, name, "index.ts")]]);
    return {
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        rootDir: "/",
        lib: ["esnext", "dom"],
        typeRoots: [join(root, "node_modules/@types")],
        noUnusedLocals: false,
        noUnusedParameters: false,
        paths: { ...Object.fromEntries(paths), given: [join(root, "test/docs/given.ts")] },
      },
      include: ["*.ts"],
    };
  }

  function nameOf({ file, line }: Block): string {
    return `${file.replaceAll(/[^\w]/g, "-")}-${line}.ts`;
  }

  /** Lines keep their numbers, so that what the compiler says fits the page. */
  function moduleOf({ info, line, lines }: Block): string {
    const above = "\n".repeat(line - 1);
    if (info === "ts") return [`${above}export {};`, ...lines].join("\n");
    return [`${above}import { ${given} } from "given"; {`, ...lines, "}"].join("\n");
  }
});

describe("commands parse", () => {
  const shown = blocks
    .filter(({ info }) => info === "" || info === "sh")
    .flatMap((block) =>
      commandsOf(block).map(({ line, words }) => [`${block.file}:${line}: ${words.join(" ")}`, words] as const),
    );

  test.each(shown)("%s", async (_, words) => {
    const program = createProgram();
    // Commands take exitOverride over from the program; only what they do is left out.
    for (const command of program.commands) command.action(() => {});
    await expect(program.parseAsync(words, { from: "user" })).resolves.toBeDefined();
  });
});

test.each(files)("%s: npm scripts exist", (file) => {
  const named = [...texts.get(file)!.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name]) => name!);
  expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
});

test.each(of("yaml"))("%s is YAML", (_, { lines }) => {
  for (const document of parseAllDocuments(lines.join("\n"))) expect(document.errors).toEqual([]);
});

test.each(of("json"))("%s is JSON", (_, { lines }) => {
  expect(() => JSON.parse(lines.join("\n"))).not.toThrow();
});

test.each(files)("%s: links lead somewhere", (file) => {
  const links = [...prose(texts.get(file)!).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
  const broken = links
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = "", anchor] = target.split("#", 2) as [string, string?];
      const led = path === "" ? file : join(dirname(file), path);
      if (!existsSync(join(root, led))) return true;
      return (
        anchor !== undefined &&
        led.endsWith(".md") &&
        !anchorsOf(readFileSync(join(root, led), "utf8")).includes(anchor)
      );
    });
  expect(broken).toEqual([]);
});

/** Every `queuecall …` of a block, without what a shell does around it. */
function commandsOf({ line, lines }: Block): { line: number; words: string[] }[] {
  const joined = lines.join("\n").replaceAll(/\\\n/g, "  ").split("\n");
  return joined.flatMap((text, i) => {
    const [, command] = /(?:^|[$(;&|]\s*|\bdo |\buntil )(?:npx )?queuecall(?= |$)(.*)$/.exec(text.trim()) ?? [];
    return command === undefined ? [] : [{ line: line + 1 + i, words: wordsOf(command) }];
  });
}

/** Without code, where brackets are no links. */
function prose(text: string): string {
  return text.replaceAll(/^ {0,3}```[\s\S]*?^ {0,3}```$/gm, "").replaceAll(/`[^`\n]*`/g, "code");
}

/** As GitHub makes them of headings. */
function anchorsOf(text: string): string[] {
  const headings = [...text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm)];
  return headings.map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/\]\([^)]*\)/g, "]")
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-"),
  );
}
