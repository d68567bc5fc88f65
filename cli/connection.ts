/** How commands reach a broker: flags of every one of them. */
import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { UsageError } from "./exit.ts";

export interface CredentialFlags {
  token?: string;
  tokenFile?: string;
  tlsCa?: string;
  tlsCert?: string;
  tlsKey?: string;
}

export interface ConnectionFlags extends CredentialFlags {
  url: string;
}

export function withBroker(command: Command): Command {
  const url = new Option("--url <URL>", "broker, or several of one storage joined by commas; https:// for TLS");
  return withCredentials(command.addOption(url.env("QUEUECALL_URL").default("http://127.0.0.1:7455")));
}

export function withCredentials(command: Command): Command {
  return command
    .addOption(
      new Option("--token <TOKEN>", "sent as a bearer token; other users see it in the list of processes").env(
        "QUEUECALL_TOKEN",
      ),
    )
    .addOption(new Option("--token-file <FILE>", "file that holds the token").env("QUEUECALL_TOKEN_FILE"))
    .option("--tls-ca <FILE>", "authorities to trust instead of the system's, in PEM")
    .option("--tls-cert <FILE>", "own certificate chain in PEM, where the broker asks for one")
    .option("--tls-key <FILE>", "private key of --tls-cert in PEM");
}

export function clientOptions(flags: ConnectionFlags): { url: string[] } & Credentials {
  return { url: flags.url.split(",").map((each) => each.trim()), ...credentialsOf(flags) };
}

interface Credentials {
  token: string | undefined;
  /** PEM. */
  tls?: { ca?: Buffer; cert?: Buffer; key?: Buffer };
}

export function credentialsOf(flags: CredentialFlags): Credentials {
  const { tlsCa, tlsCert, tlsKey } = flags;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new UsageError("give both --tls-cert and --tls-key");
  const tls = {
    ...(tlsCa !== undefined && { ca: read(tlsCa, "--tls-ca") }),
    ...(tlsCert !== undefined && { cert: read(tlsCert, "--tls-cert") }),
    ...(tlsKey !== undefined && { key: read(tlsKey, "--tls-key") }),
  };
  return { token: tokenOf(flags), ...(Object.keys(tls).length > 0 && { tls }) };
}

function tokenOf({ token, tokenFile }: CredentialFlags): string | undefined {
  if (token !== undefined && tokenFile !== undefined)
    throw new UsageError("give one of --token (QUEUECALL_TOKEN) and --token-file (QUEUECALL_TOKEN_FILE), not both");
  if (tokenFile === undefined) return token;
  const text = read(tokenFile, "--token-file").toString().trim();
  if (!/^\S+$/.test(text)) throw new UsageError(`--token-file: ${tokenFile} should hold one token and nothing else`);
  return text;
}

function read(file: string, option: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UsageError(`${option}: cannot read ${file} (${(error as NodeJS.ErrnoException).code})`);
  }
}
