#!/usr/bin/env node
/** The `queuecall` command. */
import { Command, CommanderError } from "commander";
import { ConfigError } from "../server/config.ts";
import { endOf, exitCodes, exitCodesHelp } from "./exit.ts";
import { addHealth } from "./health.ts";
import { addJobCommands } from "./jobs.ts";
import { addProto } from "./proto.ts";
import { addServe } from "./serve.ts";
import { addToken } from "./token.ts";
import { version } from "./version.ts";

const program = new Command("queuecall")
  .description("RPC over a durable queue: a broker, and the commands to call through it.")
  .version(version())
  .helpCommand(false)
  .showSuggestionAfterError()
  .exitOverride()
  // What is wrong is one line, said below.
  .configureOutput({ outputError: () => {} })
  .addHelpText(
    "after",
    `
Examples
  queuecall serve
  queuecall call fetch --data '{"url":"https://example.com"}' --timeout 30s
  queuecall enqueue fetch --id fetch-1 --data '{"url":"https://example.com"}'
  queuecall watch fetch fetch-1

stdout carries JSON only; what is for people goes to stderr. --url and QUEUECALL_URL say where the broker is.
${exitCodesHelp}`,
  );
addServe(program);
addJobCommands(program);
addHealth(program);
addToken(program);
addProto(program);

// Whoever reads our output may stop reading.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? 0 : exitCodes.error),
);

try {
  await program.parseAsync();
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
