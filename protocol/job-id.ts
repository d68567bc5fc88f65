/** The id of a job that its caller did not name. */
import type { Clock } from "./clock.ts";

/** A UUIDv7 (RFC 9562): sorts by the time it was made. */
export function generateJobId(clock: Clock): string {
  const bytes = Buffer.from(clock.randomBytes(16));
  bytes.writeUIntBE(Math.floor(clock.now()), 0, 6);
  return uuid(bytes, 7);
}

/** A UUIDv8 of the request's own 16 random bytes, so that a repeat of the request names the same job. */
export function jobIdOfRequest(requestId: Uint8Array): string {
  return uuid(Buffer.from(requestId), 8);
}

function uuid(bytes: Buffer, version: number): string {
  bytes[6] = (version << 4) | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
