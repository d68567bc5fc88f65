/** What a broker reads from files to know who may come in: certificates and tokens. */
import type { Clock } from "../../protocol/clock.ts";
import type { Gate } from "../rpc/access.ts";
import { openTls, type Tls, type TlsFiles } from "./tls.ts";
import { openTokens } from "./tokens.ts";
import type { ReloadLog } from "./watched-files.ts";

export interface AccessFiles {
  /** Absent: plain text. */
  tls?: TlsFiles | undefined;
  /** The file of tokens. Absent: everybody may do everything. */
  tokens?: string | undefined;
}

export interface AccessControl {
  /** For every listener that is to have TLS. */
  readonly tls: Tls | undefined;
  /** Absent: everybody may do everything. */
  readonly gate: Gate | undefined;
  /** Begins to read the files again when they change. Until then there is nothing to close. */
  watch(): void;
  /** Reads them now. What is wrong with them is logged, and what was read before stays. */
  reload(): Promise<void>;
  close(): void;
}

/** @throws AccessRefused a file cannot be used as it is first found */
export function openAccess(files: AccessFiles, clock: Clock, log: ReloadLog | undefined): AccessControl {
  const tls = files.tls && openTls(files.tls, clock, log);
  const tokens = files.tokens === undefined ? undefined : openTokens(files.tokens, clock, log);
  const watched = [tls, tokens].flatMap((each) => (each ? [each.files] : []));
  return {
    tls,
    gate: tokens?.gate,
    watch() {
      for (const each of watched) each.start();
    },
    async reload() {
      await Promise.all(watched.map((each) => each.look()));
    },
    close() {
      for (const each of watched) each.close();
      tokens?.gate.close();
    },
  };
}
