/** Which browser pages may call: by an allow-list of origins. Who is not on it gets no word, and the browser keeps the page from calling. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";

const allowed = new Set([...cors.allowedHeaders.map((name) => name.toLowerCase()), "authorization"]);
const PREFLIGHT_VALID_S = 7_200;

export class Cors {
  readonly #origins: ReadonlySet<string>;
  readonly #passes: (header: string) => boolean;

  /** @param passes which metadata is taken */
  constructor(origins: readonly string[], passes: (header: string) => boolean) {
    this.#origins = new Set(origins);
    this.#passes = passes;
  }

  /** Adds what the page's browser wants to see. Answers true where it was only asking. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const { origin } = request.headers;
    if (origin === undefined || this.#origins.size === 0) return false;
    response.setHeader("vary", "origin");
    if (!this.#origins.has(origin) && !this.#origins.has("*")) return false;
    response.setHeader("access-control-allow-origin", origin);
    // What a worker sends back has names that nobody knows before; there are no cookies here to be careful with.
    response.setHeader("access-control-expose-headers", "*");
    if (request.method !== "OPTIONS") return false;
    response.setHeader("access-control-allow-methods", cors.allowedMethods.join(", "));
    response.setHeader("access-control-allow-headers", this.#wanted(request.headers).join(", "));
    response.setHeader("access-control-max-age", String(PREFLIGHT_VALID_S));
    response.writeHead(204);
    response.end();
    return true;
  }

  #wanted(headers: IncomingHttpHeaders): string[] {
    const names = String(headers["access-control-request-headers"] ?? "")
      .toLowerCase()
      .split(/ *, */);
    return names.filter((name) => allowed.has(name) || name.startsWith("queuecall-") || this.#passes(name));
  }
}
