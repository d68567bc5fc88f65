/** The commands about jobs: JSON on stdout, words for people on stderr. */
import { writeFileSync } from "node:fs";
import { type Command, Option } from "commander";
import {
  createQueueClient,
  type EnqueueOptions,
  type Job,
  type JobStatus,
  type Outcome,
  type Queue,
} from "../client/index.ts";
import { type EncodedPayload, isJson } from "../protocol/codec.ts";
import { type ConnectOptions, print, withConnection } from "./command.ts";
import { clientOptions } from "./connection.ts";
import { exitCodes, UsageError } from "./exit.ts";
import { milliseconds, number, type PayloadOptions, pair, rawQueue, readPayload, toJson } from "./input.ts";
import { cancelAll, cancellable, retryAll, retryable, type State } from "./operator.ts";

type RawQueue = Queue<EncodedPayload, EncodedPayload>;

interface JobFlags extends ConnectOptions, PayloadOptions {
  id?: string;
  header?: Record<string, string>;
  label?: Record<string, string>;
  backoffInitial?: number;
  backoffMultiplier?: number;
  backoffMax?: number;
  output?: string;
}

interface SelectionFlags extends ConnectOptions {
  queue?: string;
  state?: State;
}

export function addJobCommands(program: Command): void {
  addEnqueue(program);
  addCall(program);
  addWait(program);
  addWatch(program);
  addGet(program);
  addCancel(program);
  addRetry(program);
}

function addEnqueue(program: Command): void {
  const command = program
    .command("enqueue <queue>")
    .summary("store a job, do not wait")
    .description("Stores a job, or joins the one of this id, and prints it: {disposition, job}.");
  withJob(withConnection(command)).addHelpText(
    "after",
    `
Examples
  queuecall enqueue fetch --data '{"url":"https://example.com"}'
  queuecall enqueue fetch --id fetch-1 --data @request.json --delay 5m --max-attempts 5
  queuecall enqueue images --data-file cat.png --content-type image/png --result-ttl 7d
  id=$(queuecall enqueue fetch --data '{"url":"https://example.com"}' | jq -r .job.jobId)`,
  );
  command.action((name: string, flags: JobFlags) =>
    on(name, flags, async (queue) => {
      const { disposition, job } = await queue.enqueue(flags.id ?? "", readPayload(flags), jobOptions(flags));
      print({ disposition, job: plain(job) });
    }),
  );
}

function addCall(program: Command): void {
  const command = program
    .command("call <queue>")
    .summary("store a job and wait for its result")
    .description("Stores a job, or joins the one of this id, waits, and prints the result.");
  withOutput(withJob(withConnection(command, "how long to wait for the result"))).addHelpText(
    "after",
    `
Examples
  queuecall call fetch --data '{"url":"https://example.com"}' --timeout 1m
  queuecall call fetch --id fetch-1 --data @request.json | jq .status
  jq -n '{n: 7}' | queuecall call fib --data -
  queuecall call thumbs --data-file cat.png --content-type image/png --output thumb.png`,
  );
  command.action((name: string, flags: JobFlags) =>
    on(name, flags, async (queue) =>
      printResult(await queue.enqueueAndWait(flags.id ?? "", readPayload(flags), jobOptions(flags)), flags),
    ),
  );
}

function addWait(program: Command): void {
  const command = program
    .command("wait <queue> <job-id>")
    .summary("wait for the result of a job that exists")
    .description("Waits for the result of a job that exists and prints it.");
  withOutput(withConnection(command, "how long to wait for the result")).addHelpText(
    "after",
    `
Examples
  queuecall wait fetch fetch-1
  queuecall wait fetch fetch-1 --timeout 10m || echo "exit code $?"`,
  );
  command.action((name: string, jobId: string, flags: JobFlags) =>
    on(name, flags, async (queue) => printResult(await queue.wait(jobId, waiting(flags)), flags)),
  );
}

