/** The commands and their options, as they are typed. */
import { Command } from "commander";
import { addAdminCommands } from "./admin.ts";
import { exitCodesHelp } from "./exit.ts";
import { addForward } from "./forward.ts";
import { addFsck } from "./fsck.ts";
import { addHealth } from "./health.ts";
import { addJobCommands } from "./jobs.ts";
import { addProto } from "./proto.ts";
import { addServe } from "./serve.ts";
import { addToken } from "./token.ts";
import { version } from "./version.ts";

/** What `queuecall` understands. Errors of usage are thrown (CommanderError); running is up to the caller. */
export function createProgram(): Command {
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
  addAdminCommands(program);
  addHealth(program);
  addForward(program);
  addFsck(program);
  addToken(program);
  addProto(program);
  return program;
}
