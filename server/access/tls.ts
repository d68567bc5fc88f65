/**
 * Certificate, key and client CA from files, read again when they change: new
 * connections get the new ones, open ones stay. For any listener: `options` fits
 * node:tls, node:https and node:http2, and `setSecureContext` takes what
 * `onChange` brings.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { Clock } from "../../protocol/clock.ts";
import { AccessRefused } from "./refused.ts";
import { type ReloadLog, readNow, WatchedFiles } from "./watched-files.ts";

/** PEM files. */
export interface TlsFiles {
  /** The broker's certificate, then those between it and the root. */
  cert: string;
  /** Its private key, without a passphrase. */
  key: string;
  /** Whoever connects needs a certificate of one of these authorities. */
  clientCa?: string | undefined;
}

/** For a listener. */
export interface TlsOptions {
  cert: Buffer;
  key: Buffer;
  ca?: Buffer;
  minVersion: "TLSv1.2";
  requestCert: boolean;
  rejectUnauthorized: boolean;
}

export interface Tls {
  /** As they are now. */
  readonly options: TlsOptions;
  /** @returns stops it */
  onChange(fn: (options: TlsOptions) => void): () => void;
  readonly files: WatchedFiles;
}

/** @throws AccessRefused the files cannot be used as they are first found; later only the log says so, and what was read before stands */
export function openTls(files: TlsFiles, clock: Clock, log: ReloadLog | undefined): Tls {
  const names = [files.cert, files.key, ...(files.clientCa === undefined ? [] : [files.clientCa])];
  const whats = ["--tls-cert", "--tls-key", "--tls-client-ca"];
  const first = names.map((name, i) => readNow(name, whats[i] as string));
  let options = optionsFrom(first, files);
  const listeners = new Set<(options: TlsOptions) => void>();
  const watched = new WatchedFiles(names, first, {
    clock,
    changed(contents) {
      options = optionsFrom(contents, files);
      for (const listener of listeners) listener(options);
      log?.info({ file: files.cert }, "certificates read again");
    },
    failed: ({ message }) => log?.error({ file: files.cert }, `${message}; the certificates read before stay`),
  });
  return {
    get options() {
      return options;
    },
    onChange(fn) {
      listeners.add(fn);
      return () => listeners.delete(fn);
    },
    files: watched,
  };
}

function optionsFrom([cert, key, ca]: Buffer[], files: TlsFiles): TlsOptions {
  const certificate = usable(
    `--tls-cert ${files.cert} is no PEM certificate`,
    () => new X509Certificate(cert as Buffer),
  );
  const secret = usable(`--tls-key ${files.key} is no PEM private key without a passphrase`, () =>
    createPrivateKey(key as Buffer),
  );
  if (!certificate.checkPrivateKey(secret)) {
    throw new AccessRefused(`--tls-key ${files.key} is not the key of --tls-cert ${files.cert}`);
  }
  if (ca) usable(`--tls-client-ca ${files.clientCa} is no PEM certificate`, () => new X509Certificate(ca));
  const options: TlsOptions = {
    cert: cert as Buffer,
    key: key as Buffer,
    ...(ca && { ca }),
    minVersion: "TLSv1.2",
    requestCert: ca !== undefined,
    rejectUnauthorized: ca !== undefined,
  };
  usable(`--tls-cert ${files.cert} cannot be used`, () => createSecureContext(options));
  return options;
}

function usable<T>(otherwise: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new AccessRefused(otherwise, { cause });
  }
}
