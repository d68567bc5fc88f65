/** What a queue carries: named once, taken by `client.queue` and `worker.handle`. */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { messageCodec, type PayloadCodec, plainCodec } from "./codec.ts";

/**
 * A queue and the types on both of its ends.
 *
 *   caller                       worker
 *   RequestIn ──────────────────► Request
 *   Response  ◄────────────────── ResponseIn
 *
 * For JSON each pair is one type; for protobuf what is sent is an initialiser and what arrives a message.
 */
export interface QueueDefinition<RequestIn = unknown, Request = unknown, ResponseIn = unknown, Response = unknown> {
  /** 1–128 characters of [A-Za-z0-9._/-]. */
  readonly name: string;
  readonly request: PayloadCodec<RequestIn, Request>;
  readonly response: PayloadCodec<ResponseIn, Response>;
}

/** A definition whose payloads are JSON or bytes. */
export type PlainQueueDefinition<Request, Response> = QueueDefinition<Request, Request, Response, Response>;

/** A definition whose payloads are protobuf messages. */
export type MessageQueueDefinition<Request extends DescMessage, Response extends DescMessage> = QueueDefinition<
  MessageInitShape<Request>,
  MessageShape<Request>,
  MessageInitShape<Response>,
  MessageShape<Response>
>;

/**
 * Defines a queue whose payloads are JSON (or bytes, where a side is Uint8Array).
 * The types are the program's word: nothing is checked at run time.
 */
export function defineQueue<Request, Response>(name: string): PlainQueueDefinition<Request, Response>;
/** Defines a queue whose payloads are protobuf messages of these types. */
export function defineQueue<Request extends DescMessage, Response extends DescMessage>(
  name: string,
  schemas: { request: Request; response: Response },
): MessageQueueDefinition<Request, Response>;
export function defineQueue(name: string, schemas?: { request: DescMessage; response: DescMessage }): unknown {
  return schemas === undefined
    ? { name, request: plainCodec(), response: plainCodec() }
    : { name, request: messageCodec(schemas.request), response: messageCodec(schemas.response) };
}
