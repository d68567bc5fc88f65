/** BrokerService: message → broker call → message. One implementation for every adapter. */
import { create, toBinary } from "@bufbuild/protobuf";
import { BrokerService, WatchJobRequestSchema, WatchJobResponseSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { invalidField } from "../../protocol/errors.ts";
import type { Broker } from "../broker/broker.ts";
import type { Accepted } from "../broker/callers.ts";
import type { JobStatus } from "../job/job.ts";
import type { Access } from "./access.ts";
import { decode, pathOf, type StreamMethod, type UnaryMethod, unary } from "./bytes.ts";
import { enqueueBatch } from "./enqueue-batch.ts";
import { dispositionOf, jobMessage, stateMessage, statusMessage } from "./translate.ts";
import { jobKey, jobSpec, queueName, requestId, resultTtlMs, waitTimeoutMs } from "./validate.ts";

export function brokerService(broker: Broker): { unary: UnaryMethod[]; streams: StreamMethod[] } {
  const { clock, settings } = broker;
  const stacks = { stacks: settings.passStacks };
  const { method } = BrokerService;

  /** Who may not wait learns of states, not of outcomes: asking for work that is done already is no way around it. */
  const told = (status: JobStatus, access?: Access) =>
    (access?.permits("wait", status.queue) ?? true) ? statusMessage(status, stacks) : stateMessage(status);
  const accepted = ({ status, disposition, payloadMismatch }: Accepted, access?: Access) => ({
    job: told(status, access),
    disposition: dispositionOf(disposition),
    payloadMismatch,
  });
  const ofSpec = (request: { spec?: { queue: string } | undefined }) =>
    queueName("spec.queue", request.spec?.queue ?? "");
  const ofKey = (request: { queue: string }) => queueName("queue", request.queue);

  return {
    unary: [
      unary(method.enqueue, ["enqueue"], ofSpec, async (request, call, access) => {
        const spec = jobSpec(request.spec, request.requestId, clock, settings);
        return accepted(await broker.callers.enqueue(spec, requestId(request.requestId, clock), call), access);
      }),
      enqueueBatch(clock, (item, call) => {
        const spec = jobSpec(item.spec, item.requestId, clock, settings);
        return broker.callers.enqueue(spec, requestId(item.requestId, clock), call);
      }),
      // Not awaited here: what was asked would live as long as the wait.
      unary(method.enqueueAndWait, ["enqueue", "wait"], ofSpec, (request, call) => {
        const spec = jobSpec(request.spec, request.requestId, clock, settings);
        const wait = waitTimeoutMs(request.waitTimeout);
        return broker.callers
          .enqueueAndWait(spec, requestId(request.requestId, clock), wait, call)
          .then((all) => accepted(all));
      }),
      unary(method.waitJob, ["wait"], ofKey, async (request, call) => {
        const wait = waitTimeoutMs(request.waitTimeout);
        return { job: told(await broker.callers.waitJob(jobKey(request), wait, call)) };
      }),
      unary(method.getJob, ["wait"], ofKey, async (request) => ({
        job: jobMessage(await broker.callers.getJob(jobKey(request)), stacks),
      })),
      // Who may ask for work may take it back, ask again, and say how long the answer is kept.
      unary(method.cancelJob, ["enqueue"], ofKey, async (request, _call, access) => ({
        job: told(await broker.callers.cancelJob(jobKey(request)), access),
      })),
      unary(method.retryJob, ["enqueue"], ofKey, async (request, _call, access) => ({
        job: told(await broker.callers.retryJob(jobKey(request)), access),
      })),
      unary(method.updateResultTtl, ["enqueue"], ofKey, async (request, _call, access) => {
        const ttl = resultTtlMs("result_ttl", request.resultTtl);
        if (ttl === undefined) throw invalidField("result_ttl", "is required: from 1 s to 365 days");
        return { job: told(await broker.callers.updateResultTtl(jobKey(request), ttl), access) };
      }),
    ],
    streams: [
      {
        path: pathOf(method.watchJob),
        async *handle(bytes, call, access) {
          const request = decode(WatchJobRequestSchema, bytes);
          access?.require(["wait"], [ofKey(request)]);
          for await (const job of broker.callers.watchJob(jobKey(request), call)) {
            const message = create(WatchJobResponseSchema, job ? { job: jobMessage(job, stacks) } : {});
            yield toBinary(WatchJobResponseSchema, message);
          }
        },
      },
    ],
  };
}
