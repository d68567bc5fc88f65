/** From an error to what Connect's protocols send. */
import { ConnectError } from "@connectrpc/connect";
import type { OnBug } from "../in-flight.ts";
import { toWireStatus } from "../status.ts";

export function connectError(error: unknown, path: string, onBug: OnBug): ConnectError {
  const { code, message, details, trailers } = toWireStatus(error);
  if (trailers["queuecall-reason"] === "INTERNAL") onBug(error, path);
  const status = new ConnectError(message, code, trailers);
  // As they came: no type has to be known to be passed on.
  status.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
  return status;
}
