/** Names and bytes that a backend might take for its own. */
import { describe, expect, test } from "vitest";
import { completed, failed, key, onEveryBackend, SECOND } from "./rig.ts";

const ids = [
  "a",
  "a:exp",
  "a:payload",
  ":",
  "::",
  "{",
  "}",
  "{q}",
  "{}",
  "{a}{b}",
  "/",
  "..",
  "../../etc/passwd",
  " ",
  " a ",
  "a b",
  "*",
  "?",
  "[a-z]",
  "\\",
  '"',
  "'",
  "'; DROP TABLE jobs; --",
  "%",
  "%s",
  "$1",
  "#",
  "|",
  "0",
  "-0",
  "00",
  "1e3",
  "null",
  "undefined",
  "true",
  "__proto__",
  "constructor",
  "toString",
  "é",
  "e\u0301",
  "A",
  "ß",
  "日本語",
  "🙂",
  "👩‍👩‍👧",
  "\u00a0",
  "\u200b",
  "\ufeff",
  "\u2028",
  "x".repeat(256),
  "🙂".repeat(64),
];

onEveryBackend("odd ids", (rig) => {
  test("all of them are different jobs, and stay what they are through a whole life", async () => {
    for (const [i, jobId] of ids.entries()) await rig.enqueue(jobId, { payload: { ...text(`${i}`) } });
    const inspection = await rig.inspect();
    expect(inspection.jobs.map(({ record }) => record.jobId).sort()).toEqual([...ids].sort());
    expect(inspection.indexes.queued).toEqual(ids);
    const claimed: string[] = [];
    for (;;) {
      const { jobs } = await rig.claim();
      if (jobs.length === 0) break;
      for (const job of jobs) {
        expect(job.payload).toEqual(text(`${ids.indexOf(job.jobId)}`));
        claimed.push(job.jobId);
        await rig.settled(job, { kind: "completed", payload: job.payload });
      }
    }
    expect(claimed).toEqual(ids);
    const statuses = await rig.storage.readMany(ids.map((jobId) => key(jobId)));
    for (const [i, jobId] of ids.entries()) {
      expect(statuses[i]).toMatchObject({ jobId, state: "succeeded", outcome: { payload: text(`${i}`) } });
    }
  });

  test("of one, nothing reaches another", async () => {
    await rig.enqueue("a", { resultTtlMs: 5 * SECOND });
    await rig.enqueue("a:exp");
    await rig.storage.cancel(key("a"));
    await rig.advance(5 * SECOND);
    await rig.tick();
    expect(await rig.claimIds()).toEqual(["a:exp"]);
  });
});

onEveryBackend("odd queues", (rig) => {
  const queues = ["q", "q.", "q/", "/q", "..", "-", "_", "a/b", "a/b/c", "Q", "q".repeat(128)];
  test("all of them are different queues", async () => {
    for (const queue of queues) await rig.enqueue("a", { queue, payload: text(queue) });
    for (const queue of queues) expect((await rig.claimOne({ queue })).payload).toEqual(text(queue));
    expect((await rig.storage.queues()).queues.sort()).toEqual([...queues].sort());
  });
});

