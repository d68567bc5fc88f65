/** `queuecall proto`: what it writes is all that a code generator needs. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSync } from "@grpc/proto-loader";
import { afterEach, beforeEach, expect, test } from "vitest";
import { command } from "../support/command.ts";
import { root } from "../support/processes.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-proto-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (out: string) => command(["proto", "--out", out]);

test("the files are there, are ours, and load on their own", async () => {
  const out = join(folder, "new", "proto");
  const { code, stdout, stderr } = await write(out);
  expect([code, stderr]).toEqual([0, ""]);
  const { files } = JSON.parse(stdout) as { files: string[] };
  const written = readdirSync(out, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".proto"));
  expect(written.sort()).toEqual([...files].sort());
  for (const file of files) expect(readFileSync(join(out, file))).toEqual(readFileSync(join(root, "proto", file)));

  const loaded = loadSync(files, { includeDirs: [out] });
  expect(loaded["queuecall.v1.WorkerService"]).toHaveProperty("Work");
  expect(loaded).toHaveProperty(["google.rpc.ErrorInfo"]);
});

test("files that are there are replaced, others stay", async () => {
  writeFileSync(join(folder, "mine.proto"), "mine");
  await write(folder);
  expect((await write(folder)).code).toBe(0);
  expect(readFileSync(join(folder, "mine.proto"), "utf8")).toBe("mine");
});

test("a folder that cannot be made is one line", async () => {
  writeFileSync(join(folder, "file"), "");
  const { code, stdout, stderr } = await write(join(folder, "file", "below"));
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/^queuecall: [^\n]+\n$/);
});
