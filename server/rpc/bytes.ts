/** Methods as every adapter serves them: bytes in, bytes out. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { CallError } from "../../protocol/errors.ts";
import * as wire from "../../protocol/wire.ts";
import type { Call } from "../broker/callers.ts";
import type { Access, Verb } from "./access.ts";

/** A unary method, bytes in and bytes out. */
export interface UnaryMethod {
  /** "/queuecall.v1.BrokerService/Enqueue" */
  path: string;
  /** @param access absent: everything is permitted */
  handle(request: Uint8Array, call: Call, access?: Access): Promise<Uint8Array>;
}

/** A server-streaming method. */
export interface StreamMethod {
  path: string;
  handle(request: Uint8Array, call: Call, access?: Access): AsyncGenerator<Uint8Array, void>;
}

/** @param verbs what the caller must be permitted, on the queue that the request names, before anything else is looked at */
export function unary<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  verbs: readonly Verb[],
  queueOf: (request: MessageShape<I>) => string,
  handle: (request: MessageShape<I>, call: Call, access?: Access) => Promise<MessageInitShape<O>>,
): UnaryMethod {
  const encode = (answer: MessageInitShape<O>) => wire.encode(method.output, answer);
  return {
    path: pathOf(method),
    // Nothing is awaited here: the request would live as long as the call, and so would a promise more for each.
    handle(bytes, call, access) {
      try {
        const request = decode(method.input, bytes);
        access?.require(verbs, [queueOf(request)]);
        return handle(request, call, access).then(encode);
      } catch (error) {
        return Promise.reject(error);
      }
    },
  };
}

export function pathOf(method: { parent: { typeName: string }; name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Bytes that are no message of this kind are the caller's mistake. */
export function decode<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return wire.decode(schema, bytes);
  } catch (cause) {
    throw new CallError("INVALID_FIELD", `the request is no ${schema.typeName}: its bytes are malformed`, {
      metadata: { message_type: schema.typeName },
      violations: [{ field: "", description: "malformed protobuf" }],
      cause,
    });
  }
}
