/**
 * The laws of the house. The arrows of the architecture go one way:
 *
 *   gen ← protocol ← { client, worker, server/rpc }
 *   server/rpc → server/broker → server/storage/storage.ts → server/job
 *
 * A red line here names the file, the import, and the law.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const product = ["protocol", "server", "client", "worker", "cli", "testing"];
const everything = [...product, "test", "examples", "scripts", "bench", "docs", "proto"];

interface Source {
  /** From the repository's root. */
  path: string;
  /** Without comments. */
  code: string;
  /** Paths from the root, or package names. */
  imports: string[];
  /** Those of them that are there at run time. */
  loads: string[];
}

const sources = product.flatMap(filesBelow).filter(isCode).map(read);

/** What may be imported from where. The longest matching start of a path counts. */
const mayImport: Record<string, readonly string[]> = {
  protocol: ["protocol", "gen"],
  client: ["client", "protocol", "gen"],
  worker: ["worker", "protocol", "gen"],
  testing: ["testing", "client", "server/index.ts", "protocol"],
  cli: [
    "cli",
    "client/index.ts",
    "worker/index.ts",
    "protocol",
    "server/config.ts",
    "server/main.ts",
    "server/fsck.ts",
  ],
  server: ["server", "protocol"],
  "server/job": ["server/job", "protocol"],
  "server/storage": ["server/storage", "server/job", "protocol"],
  "server/storage/sqlite": ["server/storage/sqlite", "server/storage/*", "server/job", "protocol"],
  "server/storage/redis": ["server/storage/redis", "server/storage/*", "server/job", "protocol"],
  "server/broker": ["server/broker", "server/storage/storage.ts", "server/job", "server/settings.ts", "protocol"],
  "server/observe": [
    "server/observe",
    "server/broker",
    "server/storage/storage.ts",
    "server/job",
    "server/settings.ts",
    "protocol",
  ],
  "server/http": ["server/http", "server/rpc", "protocol"],
  "server/rpc": [
    "server/rpc",
    "server/broker",
    "server/storage/storage.ts",
    "server/job",
    "server/settings.ts",
    "protocol",
    "gen",
  ],
};

/** Packages with only one place in the house. Everything else of that name is a leak. */
const onlyIn: Record<string, readonly string[]> = {
  ioredis: ["server/storage/redis"],
  "cluster-key-slot": ["server/storage/redis"],
  "node:sqlite": ["server/storage/sqlite"],
  "@grpc/": ["server/rpc/grpc", "server/server.ts", "worker"],
  "grpc-health-check": ["server/rpc/grpc"],
  "@connectrpc/": ["client", "server/rpc/connect", "worker"],
  "@bufbuild/": ["protocol", "client", "worker", "server/rpc"],
  commander: ["cli"],
  pino: ["server/logger.ts"],
  "pino-pretty": ["server/logger.ts"],
  "prom-client": ["server/observe"],
  "@opentelemetry/": ["protocol/tracing.ts"],
  yaml: ["server/config-file.ts", "server/access"],
  vitest: [],
  "fast-check": [],
};

describe("imports", () => {
  test("go the way of the arrows", () => {
    const broken = sources.flatMap(({ path, imports }) => {
      const layer = longest(Object.keys(mayImport), path);
      const allowed = mayImport[layer] ?? [];
      return imports
        .filter((each) => !isPackage(each) && !allowed.some((start) => isBelow(each, start)))
        .map((each) => `${path} imports ${each}, but ${layer}/ may import only: ${allowed.join(", ")}`);
    });
    expect(broken).toEqual([]);
  });

  test("of a package stay where the package belongs", () => {
    const broken = sources.flatMap(({ path, imports }) =>
      imports.flatMap((each) => {
        const name = Object.keys(onlyIn).find((known) => each === known || each.startsWith(withSlash(known)));
        const places = name === undefined ? undefined : onlyIn[name];
        if (!places || places.some((place) => isBelow(path, place))) return [];
        return [`${path} imports ${each}, which belongs only in: ${places.join(", ") || "tests"}`];
      }),
    );
    expect(broken).toEqual([]);
  });

  // Types are gone when files load; what they need of each other is judged by the arrows.
  test("have no cycles", () => {
    const graph = new Map(sources.map(({ path, loads }) => [path, loads]));
    expect(cyclesOf(graph).map((cycle) => cycle.join(" → "))).toEqual([]);
  });
});

