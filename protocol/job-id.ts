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
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
