/** A caller and a server that know nothing of queues, and `queuecall forward` between them. Real processes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Code } from "../../protocol/errors.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { Child, root } from "../support/processes.ts";
import { announced, Stub } from "./rig.ts";

let broker: BrokerServer;
let stub: Stub;
let server: Child;
let to: string;
let forwarder: Child;
/** As README.md and docs/transparent.md have it: their command, with our server in place of theirs. */
const pages = ["README.md", "docs/transparent.md"].map((page) => readFileSync(join(root, page), "utf8"));
const [command, same] = pages.map((text) => /^queuecall (forward .*)$/m.exec(text)?.[1] ?? "");
const words = () => (command ?? "").replace("http://127.0.0.1:9000", to).split(" ");
const forward = (...args: string[]) =>
  new Child(["cli/main.ts", ...words(), ...args], {
    env: { QUEUECALL_URL: `http://${broker.grpcAddress}` },
  });

async function startServer(port = "0"): Promise<string> {
  server = new Child(["test/transparent/server.ts", port]);
  return (await server.line(/^ready (\d+)$/))[1]!;
}

beforeAll(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  stub = new Stub(broker.grpcAddress);
  to = `http://127.0.0.1:${await startServer()}`;
  forwarder = forward("--concurrency", "32", "--header", "authorization: Bearer own", "--final", "ABORTED");
  await announced(stub);
});
afterAll(async () => {
  await forwarder.kill("SIGTERM");
  stub[Symbol.dispose]();
  await server.kill("SIGKILL");
  await broker.close();
});

test("README.md and docs/transparent.md show one command", () => expect(same).toBe(command));

test("an unmodified caller gets the unmodified server's reply; metadata travels both ways, credentials are the forwarder's own", async () => {
  const headers = { "x-tenant": "acme", authorization: "Bearer callers" };
  const reply = await stub.render({ url: "a", width: 3 }, { headers });
  expect(reply).toMatchObject({ image: "a 3", mediaType: "image/png" });
  expect(reply.headers).toMatchObject({ "x-seen": "acme", "x-secret": "Bearer own", "x-deadline": "none" });
  const limited = await stub.render({ url: "b" }, { headers: { "queuecall-run-timeout": "30s" } });
  expect(limited.headers).toMatchObject({ "x-deadline": "some", "x-seen": "" });
});

test("the server's status is the call's, its trailers too", async () => {
  const refused = await stub.refused({ url: "missing" }, { headers: { "x-tenant": "acme" } });
  expect(refused).toMatchObject({ code: Code.NOT_FOUND, message: "no such image", headers: { "x-seen": "acme" } });
  const aborted = { headers: { "queuecall-retry-on": "failure", "queuecall-max-attempts": "2" } };
  expect(await stub.refused({ url: "aborted" }, aborted)).toMatchObject({ code: Code.ABORTED });
});

test("500 calls, and the server is killed and started again in their midst: all succeed", async () => {
  const calls = Array.from({ length: 500 }, (_, n) =>
    stub.render({ url: `image-${n}` }, { deadlineMs: 120_000, headers: { "queuecall-job-id": `call-${n}` } }),
  );
  const replies = Promise.all(calls);
  await calls[50];
  await server.kill("SIGKILL");
  await startServer(to.split(":").at(-1));
  expect((await replies).map(({ image }) => image)).toEqual(calls.map((_, n) => `image-${n} 0`));
  // The id makes a repeated call find the kept reply.
  const again = await stub.render({ url: "image-7" }, { headers: { "queuecall-job-id": "call-7" } });
  expect(again).toMatchObject({ image: "image-7 0", headers: { "queuecall-disposition": "cached" } });
}, 120_000);

test("a server that is away is waited for: no try is counted", async () => {
  await server.kill("SIGKILL");
  const waiting = stub.render({ url: "patient" }, { deadlineMs: 60_000, headers: { "queuecall-max-attempts": "1" } });
  await startServer(to.split(":").at(-1));
  expect(await waiting).toMatchObject({ image: "patient 0" });
}, 60_000);

test("SIGTERM drains: what is under way is finished, exit code 0", async () => {
  const other = forward();
  await other.line(/^forwarding /);
  const calls = Array.from({ length: 40 }, (_, n) => stub.render({ url: `late-${n}` }));
  await calls[0];
  expect(await other.kill("SIGTERM")).toMatchObject({ code: 0 });
  expect(await Promise.all(calls)).toHaveLength(40);
});