test("no folder is called common, util, shared, helpers or types", () => {
  const forbidden = /^(common|utils?|shared|helpers?|types)$/i;
  const folders = new Set(everything.flatMap(filesBelow).map((file) => dirname(file)));
  expect([...folders].filter((folder) => folder.split("/").some((part) => forbidden.test(part)))).toEqual([]);
});

describe("core code", () => {
  /** Where time and chance come from outside, so that tests can hold them. */
  const core = ["protocol", "client", "worker", "server/job", "server/broker", "server/rpc", "server/storage"];
  const source = ["protocol/clock.ts", "protocol/manual-clock.ts"];
  const ambient =
    /\b(Date\.now|new Date\(\)|performance\.now|process\.hrtime|setTimeout|setInterval|setImmediate|Math\.random|randomBytes)\b\(?/g;
  /** Not the clock's business, and why. */
  const excused: Record<string, string> = {
    "server/rpc/grpc/calls.ts": "grpc-js gives deadlines as dates of the wall clock",
    "client/transport/connection.ts": "a real socket is silent in real time",
    "worker/forward.ts": "grpc-js takes deadlines as dates of the wall clock",
  };

  test("takes time and chance from its clock", () => {
    const broken = sources
      .filter(({ path }) => core.some((each) => isBelow(path, each)) && !source.includes(path) && !excused[path])
      .flatMap(({ path, code }) => {
        const own = code.replaceAll(/\b(clock|this\.#?clock|\w+\.clock)\.\w+/g, "");
        return [...own.matchAll(ambient)].map(([call]) => `${path} uses ${call}: take it from protocol/clock.ts`);
      });
    expect([...new Set(broken)]).toEqual([]);
  });
});

test("Redis key names are built in server/storage/redis/keys.ts only", () => {
  const broken = sources
    .filter(({ path }) => isBelow(path, "server/storage/redis") && !path.endsWith("/keys.ts"))
    // A hash tag in a template is a key in the making.
    .filter(({ code }) => /[`"'][^`"'\n]*\{\$\{[^`\n]*\}\}/.test(code))
    .map(({ path }) => `${path} builds a key name`);
  expect(broken).toEqual([]);
});

test("scripts that set up import nothing that has to be set up", () => {
  // scripts/wire is a plugin of buf, which is there by then.
  const scripts = filesBelow("scripts").filter((file) => file.endsWith(".mjs") && !isBelow(file, "scripts/wire"));
  const broken = scripts
    .map(read)
    .flatMap(({ path, imports }) =>
      imports
        .filter((each) => !each.startsWith("node:") && !isBelow(each, "scripts"))
        .map((each) => `${path} imports ${each}, but runs before npm ci has`),
    );
  expect(scripts).toContain("scripts/run.mjs");
  expect(broken).toEqual([]);
});

function filesBelow(folder: string): string[] {
  try {
    const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => posix.join(entry.parentPath, entry.name).slice(root.length))
      .filter((path) => !path.includes("node_modules/"));
  } catch {
    return []; // Not there (yet).
  }
}

function isCode(path: string): boolean {
  return path.endsWith(".ts") && !path.endsWith(".d.ts");
}

function read(path: string): Source {
  const code = readFileSync(join(root, path), "utf8")
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .replaceAll(/(^|\s)\/\/.*$/gm, "");
  const withoutTypes = code.replaceAll(/\b(import|export)\s+type\s[^;]*;/g, "");
  return { path, code, imports: importsOf(path, code), loads: importsOf(path, withoutTypes) };
}

function importsOf(path: string, code: string): string[] {
  const names = [...code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)].map(([, name = ""]) => name);
  return names.map((name) => (name.startsWith(".") ? posix.join(dirname(path), name) : name));
}

function isPackage(name: string): boolean {
  return !/\.(m?[jt]s)$/.test(name);
}

/** `folder`, `file.ts`, or `folder/*` for the files of a folder but not those of its folders. */
function isBelow(path: string, start: string): boolean {
  if (start.endsWith("/*")) return dirname(path) === start.slice(0, -2);
  return path === start || path.startsWith(`${start}/`);
}

function longest(starts: string[], path: string): string {
  const matching = starts.filter((start) => isBelow(path, start));
  return matching.sort((a, b) => b.length - a.length)[0] ?? "";
}

function withSlash(name: string): string {
  return name.endsWith("/") ? name : `${name}/`;
}

/** Each cycle once, as the files it goes through. */
function cyclesOf(graph: ReadonlyMap<string, string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const visit = (file: string, path: string[]) => {
    const at = path.indexOf(file);
    if (at >= 0) return void cycles.push([...path.slice(at), file]);
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return cycles;
}
