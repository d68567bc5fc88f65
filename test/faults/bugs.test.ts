/** A bug that reaches the top of a broker process: docs/decisions/0015. */
import { expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { breakages, Child, complete } from "../support/processes.ts";

const serve = () => {
  const args = ["--import", "./test/faults/bugs.mjs", "cli/main.ts", "serve", "--storage", "memory:"];
  return new Child([...args, "--grpc", "127.0.0.1:0", "--log-format", "json"]);
};
const lines = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("a rejection that nobody handles is logged, without what the error carries, and the broker goes on", async () => {
  await using broker = serve();
  const [, address] = await broker.line(/^ready grpc=(\S+)/);
  broker.process.kill("SIGUSR2");
  await broker.line(/unhandled rejection/);
  await using client = createQueueClient({ url: `http://${address}` });
  expect((await client.queue("q").enqueue("a", 1)).disposition).toBe("created");
  await client.close();
  const { code, stderr } = await broker.kill("SIGTERM");
  expect(code).toBe(0);
  const [logged] = lines(stderr).filter(({ msg }) => msg === "unhandled rejection");
  expect(logged).toMatchObject({ level: 50, err: { type: "Error", message: "lost" } });
  expect(stderr).not.toContain("a payload");
  expect(breakages()).toEqual([stderr]);
});

test("an exception that nobody handles is logged in one line and ends the process: 1", async () => {
  await using broker = serve();
  await broker.line(/^ready/);
  const { code, stderr } = await broker.kill("SIGHUP");
  expect(code).toBe(1);
  expect(lines(stderr).at(-1)).toMatchObject({
    err: { message: "thrown" },
    msg: expect.stringMatching(/^uncaught exception: exiting/),
  });
  expect(breakages()).toEqual([stderr]);
});

test("either of them, in any process of a test, fails that test", async () => {
  const scripts = ["Promise.reject(new Error('lost'))", "throw new Error('thrown')"];
  for (const { code } of await Promise.all(scripts.map((script) => complete(["-e", script])))) expect(code).toBe(1);
  expect(breakages()).toHaveLength(2);
});
