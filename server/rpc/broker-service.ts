/** BrokerService: message → broker call → message. One implementation for every adapter. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { BrokerService, WatchJobRequestSchema, WatchJobResponseSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { CallError, invalidField } from "../../protocol/errors.ts";
import type { Accepted, Broker, Call } from "../broker/broker.ts";
import { dispositionOf, jobMessage, statusMessage } from "./translate.ts";
import { jobKey, jobSpec, requestId, resultTtlMs, waitTimeoutMs } from "./validate.ts";

/** A unary method, bytes in and bytes out. */
export interface UnaryMethod {
  /** "/queuecall.v1.BrokerService/Enqueue" */
  path: string;
  handle(request: Uint8Array, call: Call): Promise<Uint8Array>;
}

/** A server-streaming method. */
export interface StreamMethod {
  path: string;
  handle(request: Uint8Array, call: Call): AsyncGenerator<Uint8Array, void>;
}

export function brokerService(broker: Broker): { unary: UnaryMethod[]; streams: StreamMethod[] } {
  const { clock, settings } = broker;
  const stacks = { stacks: settings.passStacks };
  const { method } = BrokerService;

  const accepted = ({ status, disposition, payloadMismatch }: Accepted) => ({
    job: statusMessage(status, stacks),
    disposition: dispositionOf(disposition),
    payloadMismatch,
  });

  return {
    unary: [
      unary(method.enqueue, async (request, call) => {
        const spec = jobSpec(request.spec, clock, settings);
        return accepted(await broker.enqueue(spec, requestId(request.requestId, clock), call));
      }),
      unary(method.enqueueAndWait, async (request, call) => {
        const spec = jobSpec(request.spec, clock, settings);
        const wait = waitTimeoutMs(request.waitTimeout);
        return accepted(await broker.enqueueAndWait(spec, requestId(request.requestId, clock), wait, call));
      }),
      unary(method.waitJob, async (request, call) => {
        const wait = waitTimeoutMs(request.waitTimeout);
        return { job: statusMessage(await broker.waitJob(jobKey(request), wait, call), stacks) };
      }),
      unary(method.getJob, async (request) => ({ job: jobMessage(await broker.getJob(jobKey(request)), stacks) })),
      unary(method.cancelJob, async (request) => ({
        job: statusMessage(await broker.cancelJob(jobKey(request)), stacks),
      })),
      unary(method.retryJob, async (request) => ({
        job: statusMessage(await broker.retryJob(jobKey(request)), stacks),
      })),
      unary(method.updateResultTtl, async (request) => {
        const ttl = resultTtlMs("result_ttl", request.resultTtl);
        if (ttl === undefined) throw invalidField("result_ttl", "is required: from 1 s to 365 days");
        return { job: statusMessage(await broker.updateResultTtl(jobKey(request), ttl), stacks) };
      }),
    ],
    streams: [
      {
        path: pathOf(method.watchJob),
        async *handle(bytes, call) {
          const request = decode(WatchJobRequestSchema, bytes);
          for await (const job of broker.watchJob(jobKey(request), call)) {
            const message = create(WatchJobResponseSchema, job ? { job: jobMessage(job, stacks) } : {});
            yield toBinary(WatchJobResponseSchema, message);
          }
        },
      },
    ],
  };
}

function unary<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handle: (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O>>,
): UnaryMethod {
  return {
    path: pathOf(method),
    async handle(bytes, call) {
      const answer = await handle(decode(method.input, bytes), call);
      return toBinary(method.output, create(method.output, answer));
    },
  };
}

export function pathOf(method: { parent: { typeName: string }; name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Bytes that are no message of this kind are the caller's mistake. */
export function decode<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes, { readUnknownFields: false });
  } catch (cause) {
    throw new CallError("INVALID_FIELD", `the request is no ${schema.typeName}: its bytes are malformed`, {
      metadata: { message_type: schema.typeName },
      violations: [{ field: "", description: "malformed protobuf" }],
      cause,
    });
  }
}
