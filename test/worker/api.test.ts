import { expect, test } from "vitest";
import { createWorker, type WorkerOptions } from "../../worker/index.ts";

const url = "http://127.0.0.1:1";

test.each([
  [{ url, concurency: 2 }, /unknown option concurency: did you mean concurrency\?/],
  [{ url, maxConcurrency: 2 }, /unknown option maxConcurrency: did you mean concurrency\?/],
  [{ url, zzzzzzzzzzz: 2 }, /unknown option zzzzzzzzzzz$/],
  [{}, /url is required/],
  [{ url: [] }, /url is required/],
  [{ url: "127.0.0.1:7455" }, /give http:\/\/host:port/],
  [{ url, concurrency: 0 }, /concurrency is 0/],
  [{ url, window: 10_001 }, /window is 10001/],
  [{ url, workerId: "a\nb" }, /workerId/],
])("%j is refused", (options, message) => {
  expect(() => createWorker(options as WorkerOptions)).toThrow(message as RegExp);
});

test("handlers are checked: name, function, taken", () => {
  const worker = createWorker({ url });
  expect(() => worker.handle("a b", () => 1)).toThrow(TypeError);
  expect(() => worker.handle("q", undefined as never)).toThrow(/not a function/);
  worker.handle("q", () => 1);
  expect(() => worker.handle("q", () => 1)).toThrow(/already/);
});

test("run needs a handler, and runs once", async () => {
  await expect(createWorker({ url }).run()).rejects.toThrow(/handles nothing/);
  const worker = createWorker({ url }).handle("q", () => 1);
  const signal = AbortSignal.abort();
  await worker.run({ signal });
  await expect(worker.run({ signal })).rejects.toThrow(/once/);
  expect(() => worker.handle("p", () => 1)).toThrow(/register handlers first/);
});
