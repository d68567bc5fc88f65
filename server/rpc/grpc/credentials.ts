/** The TLS of the gRPC port. grpc-js has credentials that watch files, too, but they end every new connection while a file is missing, and take no key that was checked before. */
import type { SecureServerOptions } from "node:http2";
import type { SecureContextOptions } from "node:tls";
import { ServerCredentials } from "@grpc/grpc-js";

/** What a listener is given, and what it is given when the files have changed. */
interface Source {
  readonly options: SecureServerOptions;
  onChange(fn: (options: SecureContextOptions) => void): () => void;
}

/** Credentials that follow their source: what connects after a change sees the new certificate. */
export class TlsCredentials extends ServerCredentials {
  constructor(source: Source) {
    // grpc-js reads both: the first once, for the server; the second for each new context.
    super(source.options, source.options);
    source.onChange((options) => this.updateSecureContextOptions(options));
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
