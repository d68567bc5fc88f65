/** What the caller commands have in common: how they reach a broker, how long they may take, how they print. */
import type { Command } from "commander";
import { type ConnectionFlags, withBroker } from "./connection.ts";
import { milliseconds } from "./input.ts";

export interface ConnectOptions extends ConnectionFlags {
  timeout?: number;
}

export function withConnection(command: Command, timeout = "how long the command may take"): Command {
  return withBroker(command).option("--timeout <DURATION>", `${timeout} (default: 30s)`, milliseconds);
}

/** JSON on stdout: on one line, unless a person looks at it. */
export function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, process.stdout.isTTY ? 2 : 0)}\n`);
}
