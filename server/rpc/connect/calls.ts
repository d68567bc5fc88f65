/** What every call of connect-node has: a deadline, an end, credentials. */
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { type ContextValues, createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { Call } from "../../broker/callers.ts";
import { type Credentials, namesIn } from "../access.ts";

/** What a call came in with. */
const requestKey = createContextKey<IncomingMessage | undefined>(undefined);

export function contextOf(request: unknown): ContextValues {
  return createContextValues().set(requestKey, request as IncomingMessage);
}

export function callOf(context: HandlerContext): Call {
  return {
    deadlineMs: context.timeoutMs(),
    // It aborts after a normal end as well: what is called back must bear that.
    onGone: (fn) => context.signal.addEventListener("abort", () => fn(), { once: true }),
  };
}

export function requestOf({ values }: HandlerContext): IncomingMessage | undefined {
  return values.get(requestKey);
}

export function credentialsOf(context: HandlerContext): Credentials {
  const { requestHeader } = context;
  const socket = requestOf(context)?.socket as TLSSocket | undefined;
  return {
    peer: socket?.remoteAddress ?? "",
    authorization: requestHeader.get("authorization") ?? undefined,
    certificateNames: () => namesIn(socket?.getPeerCertificate?.()?.subjectaltname),
  };
}
