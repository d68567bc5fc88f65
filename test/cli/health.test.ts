/** `queuecall health`, as probes call it: an exit code, and words for people. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { command } from "../support/command.ts";
import { Child } from "../support/processes.ts";

const READY = /^ready grpc=(\S+)/;
const BROKER = "queuecall.v1.BrokerService";
const health = (...args: string[]) => command(["health", ...args]);
const serve = (...args: string[]) =>
  new Child(["cli/main.ts", "serve", "--grpc", "127.0.0.1:0", "--http", "off", "--storage", "memory:", ...args]);

let broker: Child;
let url: string;
beforeAll(async () => {
  broker = serve("--drain-delay", "30s");
  url = `http://${(await broker.line(READY))[1]}`;
});
afterAll(async () => await broker[Symbol.asyncDispose]());

test.each(["", BROKER])("0: serving %j", async (service) => {
  const { code, stdout, stderr } = await health("--url", url, "--service", service);
  expect([code, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout)).toEqual({ url, service, status: "serving" });
});

test("1: a service it has not got", async () => {
  const { code, stdout, stderr } = await health("--url", url, "--service", "acme.v1.Nothing");
  expect([code, stderr]).toEqual([1, `queuecall: ${url} has no service acme.v1.Nothing\n`]);
  expect(JSON.parse(stdout).status).toBe("unknown");
});

test("1: nobody there; within its time, where somebody only listens", async () => {
  const { code, stdout, stderr } = await health("--url", "http://127.0.0.1:1");
  expect([code, JSON.parse(stdout).status]).toEqual([1, "unreachable"]);
  expect(stderr).toMatch(/^queuecall: http:\/\/127\.0\.0\.1:1: [^\n]+\n$/);

  await using mute = new Child([
    "-e",
    "require('net').createServer().listen(0, function () { console.log(this.address().port) })",
  ]);
  const [port] = await mute.line(/^\d+$/);
  const late = await health("--url", `http://127.0.0.1:${port}`, "--timeout", "300ms");
  expect([late.code, JSON.parse(late.stdout).status]).toEqual([1, "unreachable"]);
});

test("1: a broker that drains", async () => {
  broker.process.kill("SIGTERM");
  await broker.line(/draining/);
  const { code, stderr } = await health("--url", url);
  expect([code, stderr]).toEqual([1, `queuecall: ${url} is not serving\n`]);
});
