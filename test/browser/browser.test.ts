/** A page in Chromium that calls the HTTP port with connect-web, from another origin. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Child } from "../support/processes.ts";
import { announced, type Rig, start, Thumbnailer } from "../transparent/rig.ts";
import type { Report } from "./page.ts";
import { openSite, type Site } from "./site.ts";

const PAGE = "/test/browser/page.ts";
const quiet = ["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"];

let site: Site;
let rig: Rig;
let done: () => void;
let allowed: Report;
let stranger: Report;

beforeAll(async () => {
  site = await openSite(() => `${PAGE}?broker=http://${rig.broker.httpAddress}`);
  rig = await start({ http: "127.0.0.1:0", settings: { corsOrigins: [`http://127.0.0.1:${site.port}`] } });
  const { promise: later, resolve } = Promise.withResolvers<void>();
  done = resolve;
  rig.work((worker) =>
    worker.service(Thumbnailer, {
      async render({ url, width }, context) {
        if (url === "missing") {
          const detail = { fieldViolations: [{ field: "url", description: "unknown" }] };
          const details = [{ desc: BadRequestSchema, value: detail }];
          throw new ConnectError("no such image", Code.NotFound, undefined, details);
        }
        if (url === "slow") await later;
        context.responseHeader.set("x-tenant", context.requestHeader.get("x-tenant") ?? "");
        return { image: Buffer.from(`${url} ${width}`), mediaType: "image/png" };
      },
    }),
  );
  await announced(rig.stub);
  allowed = await visit("127.0.0.1");
  // The same page is of another origin under another name.
  stranger = await visit("localhost");
}, 180_000);
afterAll(async () => {
  done();
  await rig[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
});

async function visit(host: string): Promise<Report> {
  const profile = mkdtempSync(join(tmpdir(), "queuecall-browser-"));
  // Root has no sandbox; the page is our own.
  const args = [
    "--headless=new",
    "--no-sandbox",
    ...quiet,
    `--user-data-dir=${profile}`,
    `http://${host}:${site.port}/`,
  ];
  const chromium = new Child(args, { program: process.env.CHROMIUM ?? "chromium" });
  const ended = chromium.ended.then(({ stderr }) => {
    throw new Error(`the browser ended:\n${stderr}`);
  });
  try {
    return (await Promise.race([site.report(), ended])) as Report;
  } finally {
    ended.catch(() => {});
    await chromium.kill();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

test("the page ran to its end", () => {
  expect(allowed.error).toBeUndefined();
});

describe.each(["Connect, JSON", "Connect, protobuf", "gRPC-Web"])("%s", (name) => {
  const of = () => allowed.outcomes[name]!;

  test("a call is answered, and the same id from what is kept; metadata goes and comes", () => {
    const reply = ["a 3", "image/png", `${name} a`];
    expect(of().answered).toEqual([
      [...reply, "created", "acme"],
      [...reply, "cached", "acme"],
    ]);
  });

  test("the handler's error, with its details", () => {
    const error = { code: "NotFound", message: "no such image", field: "url", header: "JOB_FAILED" };
    expect(of().failed).toMatchObject(error);
  });

  test("a deadline says which job goes on", () => {
    expect(of().late).toMatchObject({ code: "DeadlineExceeded", reason: "WAIT_TIMEOUT", waitsFor: `${name} slow` });
  });

  test("an abort ends the call", () => {
    expect(of().aborted).toMatchObject({ code: "Canceled" });
  });

  test("a streaming method is refused in clear words", () => {
    expect(of().stream).toMatchObject({ code: "Unimplemented", message: expect.stringContaining("streaming method") });
  });

  test("the broker's own services: an error with its reason, a stream, health", () => {
    expect(of().brokers).toMatchObject({ code: "NotFound", reason: "JOB_NOT_FOUND" });
    expect(of().states).toEqual([4]);
    expect(of().health).toBe(1);
  });
});

test("a page of an origin that is not on the list cannot call", () => {
  expect(stranger.outcomes).toEqual({});
  expect(stranger.error).toMatch(/fetch/i);
});
