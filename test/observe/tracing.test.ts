/** Traces: from the caller's span through the job's headers to every attempt; and none where nobody listens. */
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Context,
  type ContextManager,
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { traceIdOf } from "../../server/observe/job-log.ts";
import { startTestBroker, type TestBroker } from "../../testing/index.ts";
import { createWorker, type Handler, type WorkerOptions } from "../../worker/index.ts";

const exporter = new InMemorySpanExporter();
const stack = new AsyncLocalStorage<Context>();
const manager: ContextManager = {
  active: () => stack.getStore() ?? ROOT_CONTEXT,
  with: (active, fn, thisArg, ...args) => stack.run(active, () => fn.apply(thisArg as never, args)),
  bind: (_, target) => target,
  enable: () => manager,
  disable: () => manager,
};

let broker: TestBroker;
beforeAll(async () => {
  broker = await startTestBroker();
});
afterAll(() => broker.close());

/** Handles "work" until the end of the block. */
async function working(
  handler: Handler<string, unknown>,
  options: Partial<WorkerOptions> = {},
): Promise<AsyncDisposable> {
  const worker = createWorker({ url: broker.url, ...options }).handle<string>("work", handler);
  const running = worker.run();
  return {
    async [Symbol.asyncDispose]() {
      await worker.close();
      await running;
    },
  };
}

const spans = () => exporter.getFinishedSpans();
const named = (name: string) => spans().filter((span) => span.name === name);
const idsOf = (span: ReadableSpan | undefined) => span?.spanContext();

test("without an SDK nothing is loaded or sent", async () => {
  let headers: object | undefined;
  await using _ = await working(async (_, ctx) => {
    headers = ctx.headers;
  });
  await broker.client.queue("work").enqueueAndWait("untraced", "x", { headers: { a: "b" } });
  expect(headers).toEqual({ a: "b" });
});

describe("with an SDK", () => {
  beforeEach(() => {
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
    context.setGlobalContextManager(manager);
    exporter.reset();
  });
  afterEach(() => {
    trace.disable();
    context.disable();
  });

  test("a call is one trace: wait, enqueue below it, each attempt below that", async () => {
    let inside: string | undefined;
    let headers: Readonly<Record<string, string>> = {};
    await using _ = await working(async (_, ctx) => {
      if (ctx.attempt === 1) throw new RangeError("once");
      inside = trace.getActiveSpan()?.spanContext().spanId;
      headers = ctx.headers;
      return "done";
    });
    const tracer = trace.getTracer("test");
    const caller = tracer.startSpan("caller");
    await context.with(trace.setSpan(context.active(), caller), () =>
      broker.client.queue("work").enqueueAndWait("traced", "x", { backoff: { initial: 1 }, headers: { mine: "1" } }),
    );
    caller.end();
    await expect.poll(() => named("work process")).toHaveLength(2);

    const { traceId, spanId } = caller.spanContext();
    const [wait] = named("wait work");
    const [enqueue] = named("enqueue work");
    const [first, second] = named("work process");
    for (const span of spans()) expect(span.spanContext().traceId).toBe(traceId);
    expect([wait?.kind, wait?.parentSpanContext?.spanId]).toEqual([SpanKind.CLIENT, spanId]);
    expect([enqueue?.kind, enqueue?.parentSpanContext?.spanId]).toEqual([SpanKind.PRODUCER, idsOf(wait)?.spanId]);
    for (const attempt of [first, second]) {
      expect(attempt?.kind).toBe(SpanKind.CONSUMER);
      expect(attempt?.parentSpanContext).toMatchObject({ spanId: idsOf(enqueue)?.spanId, isRemote: true });
    }
    expect(headers).toEqual({ mine: "1", traceparent: `00-${traceId}-${idsOf(enqueue)?.spanId}-01` });
    expect(traceIdOf(headers.traceparent ?? "")).toBe(traceId);
    expect(inside).toBe(idsOf(second)?.spanId);

    expect(first?.status).toEqual({ code: SpanStatusCode.ERROR, message: "once" });
    expect(first?.events[0]?.name).toBe("exception");
    expect(first?.attributes).toMatchObject({ "error.type": "RangeError", "queuecall.outcome": "failed" });
    expect(second?.status.code).toBe(SpanStatusCode.UNSET);
    expect(second?.attributes).toMatchObject({
      "messaging.system": "queuecall",
      "messaging.destination.name": "work",
      "messaging.message.id": "traced",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "queuecall.attempt": 2,
      "queuecall.max_attempts": 3,
      "queuecall.outcome": "completed",
    });
  });

  test("enqueue alone is a producer span; its failure is the span's", async () => {
    const queue = broker.client.queue("idle");
    await queue.enqueue("one", 1);
    await queue.enqueue("one", 1, { onDuplicate: "reject" }).catch(() => {});
    const [stored, refused] = named("enqueue idle");
    expect(stored).toMatchObject({ kind: SpanKind.PRODUCER, status: { code: SpanStatusCode.UNSET } });
    expect(refused?.status.code).toBe(SpanStatusCode.ERROR);
    const { headers } = await queue.get("one");
    expect(headers.traceparent).toContain(idsOf(stored)?.traceId);
  });

  test("a trace that the caller chose stays; what is none begins a new one", async () => {
    await using _ = await working(async () => "done");
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    const chosen = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate: "vendor=1" };
    await broker.client.queue("work").enqueueAndWait("chosen", "x", { headers: chosen });
    await broker.client.queue("work").enqueueAndWait("broken", "x", { headers: { traceparent: "00-zzz" } });
    await expect.poll(() => named("work process")).toHaveLength(2);
    const [first, second] = named("work process");
    expect(idsOf(first)?.traceId).toBe(traceId);
    expect(first?.parentSpanContext?.traceState?.get("vendor")).toBe("1");
    expect(second?.parentSpanContext).toBeUndefined();
  });

  test("headers that a program uses again are not changed: each call has a trace of its own", async () => {
    const seen: unknown[] = [];
    await using _ = await working(async (_, ctx) => void seen.push(ctx.headers.traceparent));
    const headers = { mine: "1" };
    await using client = createQueueClient({ url: broker.url, defaults: { headers } });
    await client.queue("work").enqueueAndWait("again 1", "x");
    await client.queue("work").enqueueAndWait("again 2", "x");
    expect(headers).toEqual({ mine: "1" });
    expect(new Set(seen.map((traceparent) => traceIdOf(String(traceparent)))).size).toBe(2);
  });

  test("both sides can switch it off", async () => {
    let headers: object | undefined;
    await using _ = await working(
      async (_, ctx) => {
        headers = ctx.headers;
      },
      { tracing: false },
    );
    await using client = createQueueClient({ url: broker.url, tracing: false });
    await client.queue("work").enqueueAndWait("off", "x");
    expect([headers, spans()]).toEqual([{}, []]);
    expect(() => createQueueClient({ url: broker.url, tracing: "no" as never })).toThrow(
      /tracing: expected true or false/,
    );
    expect(() => createWorker({ url: broker.url, tracing: 1 as never })).toThrow(/tracing: expected true or false/);
  });
});
