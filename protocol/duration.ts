/** Milliseconds as the messages say them. */
import type { Duration } from "@bufbuild/protobuf/wkt";

/** What the library's `durationFromMs` makes of them, without asking a descriptor how. @param ms whole, not negative */
export function durationOf(ms: number): Duration {
  const seconds = Math.floor(ms / 1_000);
  return { $typeName: "google.protobuf.Duration", seconds: BigInt(seconds), nanos: (ms - seconds * 1_000) * 1_000_000 };
}
