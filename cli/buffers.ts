/** What V8 makes of the memory of payloads. */
import { setFlagsFromString } from "node:v8";

/**
 * Payloads are outside V8's heap, and their growth makes it collect everything: it is held against the limit of a heap
 * that is small. With payloads of 100 KB a broker collected several times a second. With this flag they count as what
 * they are, a part of all that the process holds, whose limit grows with it: docs/decisions/0026.
 */
export function weighBuffersAsMemory(): void {
  // Other versions of V8 may not know it, and would say so on stderr.
  if (process.versions.node.startsWith("24.")) setFlagsFromString("--external-memory-accounted-in-global-limit");
}
