/** What a `ts fragment` of the documentation takes for granted: the libraries, and the reader's own program. */
export { createClient } from "@connectrpc/connect";
export {
  contentId,
  createJobClient,
  createQueueClient,
  defineQueue,
  JobFailedError,
  jobOptions,
  TimeoutError,
} from "../../client/index.ts";
export { Thumbnailer } from "../../examples/transparent/gen/acme/v1/thumbnailer_pb.js";
export { createWorker, NonRetryableError } from "../../worker/index.ts";

import type { QueueClient } from "../../client/index.ts";

export declare const client: QueueClient;
export declare const url: string;
export declare const signal: AbortSignal;
export declare const to: string;
export declare function send(mail: unknown, signal?: AbortSignal): Promise<void>;
