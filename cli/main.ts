#!/usr/bin/env node
/** The `queuecall` command. */
import { CommanderError } from "commander";
import { ConfigError } from "../server/config.ts";
import { endOf, exitCodes } from "./exit.ts";
import { createProgram } from "./program.ts";

// Whoever reads our output may stop reading.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? 0 : exitCodes.error),
);

try {
  await createProgram().parseAsync();
} catch (error) {
  const { code, message } = ofUsage(error) ?? ofConfiguration(error) ?? endOf(error);
  if (message !== "") console.error(`queuecall: ${message}`);
  process.exitCode = code;
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
