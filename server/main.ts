/** The life of a broker process: start, say so, wait for a signal, drain. */
import { systemClock } from "../protocol/clock.ts";
import { AccessRefused } from "./access/refused.ts";
import { type Config, ConfigError } from "./config.ts";
import { createLogger, withoutCredentials } from "./logger.ts";
import { type BrokerServer, createBroker, ListenRefused, type Logger } from "./server.ts";
import { StorageRefused } from "./storage/storage.ts";

/** Exit codes of a broker process. */
export const ExitCode = { drained: 0, cut: 1, usage: 64, configuration: 78 } as const;

/** One Ctrl-C may arrive several times: from the terminal, from npm, from a supervisor. Those this close together are one. */
const ONE_SIGNAL_MS = 250;

/**
 * Runs a broker until a signal ends it, and answers the exit code.
 * Prints one line on stdout once it accepts calls: `ready grpc=… http=… storage=… durability=…`.
 * @throws ConfigError what it was told to run on cannot be used; one line
 */
export async function serve(config: Config): Promise<number> {
  const logger = await createLogger(config);
  for (const warning of config.warnings) logger.warn({}, warning);
  surviveOrEnd(logger);
  const signal = firstSignal(() => {
    logger.warn({}, "second signal: exiting at once");
    process.exit(ExitCode.cut);
  });

  const starting = start(config, logger);
  // A storage that does not answer yet must not hold up the end: nothing has been accepted.
  const broker = await Promise.race([starting, signal.then(() => undefined)]);
  if (!broker) return ExitCode.drained;
  // A storage that is away is waited for; whoever asks meanwhile is told UNAVAILABLE.
  void broker.serving.then(() => process.stdout.write(`${readyLine(broker)}\n`));

  // Only where there is something to read again: to a broker in a terminal that is closed, it means the end.
  if (config.tls || config.tokens) process.on("SIGHUP", () => void broker.reload());

  const end = await Promise.race([signal, broker.failed]);
  if (end instanceof Error) {
    logger.error({ err: end }, "the broker cannot go on");
    await broker.close();
    return ExitCode.cut;
  }
  logger.info({ signal: end }, "draining");
  const { cut } = await broker.drain();
  if (cut) logger.warn({}, `drain cut short after ${config.settings.drainTimeoutMs} ms; accepted jobs are kept`);
  else logger.info({}, "drained");
  return cut ? ExitCode.cut : ExitCode.drained;
}

async function start(config: Config, logger: Logger): Promise<BrokerServer> {
  const { storage, grpc, http, tls, tokens, settings } = config;
  try {
    return await createBroker({ storage, grpc, http, tls, tokens, settings, logger });
  } catch (error) {
    if (error instanceof StorageRefused || error instanceof ListenRefused || error instanceof AccessRefused) {
      throw new ConfigError(withoutCredentials(error.message), { cause: error });
    }
    throw error;
  }
}

/**
 * Bugs that reached the top: docs/decisions/0015. A rejection that nobody handled is one answer that got lost. After an
 * exception nobody knows what else was left half done in memory; the storage is safe against a process that is killed.
 */
function surviveOrEnd(logger: Logger): void {
  process.on("unhandledRejection", (reason) => logger.error({ err: errorOf(reason) }, "unhandled rejection"));
  process.on("uncaughtException", (error) => {
    logger.error({ err: errorOf(error) }, "uncaught exception: exiting, accepted jobs are kept");
    process.exit(ExitCode.cut);
  });
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function readyLine({ grpcAddress, httpAddress, storage }: BrokerServer): string {
  return `ready grpc=${grpcAddress} http=${httpAddress ?? "off"} storage=${storage.url} durability=${storage.durability}`;
}

/** Resolves with the first SIGTERM or SIGINT. @param again called for a later one */
function firstSignal(again: () => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let first: number | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      const now = systemClock.monotonic();
      first ??= now;
      if (now - first > ONE_SIGNAL_MS) again();
      resolve(signal);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}
