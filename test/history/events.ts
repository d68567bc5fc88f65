/**
 * What callers, workers, brokers and the driver of faults saw: plain data, one
 * JSON object a line, so that every process of a run can write its own file and
 * any checker can read them all. check.ts judges them.
 *
 * Two conventions make a history readable from outside:
 * - The payload of an enqueue names its call: `started.payload` is the `call` whose enqueue brought it.
 * - What a handler ends an attempt with is a text that no other attempt uses: `finished.text`, found again in outcomes.
 */

export type Event =
  | Called
  | Saw
  | Returned
  | Started
  | Stopped
  | Finished
  | Settled
  | StreamEnded
  | Over
  | Fault
  | Final;

interface Base {
  /** When. Milliseconds, of one clock for all (to within Limits.toleranceMs). */
  at: number;
  /** Who saw it: the name of a caller, a worker, a broker. */
  by: string;
}

interface OfJob {
  queue: string;
  job: string;
}

export type Operation = "enqueue" | "enqueue-and-wait" | "wait" | "get" | "watch" | "cancel" | "retry" | "update-ttl";
export type State = "scheduled" | "queued" | "running" | "succeeded" | "failed" | "cancelled";

/** A caller began a call. */
export interface Called extends Base, OfJob {
  kind: "called";
  /** Unique in the history. */
  call: string;
  operation: Operation;
  /** Of enqueues. */
  onDuplicate?: "join" | "reject" | "rerun-if-failed" | "rerun-if-finished";
  resultTtlMs?: number;
  runTimeoutMs?: number;
  maxAttempts?: number;
  /** The call has to return within this time, and no wait may be given up before. */
  waitMs?: number;
  /** It asks for what is there: it may return at once. */
  poll?: true;
  /** The end of the wait is the broker's work alone, without a library that has a timer of its own: late under faults. */
  raw?: true;
}

/** A job as somebody was shown it. */
export interface Sight {
  state: State;
  version?: number;
  outcome?: Outcome;
}

/** How a job ended. */
export interface Outcome {
  state: "succeeded" | "failed" | "cancelled";
  /** Of failures: handler, run-timeout, start-timeout, crash-loop, result-too-large, cancelled. */
  failure?: string;
  /** What the handler ended it with, where a handler did. */
  text?: string;
}

/** A watch was shown a version. */
export interface Saw extends Base {
  kind: "saw";
  call: string;
  job: Sight;
}

/** A call ended. */
export interface Returned extends Base {
  kind: "returned";
  call: string;
  /**
   * - `ok`: answered; a wait that ends with a job's failure is ok, too
   * - `timeout`: the wait is over; the job goes on
   * - `refused`: an answer that says that nothing was stored or changed (exists, wrong state, invalid, full)
   * - `not-found`: no such job, or its outcome is gone
   * - `unknown`: it may have been done or not
   * - `gone`: the caller itself gave up, closed or died
   */
  end: "ok" | "timeout" | "refused" | "not-found" | "unknown" | "gone";
  disposition?: "created" | "joined" | "cached";
  job?: Sight;
  /** For people. */
  reason?: string;
}

/** A worker called a handler. `by` is the worker. */
export interface Started extends Base, OfJob {
  kind: "started";
  /** The call that brought the payload. */
  payload: string;
  attempt: number;
  fence: number;
}

/** A handler was told to stop. */
export interface Stopped extends Base, OfJob {
  kind: "stopped";
  fence: number;
  why: "cancel-requested" | "lease-lost" | "run-timeout" | "worker-stopping";
}

/** A handler ended. */
export interface Finished extends Base, OfJob {
  kind: "finished";
  fence: number;
  how: "completed" | "failed" | "failed-for-good" | "released";
  /** Of "completed" and the failures. */
  text?: string;
}

/** A broker answered a settlement. Optional: seen only by whoever sees the worker's frames. */
export interface Settled extends Base, OfJob {
  kind: "settled";
  fence: number;
  how: "completed" | "failed" | "released" | "cancelled";
  result: "ok" | "duplicate" | "lease-lost" | "rejected" | "retry";
}

/** A worker's stream ended; what it held may be given to others. Optional. */
export interface StreamEnded extends Base {
  kind: "stream-ended";
}

/** The storage let go of a lease. Optional: where brokers tell it, every second claim must follow one. */
export interface Over extends Base, OfJob {
  kind: "over";
  fence: number;
  why: "completed" | "failed" | "released" | "cancelled" | "undelivered" | "expired";
}

/** Something was broken on purpose. Without a phase: at that moment. */
export interface Fault extends Base {
  kind: "fault";
  /** kill, stop, drain, cut, half-open, lost-reply, rollback, … Only a killed caller need not return, only a stopped one may be late; "rollback" forgives what the storage confirmed while it lasts. */
  fault: string;
  on: "worker" | "broker" | "caller" | "network" | "storage";
  /** Which one; for the network: whose connections. Absent: all. */
  who?: string;
  phase?: "begin" | "end";
  /** It must change nothing that anybody sees, and explains nothing: a drain, a lost hint, a script that runs twice. */
  harmless?: true;
}

/** After all is healed, drained and returned: what the storage keeps, job by job; and one without a job as the last word. */
export interface Final extends Base {
  kind: "final";
  queue?: string;
  job?: string;
  sight?: Sight;
}

/** One JSON object a line. */
export function format(events: readonly Event[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join("");
}

/**
 * Reads what `format` wrote, and any number of such texts behind each other. A last line that was cut is dropped: its writer died.
 * @throws SyntaxError where another line is no JSON
 */
export function parse(text: string): Event[] {
  const lines = text.split("\n");
  const cut = lines.pop();
  if (cut === undefined) return [];
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Event);
}

/** For people: `12.345 w1  started q/a attempt 1 …`. */
export function describe(event: Event, start = 0): string {
  const { at, by, kind, ...rest } = event;
  const seconds = ((at - start) / 1000).toFixed(3).padStart(9);
  return `${seconds}  ${by.padEnd(8)} ${kind.padEnd(12)} ${words(rest)}`;
}

function words(value: object): string {
  return Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .map(([name, each]) => `${name}=${typeof each === "object" ? `{${words(each as object)}}` : each}`)
    .join(" ");
}
