/** Exit codes of the job commands, and the one line on stderr that goes with each. */
import {
  BrokerUnavailableError,
  InvalidRequestError,
  JobCancelledError,
  JobExistsError,
  JobFailedError,
  JobNotFoundError,
  OverloadedError,
  QueuecallError,
  TimeoutError,
} from "../client/index.ts";

/** What each code means, for --help. `queuecall serve` has its own: 0 drained, 1 drain cut short, 64, 78. */
export const exitCodes = {
  ok: 0,
  error: 1,
  jobFailed: 2,
  waitTimeout: 3,
  notFound: 4,
  exists: 5,
  cancelled: 6,
  usage: 64,
  refused: 65,
  unavailable: 69,
  overloaded: 75,
  notAllowed: 77,
  configuration: 78,
} as const;

export const exitCodesHelp = `
Exit codes
   0  done                                5  the id exists (--on-duplicate reject)
   1  any other error                     6  the job was cancelled
   2  the job failed                     64  usage
   3  the wait is over, the job goes on  65  the request can never be accepted as it is
   4  no such job                        69  no broker could be reached
  75  the broker is at a limit: later    77  not allowed
serve: 0 drained, 1 drain cut short, 64 usage, 78 configuration
fsck: 0 sound, 1 findings, 64 usage, 69 no answer, 78 configuration`;

/** The command was called in a way that cannot be. Exit code 64. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What was given cannot be sent. Exit code 65. */
export class InputError extends Error {
  override readonly name = "InputError";
}

/** What the command has to ask does not answer. Exit code 69. */
export class AwayError extends Error {
  override readonly name = "AwayError";
}

/** How a command that threw ends: its exit code and what to say. */
export function endOf(error: unknown): { code: number; message: string } {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof TimeoutError)
    return { code: exitCodes.waitTimeout, message: `${message}; ${stillThere(error)}` };
  if (error instanceof JobFailedError) return { code: exitCodes.jobFailed, message: failureLine(error) };
  return { code: codeOf(error), message };
}

function codeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (error instanceof InputError || error instanceof InvalidRequestError) return exitCodes.refused;
  if (error instanceof JobCancelledError) return exitCodes.cancelled;
  if (error instanceof JobNotFoundError) return exitCodes.notFound;
  if (error instanceof JobExistsError) return exitCodes.exists;
  if (error instanceof BrokerUnavailableError || error instanceof AwayError) return exitCodes.unavailable;
  if (error instanceof OverloadedError) return exitCodes.overloaded;
  if (error instanceof QueuecallError && /^(UNAUTHENTICATED|PERMISSION_DENIED)$/.test(error.code)) {
    return exitCodes.notAllowed;
  }
  return exitCodes.error;
}

function stillThere({ queue, jobId }: TimeoutError): string {
  return `it goes on: queuecall wait ${queue} ${shellWord(jobId)}`;
}

function failureLine({ jobId, failure }: JobFailedError): string {
  const type = failure.type ? `${failure.type}: ` : "";
  const { length } = failure.attempts;
  const tries = length > 1 ? ` after ${failure.attempts[length - 1]?.number} attempts` : "";
  return `Job ${jobId} failed${tries}: ${type}${failure.message} (${failure.kind}, ${failure.code})`;
}

/** As a shell takes it for one word. */
function shellWord(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
