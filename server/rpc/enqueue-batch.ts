/** BrokerService.EnqueueBatch: many enqueues in one call, each for itself. What is wrong with one is its status. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  BrokerService,
  EnqueueBatchRequestSchema,
  type EnqueueBatchResponse_ItemSchema,
  EnqueueBatchResponseSchema,
  type EnqueueRequest,
} from "../../gen/queuecall/v1/broker_pb.js";
import type { Clock } from "../../protocol/clock.ts";
import { CallError, invalidField } from "../../protocol/errors.ts";
import { MAX_BATCH_ITEMS } from "../../protocol/limits.ts";
import { encode } from "../../protocol/wire.ts";
import type { Accepted, Call } from "../broker/callers.ts";
import type { Access } from "./access.ts";
import { decode, pathOf, type UnaryMethod } from "./bytes.ts";
import { toWireStatus } from "./status.ts";
import { dispositionOf, stateMessage } from "./translate.ts";
import { queueName } from "./validate.ts";

/** Items that a batch begins in one turn of the event loop; the other calls of the process come in between. */
const ITEMS_PER_TURN = 128;

type Item = MessageInitShape<typeof EnqueueBatchResponse_ItemSchema>;

/** @param enqueue one item, as Enqueue does it */
export function enqueueBatch(
  clock: Clock,
  enqueue: (item: EnqueueRequest, call: Call) => Promise<Accepted>,
): UnaryMethod {
  const one = async (item: EnqueueRequest, call: Call, access: Access | undefined): Promise<Item> => {
    const { queue = "", jobId = "" } = item.spec ?? {};
    try {
      access?.check("enqueue", queueName("spec.queue", queue));
      return itemOf(await enqueue(item, call));
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      const { code, message, details } = toWireStatus(error);
      return { job: { queue, jobId }, status: { code, message, details } };
    }
  };
  return {
    path: pathOf(BrokerService.method.enqueueBatch),
    async handle(bytes, call, access) {
      const { items } = decode(EnqueueBatchRequestSchema, bytes);
      if (items.length === 0 || items.length > MAX_BATCH_ITEMS) {
        throw invalidField("items", `has ${items.length}; send from 1 to ${MAX_BATCH_ITEMS}`);
      }
      const answers: Promise<Item>[] = [];
      for (const item of items) {
        if (answers.length > 0 && answers.length % ITEMS_PER_TURN === 0) {
          await new Promise<void>((resolve) => clock.defer(resolve));
        }
        answers.push(one(item, call, access));
      }
      return encode(EnqueueBatchResponseSchema, { items: await Promise.all(answers) });
    },
  };
}

function itemOf({ status, disposition, payloadMismatch }: Accepted): Item {
  return { job: stateMessage(status), disposition: dispositionOf(disposition), payloadMismatch };
}
