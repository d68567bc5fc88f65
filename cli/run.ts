/** One command, from its arguments to its exit code. What it prints goes to stdout, one line of what went wrong to stderr. */
import { CommanderError } from "commander";
import { ConfigError } from "../server/config.ts";
import { endOf, exitCodes } from "./exit.ts";
import { createProgram } from "./program.ts";

/** @param args without node and script. Sets `process.exitCode` where the command does not end well */
export async function run(args: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(args, { from: "user" });
  } catch (error) {
    const { code, message } = ofUsage(error) ?? ofConfiguration(error) ?? endOf(error);
    if (message !== "") console.error(`queuecall: ${message}`);
    process.exitCode = code;
  }
}

function ofUsage(error: unknown): { code: number; message: string } | undefined {
  if (!(error instanceof CommanderError)) return undefined;
  if (error.exitCode === 0) return { code: exitCodes.ok, message: "" };
  // No command at all: commander has printed the help.
  if (error.code === "commander.help") return { code: exitCodes.usage, message: "" };
  const line = error.message.replace(/^error: /, "").replaceAll("\n", " ");
  return { code: exitCodes.usage, message: `${line}; see queuecall --help` };
}

function ofConfiguration(error: unknown): { code: number; message: string } | undefined {
  return error instanceof ConfigError ? { code: exitCodes.configuration, message: error.message } : undefined;
}
