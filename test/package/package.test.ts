/**
 * What is published: packed from a copy, installed into an empty project, and used there. It runs on this Node, or on
 * the one that PACKAGE_NODE names.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Child, complete, type Ended, root } from "../support/processes.ts";

const node = process.env.PACKAGE_NODE ?? process.execPath;
const READY = /^ready grpc=(\S+)/;

let folder: string;
let project: string;
let tarball: string;
/** What is in the tarball. */
let files: string[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-package-"));
  const copy = join(folder, "copy");
  project = join(folder, "project");

  copySources(copy);
  succeeded(await complete(["scripts/run.mjs", "build"], { cwd: copy }));
  const packed = succeeded(await npm(["pack", "--json", "--ignore-scripts"], copy));
  // An array with npm 10 and 11, an object by package name with npm 12.
  const [made] = Object.values(JSON.parse(packed.stdout)) as [{ filename: string; files: { path: string }[] }];
  files = made.files.map(({ path }) => path);
  tarball = join(copy, made.filename);

  mkdirSync(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const types = `@types/node@${devDependencies["@types/node"]}`;
  succeeded(await npm(["install", "--ignore-scripts", "--prefer-offline", tarball, types], project));
  cpSync(join(root, "test/package/consumer"), project, { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the tarball", () => {
  test("has what it needs, and nothing else", () => {
    const wanted =
      /^(dist\/.+\.(js|d\.ts|lua)|proto\/.+\.proto|docs\/.+\.md|(README|CHANGELOG)\.md|LICENSE|package\.json)$/;
    expect(files.filter((file) => !wanted.test(file))).toEqual([]);
    expect(files.filter((file) => /\b(test|bench|examples|scripts|deploy)\//.test(file))).toEqual([]);
    for (const file of ["dist/cli/main.js", "dist/client/index.d.ts", "proto/queuecall/v1/broker.proto"]) {
      expect(files).toContain(file);
    }
  });

  test("publint finds nothing", async () => {
    succeeded(await bin("publint", ["--strict", tarball]));
  });

  test("types resolve as ESM wherever they are looked for", async () => {
    succeeded(await bin("attw", [tarball, "--profile", "esm-only"]));
  });

  test("brings no Node.js and no tools of ours", () => {
    const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8"));
    const names = Object.keys(lock.packages).map((path) => basename(path));
    expect(names.filter((name) => /^node-(linux|win|darwin)|^(vitest|typescript|biome|buf)$/.test(name))).toEqual([]);
  });
});

describe("in an empty project", () => {
  test("the command says its version", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    expect(succeeded(await queuecall(["--version"]).ended).stdout).toBe(`${version}\n`);
  });

  test("the command writes the .proto files", async () => {
    succeeded(await queuecall(["proto", "--out", "protos"]).ended);
    expect(readFileSync(join(project, "protos/queuecall/v1/job.proto"), "utf8")).toContain("message Job");
  });

  test("caller, worker and broker compile strictly, declarations of ours and of others included, and work", async () => {
    succeeded(await bin("tsc", ["-p", project]));

    await using broker = queuecall(["serve", "--storage", "memory:", "--grpc", "127.0.0.1:0", "--http", "off"]);
    const env = { QUEUECALL_URL: `http://${(await broker.line(READY))[1]}` };
    const child = (file: string) => new Child([join("out", file)], { program: node, cwd: project, env });

    await using worker = child("worker.js");
    const { stdout } = succeeded(await child("caller.js").ended);
    expect(JSON.parse(stdout)).toEqual({ sum: 42, state: "succeeded", attempt: 1, wrong: "function" });
    succeeded(await queuecall(["health"], env).ended);

    expect(await worker.kill()).toMatchObject({ code: 0, stdout: "drained\n", stderr: "" });
    const end = await broker.kill();
    expect(end.code).toBe(0);
    expect(end.stderr).not.toContain("ExperimentalWarning");

    const embedded = succeeded(await child("embedded.js").ended);
    expect(JSON.parse(embedded.stdout)).toEqual({ durability: "memory", url: true });
  });

  test("SQLite keeps what it accepted, from one process to the next", async () => {
    for (const disposition of ["created", "joined"]) {
      await using broker = queuecall(["serve", "--grpc", "127.0.0.1:0", "--http", "off"]);
      const env = { QUEUECALL_URL: `http://${(await broker.line(READY))[1]}` };
      const { stdout } = succeeded(await queuecall(["enqueue", "q", "--id", "a", "--data", "1"], env).ended);
      expect(JSON.parse(stdout).disposition).toBe(disposition);
      expect((await broker.kill()).code).toBe(0);
    }
  });
});

/** The checkout without what is made from it, so that building leaves the checkout alone. */
function copySources(copy: string): void {
  const made = ["node_modules", "dist", ".git", ".vitest", "queuecall-data"];
  cpSync(root, copy, { recursive: true, filter: (path) => !made.includes(basename(path)) && !path.endsWith(".tgz") });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
}

/** The installed command. */
function queuecall(args: string[], env: Record<string, string> = {}): Child {
  return new Child([join(project, "node_modules/.bin/queuecall"), ...args], { program: node, cwd: project, env });
}

/** A tool of this repository. */
function bin(name: string, args: string[]): Promise<Ended> {
  return complete(args, { program: join(root, "node_modules/.bin", name), cwd: folder });
}

/** Whatever npm was started with must not reach this one: it works elsewhere. */
function npm(args: string[], cwd: string): Promise<Ended> {
  const env = Object.fromEntries(
    Object.keys(process.env)
      .filter((name) => /^npm_(package|lifecycle|config_local_prefix)/.test(name))
      .map((name) => [name, undefined]),
  );
  return complete([...args, "--no-audit", "--no-fund"], { program: "npm", cwd, env });
}

function succeeded(end: Ended): Ended {
  if (end.code !== 0) throw new Error(`exit code ${end.code}\n${end.stdout}${end.stderr}`);
  return end;
}
