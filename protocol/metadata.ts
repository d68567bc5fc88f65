/**
 * The user's own metadata of a transparent call: what of it travels to the worker, and from the worker back. Only what is
 * on the list does; what is said between two neighbours, or lets somebody in, never does, whatever the list says.
 */

/** Lower-case names, values as on the wire: those of names in "-bin" are base64, several of one name are joined by commas. */
export type Headers = Iterable<readonly [name: string, value: string]>;

const NAME = /^[0-9a-z_.-]+$/;
const TEXT = /^[\x20-\x7e]*$/;
const BASE64 = /^[A-Za-z0-9+/=, ]*$/;

const never = [
  "authorization",
  "cookie",
  "set-cookie",
  "proxy-*",
  "x-forwarded-*",
  // Hop by hop.
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  // Of the call itself, in any of the protocols.
  "host",
  "content-*",
  "accept*",
  "user-agent",
  "grpc-*",
  "connect-*",
  "queuecall-*",
  "origin",
  "referer",
  "sec-*",
];
const isNever = anyOf(never);

export class Metadata {
  readonly #listed: (name: string) => boolean;

  /** @param names that travel; a `*` stands for any characters */
  constructor(names: readonly string[]) {
    this.#listed = anyOf(names);
  }

  /** What of them travels. What no metadata can be stays behind. */
  pick(headers: Headers): Record<string, string> {
    const picked = [...headers].filter(([name, value]) => this.travels(name) && isValue(name, value));
    return Object.fromEntries(picked);
  }

  travels(name: string): boolean {
    return NAME.test(name) && this.#listed(name) && !isNever(name);
  }
}

function isValue(name: string, value: string): boolean {
  return (name.endsWith("-bin") ? BASE64 : TEXT).test(value);
}

function anyOf(names: readonly string[]): (name: string) => boolean {
  const patterns = names.map((name) => name.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*"));
  const whole = new RegExp(`^(?:${patterns.join("|")})$`);
  return (name) => names.length > 0 && whole.test(name);
}

/** Header values are printable ASCII; everything else, and "%", is percent-encoded. */
export function percentEncode(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+/gu, (part) =>
    [...Buffer.from(part, "utf8")].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}