function addWatch(program: Command): void {
  const command = program
    .command("watch <queue> <job-id>")
    .summary("follow a job, one line of JSON for each change")
    .description(
      "Prints the job as it is now and each newer version, one line of JSON each, until it has ended. The exit code says how.",
    );
  withConnection(command, "how long it may take to find a broker").addHelpText(
    "after",
    `
Examples
  queuecall watch fetch fetch-1
  queuecall watch fetch fetch-1 | jq --unbuffered -r '.progress.message // .state'`,
  );
  command.action((name: string, jobId: string, flags: ConnectOptions) =>
    on(name, flags, async (queue) => {
      for await (const job of queue.watch(jobId, waiting(flags))) {
        process.stdout.write(`${JSON.stringify(plain(job))}\n`);
        process.exitCode = job.outcome && ends[job.outcome.state];
      }
    }),
  );
}

function addGet(program: Command): void {
  const command = program.command("get <queue> <job-id>").description("Prints a job as it is now.");
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall get fetch fetch-1
  queuecall get fetch fetch-1 | jq -r .state`,
  );
  command.action((name: string, jobId: string, flags: ConnectOptions) =>
    on(name, flags, async (queue) => print(plain(await queue.get(jobId, waiting(flags))))),
  );
}

function addCancel(program: Command): void {
  const command = program
    .command("cancel [queue] [job-id]")
    .summary("ask for a job, or all of one state, to be cancelled")
    .description(
      "Cancels a job that waits; asks the worker of one that runs to stop; leaves one that has ended. Prints the job. With --queue and --state: all jobs that match, and prints how many.",
    );
  withSelection(withConnection(command), cancellable).addHelpText(
    "after",
    `
Examples
  queuecall cancel fetch fetch-1
  queuecall cancel --queue fetch --state queued`,
  );
  command.action((name: string | undefined, jobId: string | undefined, flags: SelectionFlags) =>
    oneOrAll(
      { name, jobId, flags },
      async (queue, id) => print(plain(await queue.cancel(id, waiting(flags)))),
      async (queue, state) => print({ queue, state, cancelled: await cancelAll(flags, queue, state) }),
    ),
  );
}

function addRetry(program: Command): void {
  const command = program
    .command("retry [queue] [job-id]")
    .summary("run a failed or cancelled job, or all of one state, again")
    .description(
      "Runs a failed or cancelled job again, with its stored payload and fresh attempts. Prints the job. With --queue and --state: all jobs that match, each once, and prints how many.",
    );
  withSelection(withConnection(command), retryable).addHelpText(
    "after",
    `
Examples
  queuecall retry fetch fetch-1 && queuecall wait fetch fetch-1
  queuecall retry --queue fetch --state failed`,
  );
  command.action((name: string | undefined, jobId: string | undefined, flags: SelectionFlags) =>
    oneOrAll(
      { name, jobId, flags },
      async (queue, id) => print(plain(await queue.retry(id, waiting(flags)))),
      async (queue, state) => print({ queue, state, retried: await retryAll(flags, queue, state) }),
    ),
  );
}

function withSelection(command: Command, choices: readonly State[]): Command {
  return command
    .option("--queue <QUEUE>", "instead of a job: all of this queue")
    .addOption(new Option("--state <STATE>", "that are in this state").choices(choices));
}

/** Either `<queue> <job-id>` or `--queue Q --state S`. */
async function oneOrAll(
  { name, jobId, flags }: { name: string | undefined; jobId: string | undefined; flags: SelectionFlags },
  one: (queue: RawQueue, jobId: string) => Promise<void>,
  all: (queue: string, state: State) => Promise<void>,
): Promise<void> {
  const { queue, state } = flags;
  if (name !== undefined && jobId !== undefined && !queue && !state) return on(name, flags, (each) => one(each, jobId));
  if (name === undefined && queue && state) return all(queue, state);
  throw new UsageError("give either <queue> <job-id>, or --queue and --state");
}

function withJob(command: Command): Command {
  return command
    .option("--id <ID>", "deduplication key, 1–256 bytes (default: generated)")
    .option("--data <JSON>", "the payload; @FILE reads a file, - reads stdin")
    .option("--data-file <FILE>", "the payload as bytes; - reads stdin")
    .option(
      "--content-type <TYPE>",
      "media type of the payload (default: application/json, of --data-file application/octet-stream)",
    )
    .option("--message-type <NAME>", "full protobuf message name of the payload")
    .option("--method <METHOD>", "/pkg.Service/Method, for workers that serve several")
    .option("--header <NAME=VALUE>", "reaches the worker; repeatable", pair)
    .option("--label <NAME=VALUE>", "for people and lists; repeatable", pair)
    .option("--priority <N>", "-1000 … 1000, higher first (default: 0)", number)
    .option("--delay <DURATION>", "not to be started before (default: 0)", milliseconds)
    .option("--max-attempts <N>", "total tries (default: 3)", number)
    .option(
      "--backoff-initial <DURATION>",
      "upper bound of the wait before the second try (default: 100ms)",
      milliseconds,
    )
    .option("--backoff-multiplier <N>", "its growth per try (default: 2)", number)
    .option("--backoff-max <DURATION>", "upper bound of any such wait (default: 30s)", milliseconds)
    .option("--run-timeout <DURATION>", "longest time of one try (default: none)", milliseconds)
    .option("--start-timeout <DURATION>", "longest time to the first start (default: none)", milliseconds)
    .option("--result-ttl <DURATION>", "how long the finished job is kept, 1s … 365d (default: 1h)", milliseconds)
    .addOption(
      new Option("--on-duplicate <POLICY>", "what to do when the id exists (default: join)").choices([
        "join",
        "reject",
        "rerun-if-failed",
        "rerun-if-finished",
      ]),
    )
    .option("--reject-payload-mismatch", "refuse to join a job whose payload differs");
}

function withOutput(command: Command): Command {
  return command.option("--output <FILE>", "write the result's bytes to a file instead of printing it");
}

/** The flags that are options of a job under the same name. */
const sameName = [
  "method",
  "priority",
  "delay",
  "maxAttempts",
  "runTimeout",
  "startTimeout",
  "resultTtl",
  "onDuplicate",
  "rejectPayloadMismatch",
  "timeout",
] as const satisfies (keyof EnqueueOptions)[];

function jobOptions(flags: JobFlags & EnqueueOptions): EnqueueOptions {
  const { header: headers, label: labels, backoffInitial: initial, backoffMultiplier, backoffMax: max } = flags;
  return {
    ...Object.fromEntries(sameName.map((name) => [name, flags[name]])),
    headers,
    labels,
    backoff: { initial, multiplier: backoffMultiplier, max },
  };
}

function waiting({ timeout }: ConnectOptions): { timeout: number | undefined } {
  return { timeout };
}

/** Runs one command on one queue, with a client of its own. */
async function on(name: string, flags: ConnectOptions, run: (queue: RawQueue) => Promise<void>): Promise<void> {
  const logger = { warn: (_: object, message: string) => console.error(`queuecall: ${message}`) };
  await using client = createQueueClient({ ...clientOptions(flags), logger });
  await run(client.queue(rawQueue(name)));
}

function printResult(result: EncodedPayload, { output }: { output?: string }): void {
  if (output !== undefined) return writeFileSync(output, result.data);
  // JSON goes out as it came in: digits of large numbers included.
  const json = isJson(result.contentType) && result.data.length > 0;
  if (json && !process.stdout.isTTY) process.stdout.write(`${Buffer.from(result.data).toString().trim()}\n`);
  else print(toJson(result));
}

const ends = { succeeded: exitCodes.ok, failed: exitCodes.jobFailed, cancelled: exitCodes.cancelled } as const;

/** A job without classes and `undefined`s. */
function plain({ outcome, ...job }: JobStatus<EncodedPayload> | Job<EncodedPayload>): object {
  return { ...job, ...(outcome && plainOutcome(outcome)) };
}

function plainOutcome(outcome: Outcome<EncodedPayload>): object {
  if (outcome.state === "succeeded") return { result: toJson(outcome.result) };
  const { details, ...failure } = outcome.error.failure;
  return {
    failure: {
      ...failure,
      ...(details.length > 0 && {
        details: details.map(({ typeUrl, value }) => ({ typeUrl, base64: Buffer.from(value).toString("base64") })),
      }),
    },
  };
}
