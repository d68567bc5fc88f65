/** A word of warning for who opens a broker to a network. */
import type { AccessFiles } from "./access.ts";

/** At most one line: what is open, and the remedy. @param addresses "HOST:PORT" each */
export function exposure(addresses: readonly string[], { tls, tokens }: AccessFiles): string[] {
  const open = addresses.filter((address) => !isLoopback(address));
  if (open.length === 0 || (tls && (tokens || tls.clientCa))) return [];
  const { missing, danger } = tls
    ? { missing: "tokens", danger: "whoever reaches it may read and run every job; give --tokens FILE" }
    : tokens
      ? { missing: "TLS", danger: "tokens and payloads travel in plain text; give --tls-cert FILE and --tls-key FILE" }
      : {
          missing: "TLS and tokens",
          danger: "whoever reaches it may read and run every job; give --tls-cert, --tls-key and --tokens",
        };
  return [`listening on ${open.join(" and ")} without ${missing}: ${danger}, or listen on 127.0.0.1`];
}

function isLoopback(address: string): boolean {
  const host = address.slice(0, address.lastIndexOf(":"));
  return host === "localhost" || /^127\./.test(host) || host === "[::1]";
}
