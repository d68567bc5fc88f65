/** Certificates for tests, made by the openssl command. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
if (!hasOpenssl) console.warn("skipped: tests of TLS need the openssl command to make certificates");

/** Files of a certificate and its key. */
export interface Pair {
  cert: string;
  key: string;
}

const elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const openssl = (...args: string[]) => void execFileSync("openssl", args, { stdio: "pipe" });

/** An authority that signs. */
export class Authority {
  readonly #folder: string;
  readonly #own: Pair;

  constructor(folder: string, name: string) {
    this.#folder = folder;
    this.#own = this.#files(name);
    const { cert, key } = this.#own;
    openssl("req", "-x509", ...elliptic, "-subj", `/CN=${name}`, "-days", "1", "-keyout", key, "-out", cert);
  }

  /** To trust it: the file. */
  get file(): string {
    return this.#own.cert;
  }

  /** To trust it: PEM. */
  get pem(): Buffer {
    return readFileSync(this.file);
  }

  /** @param names as in "DNS:broker.test,IP:127.0.0.1" */
  sign(name: string, names: string): Pair {
    const { cert, key } = this.#files(name);
    const request = join(this.#folder, `${name}.csr`);
    const extensions = join(this.#folder, `${name}.ext`);
    writeFileSync(extensions, `subjectAltName=${names}\n`);
    openssl("req", "-new", ...elliptic, "-subj", `/CN=${name}`, "-keyout", key, "-out", request);
    const by = ["-CA", this.#own.cert, "-CAkey", this.#own.key, "-CAcreateserial"];
    openssl("x509", "-req", "-in", request, ...by, "-days", "1", "-extfile", extensions, "-out", cert);
    return { cert, key };
  }

  #files(name: string): Pair {
    return { cert: join(this.#folder, `${name}.crt`), key: join(this.#folder, `${name}.key`) };
  }
}

/** PEM, as the libraries take it. */
export function pemOf({ cert, key }: Pair): { cert: Buffer; key: Buffer } {
  return { cert: readFileSync(cert), key: readFileSync(key) };
}
