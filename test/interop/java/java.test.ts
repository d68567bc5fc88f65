/** An ordinary Java client of somebody's service, through a broker: examples/java/README.md, and how errors look there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type BrokerServer, createBroker } from "../../../server/index.ts";
import { wordsOf } from "../../docs/blocks.ts";
import { Child, type Ended, root } from "../../support/processes.ts";
import { announced, Stub } from "../../transparent/rig.ts";

const example = process.env.JAVA_EXAMPLE ?? "";
const CLIENT = ["-cp", "target/classes:target/lib/*", "com.example.acme.ThumbnailerClient"];

let broker: BrokerServer;
let worker: Child;
beforeEach(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
  worker = serve();
  using stub = new Stub(broker.grpcAddress);
  await announced(stub);
});
afterEach(async () => {
  await worker.kill();
  await broker.close();
});

const serve = () => new Child(["examples/transparent/worker.ts", `http://${broker.grpcAddress}`]);
const java = (args: string[]): Promise<Ended> => new Child(args, { program: "java", cwd: example }).ended;
const client = (...args: string[]) => java([...CLIENT, broker.grpcAddress, ...args]);

test("examples/java/README.md: the calls", async () => {
  const text = readFileSync(join(root, "examples/java/README.md"), "utf8");
  const calls = [...text.matchAll(/^java .*$/gm)].map(([line]) => wordsOf(line).slice(1));
  const said: string[] = [];
  for (const args of calls) {
    const ended = await java(args.map((arg) => arg.replace("127.0.0.1:7455", broker.grpcAddress)));
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    said.push(ended.stdout);
  }
  const reply = "image/png cat.jpg 64\n";
  expect(said).toEqual([reply, `${reply}created\n`, `${reply}cached\n`]);
  expect(text).toContain(`# ${reply.trim()}`);
});

test("the handler's error is the call's own", async () => {
  expect(await client("", "1")).toMatchObject({ code: 1, stderr: "INVALID_ARGUMENT: which image?\n" });
});

test("a deadline says which job goes on; the same id gets its reply", async () => {
  await worker.kill();
  const late = await client("later.jpg", "1", "late", "8");
  expect(late).toMatchObject({ code: 1, stderr: "DEADLINE_EXCEEDED: job late goes on\n" });
  worker = serve();
  const { code, stdout } = await client("later.jpg", "1", "late");
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^image\/png later\.jpg 1\n(joined|cached)\n$/)]);
});

test("the example is short", () => {
  const file = join(root, "examples/java/src/main/java/com/example/acme/ThumbnailerClient.java");
  expect(readFileSync(file, "utf8").split("\n").length).toBeLessThan(80);
});
