/**
 * A Connect transport whose calls are jobs: `createClient(Thumbnailer, client.transport())`. Around a call is what Connect
 * has around one; the call itself is a queue's enqueueAndWait, with all that this takes upon itself.
 */
import { create, type DescMessage, type DescMethod, type DescMethodUnary, type MessageShape } from "@bufbuild/protobuf";
import { createContextValues, type Transport, type UnaryRequest, type UnaryResponse } from "@connectrpc/connect";
import { runUnaryCall } from "@connectrpc/connect/protocol";
import { defineQueue } from "../../protocol/define-queue.ts";
import { DISPOSITION_TRAILER, JOB_ID_TRAILER, PAYLOAD_MISMATCH_HEADER } from "../../protocol/errors.ts";
import { MAX_DURATION_MS } from "../../protocol/limits.ts";
import { Metadata, percentEncode } from "../../protocol/metadata.ts";
import { InvalidRequestError } from "../errors.ts";
import { resultOf } from "../job.ts";
import { checkKnown, overlay } from "../options.ts";
import { type QueueContext, type Settled, TypedQueue } from "../queue.ts";
import { failedCall, noStreams, unansweredCall } from "./errors.ts";
import { jobOptionsIn, knownOfServices, serviceDefaults, type TransportOptions } from "./options.ts";

/** Whatever a program sets, for it sets it itself; a broker's own list is for strangers. */
const metadata = new Metadata(["*"]);

/** @throws TypeError for an option that does not exist */
export function jobTransport(context: QueueContext, options: TransportOptions = {}): Transport {
  checkKnown(options, knownOfServices.transport);
  const { interceptors = [], timeout, ...asked } = options;
  const defaults = overlay(serviceDefaults, asked);
  return {
    unary(method, signal, timeoutMs, header, input, contextValues = createContextValues()) {
      const begun = context.clock.monotonic();
      const req = {
        stream: false as const,
        service: method.parent,
        method,
        requestMethod: "POST",
        url: `queuecall:${pathOf(method)}`,
        header: new Headers(header),
        contextValues,
        message: create(method.input, input),
      };
      const next = (request: UnaryRequest<typeof method.input, typeof method.output>) => {
        const wait = timeoutMs === undefined ? timeout : timeoutMs > 0 ? timeoutMs : MAX_DURATION_MS;
        // What interceptors took is part of it.
        const left = wait && Math.max(1, Math.ceil(wait - (context.clock.monotonic() - begun)));
        return runJob(context, method, request, { ...defaults, timeout: left });
      };
      return runUnaryCall({ interceptors, ...(signal && { signal }), req, next });
    },
    stream: (method) => Promise.reject(noStreams(pathOf(method))),
  };
}

async function runJob<I extends DescMessage, O extends DescMessage>(
  context: QueueContext,
  method: DescMethodUnary<I, O>,
  { header, message, signal, contextValues }: UnaryRequest<I, O>,
  defaults: Omit<TransportOptions, "interceptors">,
): Promise<UnaryResponse<I, O>> {
  const { jobId = "", queue = method.parent.typeName, ...options } = overlay(defaults, jobOptionsIn(contextValues));
  const jobs = new TypedQueue(context, defineQueue(queue, { request: method.input, response: method.output }));
  try {
    const own = { signal, method: pathOf(method), headers: headersOf(header) };
    return await jobs.settle(jobId, message, { ...options, ...own }, (settled) => replyOf(method, settled));
  } catch (error) {
    throw unansweredCall(error);
  }
}

/** @throws ConnectError the job has no result */
function replyOf<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  settled: Settled<MessageShape<O>>,
): UnaryResponse<I, O> {
  const { outcome, outcomeHeaders = {} } = settled.job;
  const headers = { ...metadata.pick(Object.entries(outcomeHeaders)), ...aboutJob(settled) };
  if (outcome !== undefined && outcome.state !== "succeeded") throw failedCall(outcome.error, headers);
  const reply = { stream: false as const, service: method.parent, method, message: resultOf(settled.job) };
  return { ...reply, header: new Headers(headers), trailer: new Headers() };
}

/** The user's own, for the handler. */
function headersOf(header: Headers): Record<string, string> {
  const ours = [...header.keys()].find((name) => name.startsWith("queuecall-"));
  if (ours === undefined) return metadata.pick(header);
  const description = "options of a job are no headers here: send contextValues: jobOptions({ … })";
  throw new InvalidRequestError(`${ours}: ${description}`, { violations: [{ field: ours, description }] });
}

function aboutJob({ job, disposition, payloadMismatch }: Settled<unknown>): Record<string, string> {
  return {
    [JOB_ID_TRAILER]: percentEncode(job.jobId),
    [DISPOSITION_TRAILER]: disposition,
    ...(payloadMismatch && { [PAYLOAD_MISMATCH_HEADER]: "true" }),
  };
}

const pathOf = ({ parent, name }: DescMethod) => `/${parent.typeName}/${name}`;
