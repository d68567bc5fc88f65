import { expect, test } from "vitest";
import { complete } from "../support/processes.ts";

test("the demo shows all of it and ends by itself", { timeout: 60_000 }, async () => {
  const { code, stdout, stderr } = await complete(["examples/demo/demo.ts"], { env: { QUEUECALL_GRPC: "nonsense" } });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ {2}ready grpc=127\.0\.0\.1:\d+ http=off storage=sqlite:\S+ durability=file$/m);
  expect(stdout).toMatch(/"Hello, Ada!" after [\d.]+ ms/);
  expect(stdout).toMatch(/the next 50, one after the other: [\d.]+ ms each/);
  expect(stdout).toContain('both got [{"pages":3,"runs":1},{"pages":3,"runs":1}]');
  expect(stdout).toContain("TimeoutError: Job report-2 timed out after 200 ms");
  expect(stdout).toContain('fetched later: {"pages":6,"runs":1}');
  expect(stdout).toContain("JobFailedError: RangeError: the bank does not answer (3 attempts)");
  expect(stdout).toMatch(/running: page \d \(\d of 5\)/);
});
