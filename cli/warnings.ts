/** What Node says to whoever runs `queuecall`. */

/**
 * Node 22 tells every user of node:sqlite that it is experimental. Who runs the command can do nothing about that; who
 * embeds a broker should know, so this is for the command's own process only.
 */
export function silenceSqliteWarning(): void {
  const emitWarning = process.emitWarning as (warning: string | Error, ...rest: unknown[]) => void;
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (rest[0] === "ExperimentalWarning" && String(warning).startsWith("SQLite ")) return;
    emitWarning.call(process, warning, ...rest);
  };
}
