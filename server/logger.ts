/** The broker's log: lines on stderr, so that stdout keeps to the ready line. Payloads and header values are never given to it. */
import { pino } from "pino";
import type { Config } from "./config.ts";
import type { Logger } from "./server.ts";

/** Names whose values belong in no log, should somebody pass them after all. */
const secrets = ["payload", "headers", "data", "token", "authorization", "password", "leaseToken"];
/** Without the other properties of an error: those of ioredis carry the arguments of a command, and with them payloads. */
const err = (error: Error) => {
  const { type, message, stack, code } = pino.stdSerializers.err(error);
  return { type, message, stack, code };
};
const redact = { paths: secrets.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" };

/** @param stream where lines go; for tests */
export async function createLogger(
  { logLevel, logFormat }: Pick<Config, "logLevel" | "logFormat">,
  stream: NodeJS.WriteStream | NodeJS.WritableStream = process.stderr,
): Promise<Logger> {
  const terminal = "isTTY" in stream && stream.isTTY;
  const format = logFormat ?? (terminal ? "pretty" : "json");
  const write = (line: string) => void stream.write(withoutCredentials(line));
  const options = {
    level: logLevel,
    redact,
    serializers: { err },
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  if (format === "json") {
    const json: Logger = pino(options, { write });
    return json;
  }
  const { prettyFactory } = await import("pino-pretty");
  const pretty = prettyFactory({ colorize: terminal, translateTime: "SYS:HH:MM:ss.l" });
  const forPeople: Logger = pino(options, { write: (line: string) => write(pretty(line) ?? "") });
  return forPeople;
}

/** Takes user and password out of every URL in a text, wherever an error's message may have put one. */
export function withoutCredentials(text: string): string {
  return text.replaceAll(/(\w+:\/\/)[^\s/@"']*@/g, "$1***@");
}