onEveryBackend("bytes", (rig) => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const payloads: [string, Buffer][] = [
    ["none", Buffer.alloc(0)],
    ["one NUL", Buffer.alloc(1)],
    ["all 256 values", every],
    ["invalid UTF-8", Buffer.from([0xc3, 0x28, 0xed, 0xa0, 0x80, 0xff])],
    ["1 MiB", Buffer.alloc(1024 * 1024, every)],
  ];
  for (const [title, data] of payloads) {
    test(`payload, result and failure details: ${title}`, async () => {
      const payload = { data, contentType: "application/octet-stream", messageType: "acme.v1.Bytes" };
      await rig.enqueue("a", { payload });
      await rig.enqueue("b", { payload });
      const { jobs } = await rig.claim();
      expect(jobs.map((job) => same(job.payload.data, data))).toEqual([true, true]);
      const settled = await rig.settled(jobs[0]!, { kind: "completed", payload });
      const outcome = settled.status.outcome!;
      expect(outcome.kind === "result" && same(outcome.payload.data, data)).toBe(true);
      const read = (await rig.storage.read(key("a")))!.outcome!;
      expect(read.kind === "result" && same(read.payload.data, data)).toBe(true);
      expect(read.kind === "result" && read.payload.contentType).toBe(payload.contentType);
      const details = [{ typeUrl: "x/y", value: data.subarray(0, 1_000) }];
      const detail = { status: { code: 2, message: "", details }, type: "", stack: "" };
      await rig.settled(jobs[1]!, failed({ detail, retryable: false }));
      const [failure] = await rig.storage.readMany([key("b")]);
      const found = failure!.outcome!;
      expect(found.kind === "failure" && same(found.failure.status.details[0]!.value, details[0]!.value)).toBe(true);
      const inspected = await rig.job("b");
      expect(same(inspected.payload!.data, data)).toBe(true);
    });
  }

  describe("headers, labels and texts", () => {
    const odd = Object.fromEntries([
      ["__proto__", "polluted?"],
      ["constructor", "c"],
      ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
      ["bytes", "\u0000\u0001\u001f\u007f\u00ff"],
      ["emoji 🙂", "日本語"],
      ["[", ']["'],
      ["", ""],
      ["big", "x".repeat(8_000)],
    ]);

    test("stay what they are", async () => {
      expect(Object.keys(odd)).toContain("__proto__");
      await rig.enqueue("a", { headers: odd, labels: odd, method: "[not json" });
      const job = await rig.claimOne();
      expect(Object.entries(job.headers)).toEqual(Object.entries(odd));
      expect(job.method).toBe("[not json");
      const read = (await rig.storage.read(key("a")))!;
      expect(Object.entries(read.labels)).toEqual(Object.entries(odd));
      expect(Object.entries((await rig.job("a")).headers)).toEqual(Object.entries(odd));
      expect(({} as Record<string, string>)["polluted?"]).toBeUndefined();
    });

    test("what goes along with an outcome stays what it is", async () => {
      await rig.enqueue("a");
      await rig.enqueue("b");
      const { jobs } = await rig.claim();
      await rig.settled(jobs[0]!, { kind: "completed", payload: { ...text("x"), headers: odd } });
      await rig.settled(jobs[1]!, failed({ detail: { ...failed().detail, headers: odd }, retryable: false }));
      const [done, undone] = await rig.storage.readMany([key("a"), key("b")]);
      const { outcome } = done!;
      expect(outcome?.kind === "result" && Object.entries(outcome.payload.headers!)).toEqual(Object.entries(odd));
      expect(outcome).toMatchObject({ payload: { data: Buffer.from("x"), contentType: "" } });
      const failure = undone!.outcome;
      expect(failure?.kind === "failure" && Object.entries(failure.failure.headers!)).toEqual(Object.entries(odd));
    });

    test("a worker's name and words with separators in them", async () => {
      const words = 'w\u001f|:,;{}"\\ 🙂';
      await rig.enqueue("a", { maxAttempts: 5 });
      const detail = { status: { code: 2, message: words, details: [] }, type: words, stack: words };
      for (let n = 0; n < 3; n++) {
        const job = await rig.claimOne({ workerId: `worker :,| {${n}}` });
        await rig.settled(job, failed({ detail, retryable: n < 2 }), { jitter: 0 });
      }
      const { outcome } = (await rig.storage.read(key("a")))!;
      expect(outcome).toMatchObject({
        failure: {
          type: words,
          stack: words,
          status: { message: words },
          attempts: [0, 1, 2].map((n) => ({ workerId: `worker :,| {${n}}`, message: words.replace("\u001f", " ") })),
        },
      });
    });
  });

  test("asked for at once, small and large in turns", async () => {
    const sizes = [0, 1, 4_000, 4_096, 5_000, 70, 16_384, 20_000, 3, 100_000, 1_000, 300_000];
    const payloads = sizes.map((size, i) => ({ ...text(""), data: Buffer.alloc(size, every.subarray(i)) }));
    const right = ({ data }: { data: Uint8Array }, i: number) => same(data, payloads[i]!.data);
    await Promise.all(payloads.map((payload, i) => rig.enqueue(`job ${i}`, { payload })));
    const { jobs } = await rig.claim({ max: sizes.length });
    expect(jobs.map(({ jobId }) => jobId)).toEqual(sizes.map((_, i) => `job ${i}`));
    expect(jobs.every(({ payload }, i) => right(payload, i))).toBe(true);
    await Promise.all(jobs.map((job) => rig.settled(job, { kind: "completed", payload: job.payload })));
    const statuses = await rig.storage.readMany(jobs.map(({ jobId }) => key(jobId)));
    expect(
      statuses.every(({ outcome } = {} as never, i) => outcome?.kind === "result" && right(outcome.payload, i)),
    ).toBe(true);
  });

  test("many large payloads in one claim", async () => {
    const data = Buffer.alloc(1024 * 1024, every);
    for (let i = 0; i < 5; i++) {
      await rig.enqueue(`job ${i}`, { payload: { data, contentType: "", messageType: "" } });
    }
    const { jobs } = await rig.claim({ maxBytes: 4.5 * 1024 * 1024 });
    expect(jobs).toHaveLength(4);
    for (const job of jobs) {
      expect(same(job.payload.data, data)).toBe(true);
      await rig.settled(job, completed());
    }
  });
});

const text = (data: string) => ({ data: Buffer.from(data), contentType: "", messageType: "" });
/** Faster than toEqual, which walks a megabyte byte by byte. */
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
