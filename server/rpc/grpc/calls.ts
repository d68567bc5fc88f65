/** What every call of @grpc/grpc-js has: a deadline, an end, a status, metadata. */
import { Metadata } from "@grpc/grpc-js";
import type { Call } from "../../broker/callers.ts";
import { type Credentials, hostOf, namesIn } from "../access.ts";
import type { OnBug } from "../in-flight.ts";
import { statusBytes, toWireStatus } from "../status.ts";

/** What says who calls. */
export interface Caller {
  metadata: Metadata;
  getPeer(): string;
  getAuthContext(): { sslPeerCertificate?: { subjectaltname?: string | undefined } } | null;
}

export interface GrpcCall extends Caller {
  getDeadline(): number | Date;
  on(event: "cancelled", fn: () => void): unknown;
}

export const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function callOf(call: GrpcCall): Call {
  const deadline = Number(call.getDeadline());
  return {
    deadlineMs: Number.isFinite(deadline) ? Math.max(0, deadline - Date.now()) : undefined,
    // grpc-js says "cancelled" after a normal end as well: what is called back must bear that.
    onGone: (fn) => void call.on("cancelled", fn),
  };
}

export function grpcStatus(error: unknown, path: string, onBug: OnBug) {
  const status = toWireStatus(error);
  const { code, message, details, trailers } = status;
  if (trailers["queuecall-reason"] === "INTERNAL") onBug(error, path);
  const metadata = metadataOf(trailers);
  if (details.length > 0) metadata.set("grpc-status-details-bin", same(statusBytes(status)));
  return Object.assign(new Error(message), { code, details: message, metadata });
}

/** @param headers values of names in "-bin" are base64, several of them separated by commas */
export function metadataOf(headers: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) {
    if (!name.endsWith("-bin")) metadata.set(name, value);
    else for (const each of value.split(",")) metadata.add(name, Buffer.from(each, "base64"));
  }
  return metadata;
}

export function credentialsOf(caller: Caller): Credentials {
  const headers = caller.metadata.get("authorization");
  return {
    peer: hostOf(caller.getPeer()),
    // Two of them are one that is malformed.
    authorization: headers.length === 0 ? undefined : headers.join(", "),
    certificateNames: () => namesIn(caller.getAuthContext()?.sslPeerCertificate?.subjectaltname),
  };
}
