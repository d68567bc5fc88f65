/** `queuecall health`: a probe for containers and supervisors that do not speak grpc.health.v1 themselves. */
import { type Command, Option } from "commander";
import { checkHealth, type HealthStatus } from "../client/index.ts";
import { type CredentialFlags, credentialsOf, withCredentials } from "./connection.ts";
import { exitCodes } from "./exit.ts";
import { milliseconds } from "./input.ts";

interface HealthFlags extends CredentialFlags {
  url: string;
  service: string;
  timeout?: number;
}

export function addHealth(program: Command): void {
  const command = program
    .command("health")
    .summary("ask a broker whether it is serving")
    .description(
      "Asks grpc.health.v1 of one broker, once, and prints the answer. Exit code 0: serving, 1: anything else.",
    )
    .addOption(new Option("--url <URL>", "broker").env("QUEUECALL_URL").default("http://127.0.0.1:7455"));
  withCredentials(command)
    .option("--service <NAME>", "queuecall.v1.BrokerService: whether it can work (default: whether it lives)", "")
    .option("--timeout <DURATION>", "how long it may take (default: 5s)", milliseconds)
    .addHelpText(
      "after",
      `
Examples
  queuecall health                                        alive?
  queuecall health --service queuecall.v1.BrokerService   ready for work?
  until queuecall health --timeout 1s; do sleep 1; done`,
    )
    .action(async (flags: HealthFlags) => {
      const { url, service, timeout } = flags;
      const health = await checkHealth({ url, service, timeout, ...credentialsOf(flags) });
      process.stdout.write(`${JSON.stringify({ url, service, ...health })}\n`);
      if (health.status === "serving") return;
      console.error(`queuecall: ${explain(health, flags)}`);
      process.exitCode = exitCodes.error;
    });
}

function explain(health: HealthStatus, { url, service }: HealthFlags): string {
  if (health.status === "unreachable") return `${url}: ${health.message}`;
  if (health.status === "unknown") return `${url} has no service ${service}`;
  return `${url} is not serving${service && ` ${service}`}`;
}
