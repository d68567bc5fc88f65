/** What peers do not read: counted by stream, bounded for all. */
import { expect, test } from "vitest";
import { type Flow, FULL_BYTES, Outflow } from "../../server/rpc/outflow.ts";

function flows(outflow: Outflow, ...names: string[]): { cut: string[]; flows: Flow[] } {
  const cut: string[] = [];
  return { cut, flows: names.map((name) => outflow.open(() => cut.push(name))) };
}

test("a stream is full until its peer has taken enough", () => {
  const outflow = new Outflow(10 * FULL_BYTES);
  const flow = outflow.open(() => {});
  // What is not written yet does not keep it from being written.
  flow.hold(2 * FULL_BYTES);
  flow.hold(-2 * FULL_BYTES);
  flow.wrote(FULL_BYTES - 1);
  expect(flow.full).toBe(false);
  flow.wrote(1);
  expect(flow.full).toBe(true);
  flow.took(1);
  expect([flow.full, outflow.bytes]).toEqual([false, FULL_BYTES - 1]);
  flow.close();
  flow.took(FULL_BYTES);
  expect(outflow.bytes).toBe(0);
});

test("beyond the bound the one that has stood still longest is cut, and no more than needed", () => {
  const outflow = new Outflow(100);
  const { cut, flows: all } = flows(outflow, "a", "b", "c");
  const [a, b, c] = all as [Flow, Flow, Flow];
  a.wrote(40);
  b.wrote(30);
  c.hold(30);
  expect(cut).toEqual([]);
  a.took(10);
  c.wrote(20);
  expect(cut).toEqual(["b"]);
  expect(outflow.bytes).toBe(80);
  // What is cut holds nothing, whatever is still said of it.
  b.wrote(1_000);
  expect(outflow.bytes).toBe(80);
  a.wrote(200);
  expect(cut).toEqual(["b", "c", "a"]);
  expect(outflow.bytes).toBe(0);
});
