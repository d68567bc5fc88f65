/**
 * Spans with OpenTelemetry, where the program has it: what both sides of a job
 * say of it, and how its trace travels in the job's headers (W3C `traceparent`
 * and `tracestate`; nothing else, so that baggage cannot break the headers'
 * limit). Without a registered SDK nothing is loaded, and nothing happens.
 */
import { createRequire } from "node:module";
import type * as Otel from "@opentelemetry/api";
import { version } from "./version.ts";

/** Where every copy of `@opentelemetry/api` 1.x keeps what an SDK registered: without it there is nobody to tell. */
const REGISTERED = Symbol.for("opentelemetry.js.api.1");
/** As W3C recommends; a longer one is dropped, as the recommendation allows. */
const MAX_TRACESTATE = 512;

type Api = typeof Otel;
let loaded: Api | "absent" | undefined;
let tracer: Otel.Tracer | undefined;

export type TraceHeaders = Record<string, string>;

/** What a span is about, in the words of the semantic conventions for messaging. */
export interface SpanSpec {
  name: string;
  kind: "producer" | "client" | "consumer";
  queue: string;
  jobId: string;
  /** messaging.operation.name and, where there is a word for it, .type. */
  operation: string;
  operationType?: "send" | "process";
  attributes?: Record<string, string | number>;
  /** The job's headers, whose trace is continued. Default: the trace that is active here. */
  parent?: Readonly<TraceHeaders>;
}

/** A span under way. */
export interface TraceSpan {
  /** What a job's headers need to continue from here. Empty without a trace. */
  readonly headers: TraceHeaders;
  /** A span below this one for what takes no time; answers its headers. */
  mark(spec: () => SpanSpec): TraceHeaders;
  note(key: string, value: string | number): void;
  /** What it is about went wrong. */
  failed(error: unknown): void;
}

const none: TraceSpan = { headers: {}, mark: () => ({}), note() {}, failed() {} };

/** Runs `run` in a span that ends with it; a rejection is the span's failure. `on` false, or no SDK: only runs it. */
export function inSpan<T>(on: boolean, about: () => SpanSpec, run: (span: TraceSpan) => Promise<T>): Promise<T> {
  const api = on ? otel() : undefined;
  if (!api) return run(none);
  const spec = about();
  const parent = spec.parent ? extract(api, spec.parent) : api.context.active();
  const { span, context } = start(api, spec, parent);
  return api.context.with(context, async () => {
    const traced = new RunningSpan(api, span, context);
    try {
      return await run(traced);
    } catch (error) {
      traced.failed(error);
      throw error;
    } finally {
      span.end();
    }
  });
}

class RunningSpan implements TraceSpan {
  readonly #api: Api;
  readonly #span: Otel.Span;
  readonly #context: Otel.Context;

  constructor(api: Api, span: Otel.Span, context: Otel.Context) {
    this.#api = api;
    this.#span = span;
    this.#context = context;
  }

  get headers(): TraceHeaders {
    return inject(this.#api, this.#span);
  }

  mark(spec: () => SpanSpec): TraceHeaders {
    const { span } = start(this.#api, spec(), this.#context);
    span.end();
    return inject(this.#api, span);
  }

  note(key: string, value: string | number): void {
    this.#span.setAttribute(key, value);
  }

  failed(error: unknown): void {
    const exception = error instanceof Error ? error : String(error);
    this.#span.recordException(exception);
    this.#span.setAttribute("error.type", typeOf(error));
    const message = exception instanceof Error ? exception.message : exception;
    this.#span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
  }
}

function otel(): Api | undefined {
  if (loaded === undefined && REGISTERED in globalThis) {
    try {
      loaded = createRequire(import.meta.url)("@opentelemetry/api") as Api;
    } catch {
      loaded = "absent";
    }
  }
  return loaded === "absent" ? undefined : loaded;
}

function start(api: Api, spec: SpanSpec, parent: Otel.Context): { span: Otel.Span; context: Otel.Context } {
  tracer ??= api.trace.getTracer("queuecall", version());
  const attributes = {
    "messaging.system": "queuecall",
    "messaging.destination.name": spec.queue,
    "messaging.message.id": spec.jobId,
    "messaging.operation.name": spec.operation,
    ...(spec.operationType && { "messaging.operation.type": spec.operationType }),
    ...spec.attributes,
  };
  const kind = api.SpanKind[spec.kind.toUpperCase() as "PRODUCER" | "CLIENT" | "CONSUMER"];
  const span = tracer.startSpan(spec.name, { kind, attributes }, parent);
  return { span, context: api.trace.setSpan(parent, span) };
}

function inject(api: Api, span: Otel.Span): TraceHeaders {
  const context = span.spanContext();
  if (!api.isSpanContextValid(context)) return {};
  const { traceId, spanId, traceFlags } = context;
  const traceparent = `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, "0")}`;
  const tracestate = context.traceState?.serialize() ?? "";
  return { traceparent, ...(tracestate !== "" && tracestate.length <= MAX_TRACESTATE && { tracestate }) };
}

function extract(api: Api, { traceparent = "", tracestate }: Readonly<TraceHeaders>): Otel.Context {
  const parts = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-|$)/.exec(traceparent);
  const [, traceId = "", spanId = "", flags = "0"] = parts ?? [];
  const context: Otel.SpanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
  if (!api.isSpanContextValid(context)) return api.ROOT_CONTEXT;
  if (tracestate) context.traceState = api.createTraceState(tracestate);
  return api.trace.setSpanContext(api.ROOT_CONTEXT, context);
}

/** The code where the error has one: a class of errors, never text. */
function typeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : error.name;
}
