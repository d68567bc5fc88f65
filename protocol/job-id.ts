/** The id of a job that its caller did not name. */
import type { Clock } from "./clock.ts";

/** A UUIDv7 (RFC 9562): sorts by the time it was made. */
export function generateJobId(clock: Clock): string {
  const bytes = clock.randomBytes(16);
  const now = Math.floor(clock.now());
  // Six bytes, of which a bit operation sees four.
  bytes[0] = now / 2 ** 40;
  bytes[1] = now / 2 ** 32;
  bytes[2] = now >>> 24;
  bytes[3] = now >>> 16;
  bytes[4] = now >>> 8;
  bytes[5] = now;
  return uuid(bytes, 7);
}

/** A UUIDv8 of the request's own 16 random bytes, so that a repeat of the request names the same job. */
export function jobIdOfRequest(requestId: Uint8Array): string {
  return uuid(requestId, 8);
}

const DIGITS = Buffer.from("0123456789abcdef");
/** Written anew for each id: in one piece, a text is made and sent with less. */
const text = Buffer.from("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");

function uuid(bytes: Uint8Array, version: number): string {
  let at = 0;
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) at++;
    const byte = bytes[i]!;
    const high = i === 6 ? version : i === 8 ? 8 | ((byte >>> 4) & 0x3) : byte >>> 4;
    text[at++] = DIGITS[high]!;
    text[at++] = DIGITS[byte & 0x0f]!;
  }
  return text.toString("latin1");
}
