/** The raw client of AdminService for the commands of operators: errors as the other commands have them, answers as plain JSON. */
import {
  createQueueClient,
  fromConnectError,
  type QueueClient,
  WireFailureKind,
  WireJobState,
} from "../client/index.ts";
import type { ConnectOptions } from "./command.ts";
import { clientOptions } from "./connection.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
/** Jobs of one bulk step. */
const STEP = 1_000;

export const states = ["scheduled", "queued", "running", "succeeded", "failed", "cancelled"] as const;
export type State = (typeof states)[number];
export const retryable = ["failed", "cancelled"] as const;
export const cancellable = ["scheduled", "queued", "running"] as const;

type Admin = QueueClient["admin"];
/** Each call may take this long. */
interface Limit {
  timeoutMs: number;
}

/** Runs one command with a client of its own. */
export async function asOperator<T>(
  flags: ConnectOptions,
  run: (admin: Admin, limit: Limit) => Promise<T>,
): Promise<T> {
  await using client = createQueueClient(clientOptions(flags));
  try {
    return await run(client.admin, { timeoutMs: flags.timeout ?? DEFAULT_TIMEOUT_MS });
  } catch (error) {
    throw fromConnectError(error);
  }
}

export const wireState = (state: State): WireJobState =>
  WireJobState[state.toUpperCase() as keyof typeof WireJobState] as WireJobState;

/** All jobs that match, page by page. Those that come to match meanwhile are not among them. */
export async function retryAll(flags: ConnectOptions, queue: string, state: State): Promise<number> {
  return asOperator(flags, (admin, limit) =>
    sum(async (pageToken) => {
      const request = { queue, state: wireState(state), pageSize: STEP, pageToken };
      const { retried, nextPageToken } = await admin.retryJobs(request, limit);
      return { count: retried, nextPageToken };
    }),
  );
}

/** The same. */
export async function cancelAll(flags: ConnectOptions, queue: string, state: State): Promise<number> {
  return asOperator(flags, (admin, limit) =>
    sum(async (pageToken) => {
      const request = { queue, state: wireState(state), pageSize: STEP, pageToken };
      const { cancelled, nextPageToken } = await admin.cancelJobs(request, limit);
      return { count: cancelled, nextPageToken };
    }),
  );
}

async function sum(step: (pageToken: string) => Promise<{ count: number; nextPageToken: string }>): Promise<number> {
  let total = 0;
  let pageToken = "";
  do {
    const { count, nextPageToken } = await step(pageToken);
    total += count;
    pageToken = nextPageToken;
  } while (pageToken !== "");
  return total;
}

/** A message as people and scripts read it: times as ISO text, durations in milliseconds under a name that says so, enums as words. */
export function plain(message: unknown): unknown {
  if (typeof message === "bigint") return Number(message);
  if (Array.isArray(message)) return message.map(plain);
  if (typeof message !== "object" || message === null) return message;
  return Object.fromEntries(Object.entries(message).flatMap(([name, value]) => field(name, value)));
}

function field(name: string, value: unknown): [string, unknown][] {
  if (name === "$typeName" || name === "$unknown" || value === undefined) return [];
  if (name === "state") return [[name, word(WireJobState[value as WireJobState])]];
  if (name === "failureKind") return value === 0 ? [] : [[name, word(WireFailureKind[value as WireFailureKind])]];
  switch ((value as { $typeName?: string } | null)?.$typeName) {
    case "google.protobuf.Timestamp":
      return [[name, new Date(millisecondsOf(value)).toISOString()]];
    case "google.protobuf.Duration":
      return [[`${name}Ms`, millisecondsOf(value)]];
    default:
      return [[name, plain(value)]];
  }
}

function millisecondsOf(value: unknown): number {
  const { seconds, nanos } = value as { seconds: bigint; nanos: number };
  return Number(seconds) * 1000 + Math.round(nanos / 1e6);
}

/** A newer broker may send what this library has no word for. */
function word(name: string | undefined): string {
  return (name ?? "unknown").toLowerCase().replaceAll("_", "-");
}
