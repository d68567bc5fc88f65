/** `queuecall health`: a probe for containers and supervisors that do not speak grpc.health.v1 themselves. */
import { type Command, Option } from "commander";
import { checkHealth, type HealthStatus } from "../client/index.ts";
import { exitCodes } from "./exit.ts";
import { milliseconds } from "./input.ts";

interface HealthFlags {
  url: string;
  service: string;
  timeout?: number;
  token?: string;
}

export function addHealth(program: Command): void {
  program
    .command("health")
    .summary("ask a broker whether it is serving")
    .description(
      "Asks grpc.health.v1 of one broker, once, and prints the answer. Exit code 0: serving, 1: anything else.",
    )
    .addOption(new Option("--url <URL>", "broker").env("QUEUECALL_URL").default("http://127.0.0.1:7455"))
    .addOption(new Option("--token <TOKEN>", "sent as a bearer token").env("QUEUECALL_TOKEN"))
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
      const health = await checkHealth(flags);
      process.stdout.write(`${JSON.stringify({ url: flags.url, service: flags.service, ...health })}\n`);
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
