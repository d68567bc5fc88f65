/** `queuecall serve`: a broker, with one flag for each row of the table of settings. */
import type { Command } from "commander";
import { Option } from "commander";
import { loadConfig, settings, variableOf } from "../server/config.ts";
import { weighBuffersAsMemory } from "./buffers.ts";
import { silenceSqliteWarning } from "./warnings.ts";

export function addServe(program: Command): void {
  const command = program
    .command("serve")
    .summary("run a broker")
    .description("Runs a broker. Prints one line on stdout once it accepts calls; SIGTERM or Ctrl-C drains it.")
    .addOption(
      new Option("--config <FILE>", "YAML file with the settings below, such as `max-wait: 1h` (QUEUECALL_CONFIG)"),
    );
  const names = new Map<string, string>([["config", "config"]]);
  for (const { name, kind, help, initial } of settings) {
    const shown = initial === undefined ? "" : `, default ${initial}`;
    const option = new Option(`--${name} <${kind.placeholder}>`, `${help} (${variableOf(name)}${shown})`);
    names.set(option.attributeName(), name);
    command.addOption(option);
  }
  command.addHelpText("after", examples).action(async (options: Record<string, string>) => {
    const flags = Object.fromEntries(Object.entries(options).map(([key, value]) => [names.get(key) ?? key, value]));
    const config = await loadConfig({ flags, env: process.env });
    // grpc-js would write lines of its own to stderr; what matters of them arrives as errors.
    process.env.GRPC_VERBOSITY ??= "NONE";
    silenceSqliteWarning();
    weighBuffersAsMemory();
    // The client commands have no use for a broker: it loads here.
    const { serve } = await import("../server/main.ts");
    process.exit(await serve(config));
  });
}

const examples = `
Flags win over environment, over file, over defaults.

Examples
  queuecall serve                                          SQLite in ./queuecall-data
  queuecall serve --storage memory: --grpc 127.0.0.1:0     nothing kept, any free port
  queuecall serve --storage redis://127.0.0.1:6379 --require-durability redis-everysec
  QUEUECALL_STORAGE_FILE=/run/secrets/storage queuecall serve --config /etc/queuecall.yaml

Exit codes
  0 drained · 1 drain cut short by --drain-timeout · 64 usage · 78 configuration`;
