/** What a `ts fragment` of the documentation takes for granted: the libraries, and the reader's own program. */
export { contentId, createQueueClient, defineQueue, JobFailedError, TimeoutError } from "../../client/index.ts";
export { createWorker, NonRetryableError } from "../../worker/index.ts";

import type { QueueClient } from "../../client/index.ts";

export declare const client: QueueClient;
export declare const url: string;
export declare const signal: AbortSignal;
export declare const to: string;
export declare function send(mail: unknown, signal?: AbortSignal): Promise<void>;
