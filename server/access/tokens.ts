/** `--tokens FILE`: the gate, kept as the file says. */
import type { Clock } from "../../protocol/clock.ts";
import { parseTokens } from "./token-file.ts";
import { TokenGate } from "./token-gate.ts";
import { type ReloadLog, readNow, WatchedFiles } from "./watched-files.ts";

export interface Tokens {
  readonly gate: TokenGate;
  readonly files: WatchedFiles;
}

/** @throws AccessRefused the file cannot be used as it is first found; later only the log says so, and what was read before stands */
export function openTokens(file: string, clock: Clock, log: ReloadLog | undefined): Tokens {
  const first = readNow(file, "token file");
  const gate = new TokenGate(parseTokens(first.toString(), file), clock);
  const files = new WatchedFiles([file], [first], {
    clock,
    changed([content]) {
      const entries = parseTokens(String(content), file);
      gate.replace(entries);
      log?.info({ file, names: entries.map(({ name }) => name) }, "tokens read again");
    },
    failed: ({ message }) => log?.error({ file }, `${message}; the tokens read before stay`),
  });
  return { gate, files };
}
