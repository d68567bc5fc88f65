/**
 * Enqueues that are sent in one turn of the event loop share a call. A batch
 * carries what goes well; whatever needs more (a refusal to be told in full, an
 * outcome that is there already, a broker without batches) is asked for again by
 * itself, with the same request id, and so is answered as if it had gone alone.
 * What may have been stored or not is the call's to know: it fails, to be tried again.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type CallOptions as ConnectOptions } from "@connectrpc/connect";
import type {
  EnqueueBatchResponse_Item,
  EnqueueRequestSchema,
  EnqueueResponse,
} from "../gen/queuecall/v1/broker_pb.js";
import { Disposition } from "../gen/queuecall/v1/job_pb.js";
import { EXCHANGE_FRAME_BYTES, MAX_BATCH_ITEMS } from "../protocol/limits.ts";
import { isTransient } from "./call.ts";
import { grpcTimeout } from "./grpc-timeout.ts";
import { refusal } from "./transport/exchange.ts";
import type { BrokerClient } from "./transport/links.ts";

type Request = MessageInitShape<typeof EnqueueRequestSchema>;
type Answer = Pick<EnqueueResponse, "job" | "disposition" | "payloadMismatch">;

/** Beside its payload an item takes about this much of a message. Bytes. */
const ITEM_BYTES = 512;
const BATCH_BYTES = EXCHANGE_FRAME_BYTES / 2;

interface Waiting {
  request: Request;
  bytes: number;
  /** What remains of the call's time. Milliseconds. */
  leftMs: number;
  options: ConnectOptions;
  resolve(answer: Answer | Promise<Answer>): void;
  reject(error: unknown): void;
}

export class Batches {
  readonly #waiting = new Map<BrokerClient, Waiting[]>();
  /** Brokers that know no batches. */
  readonly #without = new WeakSet<BrokerClient>();

  enqueue(broker: BrokerClient, request: Request, leftMs: number, options: ConnectOptions): Promise<Answer> {
    const bytes = (request.spec?.payload?.data?.length ?? 0) + ITEM_BYTES;
    if (bytes > BATCH_BYTES || this.#without.has(broker)) return broker.enqueue(request, options);
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(broker);
      const item = { request, bytes, leftMs, options, resolve, reject };
      if (waiting) return void waiting.push(item);
      this.#waiting.set(broker, [item]);
      // After all that follows from what has just arrived, and before the event loop turns.
      process.nextTick(() => this.#send(broker));
    });
  }

  #send(broker: BrokerClient): void {
    const waiting = this.#waiting.get(broker) ?? [];
    this.#waiting.delete(broker);
    for (const batch of inBatches(waiting.filter(isWanted))) void this.#sendBatch(broker, batch);
  }

  async #sendBatch(broker: BrokerClient, batch: Waiting[]): Promise<void> {
    const { items, failure } = batch.length === 1 ? { items: [] } : await this.#ask(broker, batch);
    for (const [i, { request, options, resolve, reject }] of batch.entries()) {
      const item = items[i];
      const error = failure ?? (item?.status && refusal(item.status, { trailers: {} }));
      if (error && isTransient(error)) reject(error);
      else resolve(item && isWhole(item) ? item : broker.enqueue(request, options));
    }
  }

  async #ask(
    broker: BrokerClient,
    batch: Waiting[],
  ): Promise<{ items: EnqueueBatchResponse_Item[]; failure?: ConnectError }> {
    // Each ends by its own time; the batch has that of the most patient.
    const leftMs = Math.max(...batch.map(({ leftMs }) => leftMs));
    const options = { headers: { "grpc-timeout": grpcTimeout(leftMs) }, signal: new AbortController().signal };
    try {
      const { items } = await broker.enqueueBatch({ items: batch.map(({ request }) => request) }, options);
      return { items };
    } catch (error) {
      const failure = ConnectError.from(error);
      if (failure.code === Code.Unimplemented) this.#without.add(broker);
      return { items: [], failure };
    }
  }
}

/** Accepted, and nothing is left to be said. */
function isWhole({ status, disposition }: EnqueueBatchResponse_Item): boolean {
  return status === undefined && (disposition === Disposition.CREATED || disposition === Disposition.JOINED);
}

/** Somebody still waits for it. */
function isWanted({ options: { signal }, reject }: Waiting): boolean {
  if (!signal?.aborted) return true;
  reject(ConnectError.from(signal.reason, Code.Canceled));
  return false;
}

function inBatches(waiting: Waiting[]): Waiting[][] {
  const batches: Waiting[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of waiting) {
    bytes += item.bytes;
    if (bytes > BATCH_BYTES || batches.at(-1)!.length >= MAX_BATCH_ITEMS) {
      batches.push([]);
      bytes = item.bytes;
    }
    batches.at(-1)!.push(item);
  }
  return batches;
}
