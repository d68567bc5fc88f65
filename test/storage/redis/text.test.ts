/** The texts: URLs, and what scripts may and must say. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DEFAULT_BACKOFF, recordFields } from "../../../server/storage/redis/record.ts";
import { library, script } from "../../../server/storage/redis/scripts.ts";
import { parseRedisUrl } from "../../../server/storage/redis/url.ts";
import { StorageRefused } from "../../../server/storage/storage.ts";

describe("URLs", () => {
  const local = { topology: "single", tls: false, db: 0, prefix: "qc", name: "" };

  test.each([
    ["redis://localhost", { ...local, addresses: [{ host: "localhost", port: 6379 }], shown: "redis://localhost/0" }],
    [
      "redis://u:p%40:q@[::1]:7000/3?prefix=a:b",
      {
        ...local,
        addresses: [{ host: "::1", port: 7000 }],
        username: "u",
        password: "p@:q",
        db: 3,
        prefix: "a:b",
        shown: "redis://[::1]:7000/3",
      },
    ],
    [
      "rediss://:p@h",
      { ...local, addresses: [{ host: "h", port: 6379 }], tls: true, password: "p", shown: "rediss://h/0" },
    ],
    [
      "redis+cluster://a:1,b:2?prefix=x",
      {
        ...local,
        topology: "cluster",
        addresses: [
          { host: "a", port: 1 },
          { host: "b", port: 2 },
        ],
        prefix: "x",
        shown: "redis+cluster://a:1,b:2",
      },
    ],
    [
      "redis+sentinel://:p@a,b:2/1?name=m&tls=true",
      {
        ...local,
        topology: "sentinel",
        addresses: [
          { host: "a", port: 26379 },
          { host: "b", port: 2 },
        ],
        tls: true,
        password: "p",
        db: 1,
        name: "m",
        shown: "redis+sentinel://a,b:2/1?name=m",
      },
    ],
  ])("%s", (url, target) => {
    expect(parseRedisUrl(url)).toEqual(target);
  });

  test.each([
    "redis://",
    "redis://h:0",
    "redis://h:99999",
    "redis://a,b",
    "redis://h/x",
    "redis://h?prefix={a}",
    "redis://h?prefix=a%0Ab",
    "redis://h?prefix=",
    "redis://h?what=1",
    "redis+cluster://a:1/3",
    "redis+sentinel://a:1",
    "redis://:%zz@h",
  ])("refused: %s", (url) => {
    expect(() => parseRedisUrl(url)).toThrow(StorageRefused);
  });
});

describe("scripts", () => {
  const folder = new URL("../../../server/storage/redis/lua/", import.meta.url);
  const texts = readdirSync(folder).map((file) => [file, readFileSync(new URL(file, folder), "utf8")] as const);
  const verbs = texts.filter(([, text]) => text.startsWith("#!lua"));
  const shared = texts.filter(([, text]) => !text.startsWith("#!lua")).map(([file]) => file);

  test("each verb has one; the rest is the library", () => {
    expect(shared.sort()).toEqual([
      "claiming.lua",
      "lifecycle.lua",
      "prelude.lua",
      "run.lua",
      "settling.lua",
      "time-driven.lua",
    ]);
    expect(verbs.length).toBe(23);
  });

  test.each(verbs)("%s declares ARGV, returns, cost and what it is refused for", (file, text) => {
    for (const head of [/^-- ARGV: /m, /^-- Returns /m, /^-- Cost: /m]) expect(text).toMatch(head);
    const flags = /^#!lua(?: flags=(\S+))?\n/.exec(text)?.[1];
    const reads = ["read.lua", "read-many.lua", "count.lua", "list.lua", "inspect.lua", "announced.lua"];
    const grows = ["enqueue.lua", "add-service.lua"];
    expect(flags).toBe(grows.includes(file) ? undefined : reads.includes(file) ? "no-writes" : "allow-oom");
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("--"));
    expect(lines.length).toBeLessThanOrEqual(60);
  });

  test.each(texts)("%s parses nothing of a caller's, prints nothing, and puts no data into errors", (_file, text) => {
    const code = text.replaceAll(/--.*$/gm, "");
    expect(code).not.toMatch(/cjson|\bbit\.|error_reply|redis\.log|math\.random|\bKEYS\s*\[/);
  });

  const textOf = (name: string) => texts.find(([file]) => file === name)![1];

  test("whatever verbs name of a job has a place in it", () => {
    expect(textOf("prelude.lua")).toMatch(/\bjob\.state\b/);
    for (const { text } of [library, script("enqueue")]) expect(text).not.toMatch(/\b(?:job|old|previous)\./);
  });

  test("a blank record has a number or a text for each field, as it is read", () => {
    const [, values = ""] = /return known\(id, false, (.*)\)\nend/.exec(textOf("prelude.lua"))!;
    const nothing = Object.values(recordFields).map((read) => {
      const kind = read(Buffer.alloc(0));
      return kind instanceof Buffer || typeof kind === "boolean" ? "0" : "''";
    });
    expect(values.split(", ")).toEqual(nothing);
  });

  test("the usual back-off is the same in both", () => {
    expect(textOf("lifecycle.lua")).toContain(`local DEFAULT_BACKOFF = '${DEFAULT_BACKOFF}'`);
  });
});
