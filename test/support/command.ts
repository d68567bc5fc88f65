/**
 * A command in this process, as cli/main.ts runs it in one of its own: for tests to which the process is nothing, since
 * starting one costs as much as a hundred commands. One at a time; none that reads stdin or runs until a signal.
 */
import { run } from "../../cli/run.ts";

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** @param env beside the process' own, less what configures a broker or names one */
export async function command(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const ran: Ran = { code: 0, stdout: "", stderr: "" };
  const before = { env: process.env, write: process.stdout.write, error: console.error, code: process.exitCode };
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("QUEUECALL_"));
  process.env = { ...Object.fromEntries(own), ...env };
  process.stdout.write = ((text: string | Uint8Array) => {
    ran.stdout += Buffer.from(text as string).toString();
    return true;
  }) as typeof process.stdout.write;
  console.error = (...texts: unknown[]) => {
    ran.stderr += `${texts.join(" ")}\n`;
  };
  process.exitCode = 0;
  try {
    await run(args);
    ran.code = Number(process.exitCode);
    return ran;
  } finally {
    Object.assign(process, { env: before.env, exitCode: before.code });
    process.stdout.write = before.write;
    console.error = before.error;
  }
}
