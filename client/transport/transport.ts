/**
 * The seam between calls and connections. A link is one lazy connection to one
 * broker; how calls travel on it (one HTTP/2 stream each, or many on one
 * stream) is decided behind it.
 */
import type { Interceptor, Transport } from "@connectrpc/connect";
import type { Clock } from "../../protocol/clock.ts";

/**
 * How much of a link is known to work. A connection that the broker is leaving counts while it answers calls.
 * - `closed`: not connected
 * - `open`: connected, but the broker has not said a word yet
 * - `heard`: the broker has spoken on this connection
 */
export type LinkState = "closed" | "open" | "heard";

/** One lazy connection to one broker. It reconnects by itself with the next call. */
export interface Link {
  readonly url: string;
  /** For Connect clients. */
  readonly transport: Transport;
  readonly state: LinkState;
  /** Ends all calls on it at once. */
  close(): Promise<void>;
}

/** Certificates and names for `https:` urls. */
export interface TlsOptions {
  /** Certificates to trust instead of the system's. PEM. */
  ca?: string | Uint8Array | (string | Uint8Array)[];
  /** The client's own certificate chain. PEM. */
  cert?: string | Uint8Array;
  /** The key of `cert`. PEM. */
  key?: string | Uint8Array;
  /** The name to expect in the broker's certificate. Default: the url's host. */
  serverName?: string;
  /** `false` accepts any certificate; for tests. Default true. */
  rejectUnauthorized?: boolean;
}

export interface LinkOptions {
  tls?: TlsOptions | undefined;
  clock: Clock;
  interceptors: Interceptor[];
}

/** Makes a link; connects nothing yet. */
export type OpenLink = (url: string, options: LinkOptions) => Link;
