/** `queuecall forward`: a durable queue in front of a gRPC server as it is. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { Code } from "../protocol/errors.ts";
import { type ConnectionFlags, clientOptions, withBroker } from "./connection.ts";
import { UsageError } from "./exit.ts";

interface ForwardFlags extends ConnectionFlags {
  to: string;
  toCa?: string;
  service: string[];
  descriptors?: string;
  header: Record<string, string>;
  retry: number[];
  final: number[];
  concurrency: number;
  drainTimeout: number;
}

export function addForward(program: Command): void {
  const command = program
    .command("forward")
    .summary("a worker that calls an existing gRPC server")
    .description(
      "Takes jobs of a service and calls a gRPC server that knows nothing of them, so that callers who use the broker in its place have a durable queue in between. SIGTERM or Ctrl-C drains it.",
    )
    .requiredOption("--to <URL>", "the server: http://HOST:PORT, https://HOST:PORT, unix:/PATH")
    .requiredOption(
      "--service <NAME...>",
      "full name of a service of it, such as acme.v1.Thumbnailer; may be given again",
    )
    .option("--to-ca <FILE>", "authorities to trust for an https:// server instead of the system's, in PEM")
    .option(
      "--descriptors <FILE>",
      "FileDescriptorSet of the services (buf build -o FILE): JSON and reflection at the broker",
    )
    .addOption(
      new Option("--header <NAME:VALUE>", "sent with each call; may be given again").argParser(header).default({}),
    )
    .addOption(
      new Option(
        "--retry <CODES>",
        "status codes that are tried again, such as UNAVAILABLE,ABORTED; default: as the job says",
      )
        .argParser(codes)
        .default([], ""),
    )
    .addOption(
      new Option("--final <CODES>", "status codes that are not; default: as the job says")
        .argParser(codes)
        .default([], ""),
    )
    .addOption(new Option("--concurrency <N>", "calls at one time").argParser(whole).default(16))
    .addOption(
      new Option("--drain-timeout <SECONDS>", "longest time that calls under way get at the end")
        .argParser(whole)
        .default(25),
    );
  withBroker(command)
    .addHelpText(
      "after",
      `
Examples
  queuecall forward --to http://127.0.0.1:9000 --service acme.v1.Thumbnailer
  queuecall forward --to http://127.0.0.1:9000 --service acme.v1.Thumbnailer --retry UNAVAILABLE,RESOURCE_EXHAUSTED

Exit codes
  0 drained · 64 usage`,
    )
    .action(forward);
}

async function forward({
  to,
  toCa,
  service,
  descriptors,
  header,
  drainTimeout,
  ...flags
}: ForwardFlags): Promise<void> {
  process.env.GRPC_VERBOSITY ??= "NONE";
  const { createForwarder } = await import("../worker/index.ts");
  const { url, token, tls } = clientOptions(flags);
  const worker = usable(() =>
    createForwarder({
      url,
      to,
      services: service,
      headers: header,
      retry: flags.retry,
      final: flags.final,
      concurrency: flags.concurrency,
      drainTimeout: drainTimeout * 1_000,
      ...(token !== undefined && { token }),
      ...(tls && { tls }),
      ...(toCa !== undefined && { toTls: { ca: read(toCa, "--to-ca") } }),
      ...(descriptors !== undefined && { descriptorSet: read(descriptors, "--descriptors") }),
    }),
  );
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
  console.error(`forwarding ${service.join(", ")} to ${to}`);
  await worker.run({ signal: stop.signal });
  process.exit(0);
}

/** What the library does not take is the command's mistake. */
function usable<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof TypeError ? new UsageError(error.message) : error;
  }
}

function codes(text: string): number[] {
  return text.split(",").map((each) => {
    const name = each.trim().toUpperCase();
    if (!Object.hasOwn(Code, name) || name === "OK") throw new InvalidArgumentError(`${each} is no gRPC status code.`);
    return Code[name as keyof typeof Code];
  });
}

function header(text: string, before: Record<string, string>): Record<string, string> {
  const [, name = "", value = ""] = /^([\w.-]+): *(.*)$/.exec(text) ?? [];
  if (name === "") throw new InvalidArgumentError("Expected NAME: VALUE.");
  return { ...before, [name.toLowerCase()]: value };
}

function whole(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}

function read(file: string, option: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UsageError(`${option}: cannot read ${file} (${(error as NodeJS.ErrnoException).code})`);
  }
}
