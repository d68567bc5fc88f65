/** The commands of operators: what is there, a queue on hold, a queue cleared. JSON on stdout. */
import { type Command, Option } from "commander";
import { type ConnectOptions, print, withConnection } from "./command.ts";
import { UsageError } from "./exit.ts";
import { number } from "./input.ts";
import { asOperator, plain, type State, states, wireState } from "./operator.ts";

interface WorkersFlags extends ConnectOptions {
  here?: true;
}

interface ListFlags extends ConnectOptions {
  queue: string;
  state: State;
  limit?: number;
  pageToken?: string;
}

export function addAdminCommands(program: Command): void {
  addInfo(program);
  addQueues(program);
  addList(program);
  addWorkers(program);
  addServices(program);
  addForget(program);
  addPause(program);
  addResume(program);
  addPurge(program);
}

function addInfo(program: Command): void {
  const command = program
    .command("info")
    .summary("what a broker is and stores in, and its limits")
    .description("Prints what a broker is, what it stores in and what that survives, and its limits.");
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall info
  queuecall info | jq -r .storage.durability`,
  );
  command.action((flags: ConnectOptions) =>
    asOperator(flags, async (admin, limit) => print(plain(await admin.getServerInfo({}, limit)))),
  );
}

function addQueues(program: Command): void {
  const command = program
    .command("queues")
    .summary("list the queues and how many jobs are in each")
    .description(
      "Lists the queues by name: jobs in each state, how long the first in line waits, paused or not, workers at all brokers and at the one that is asked.",
    );
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall queues
  queuecall queues | jq -r '.[] | select(.queued > 0 and .workers == 0) | .queue'`,
  );
  command.action((flags: ConnectOptions) =>
    asOperator(flags, async (admin, limit) => {
      const queues = new Map<string, unknown>();
      let pageToken = "";
      do {
        const page = await admin.listQueues({ pageToken }, limit);
        for (const info of page.queues) queues.set(info.queue, plain(info));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      print([...queues.keys()].sort().map((name) => queues.get(name)));
    }),
  );
}

function addList(program: Command): void {
  const command = program
    .command("list")
    .summary("list jobs of a queue, newest first")
    .description("Lists a page of the jobs of a queue in one state, newest first: {jobs, nextPageToken}.")
    .requiredOption("--queue <QUEUE>", "the queue")
    .addOption(new Option("--state <STATE>", "where the jobs are in their life").choices(states).makeOptionMandatory())
    .option("--limit <N>", "jobs at most, 1 … 1000 (default: 50)", number)
    .option("--page-token <TOKEN>", "nextPageToken of the page before; empty at the end");
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall list --queue fetch --state failed
  queuecall list --queue fetch --state failed --limit 1000 | jq -r '.jobs[].jobId'
  queuecall list --queue fetch --state failed --page-token "$next"`,
  );
  command.action(({ queue, state, limit: pageSize = 0, pageToken = "", ...flags }: ListFlags) =>
    asOperator(flags, async (admin, limit) => {
      const page = await admin.listJobs({ queue, state: wireState(state), pageSize, pageToken }, limit);
      print(plain(page));
    }),
  );
}

function addWorkers(program: Command): void {
  const command = program
    .command("workers")
    .summary("list the workers of all brokers")
    .description(
      "Lists the worker streams of all brokers of a storage; those of other brokers than the one that is asked as of a few seconds ago.",
    )
    .option("--here", "only those of the broker that is asked, also while its storage is away");
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall workers
  queuecall workers --here
  queuecall workers | jq -r '.[] | "\\(.workerId) \\(.outstanding)/\\(.window)"'`,
  );
  command.action(({ here, ...flags }: WorkersFlags) =>
    asOperator(flags, async (admin, limit) => {
      const { brokers, workers } = await admin.listWorkers({ hereOnly: here === true }, limit);
      const known = brokers.reduce((sum, broker) => sum + broker.workers, 0);
      if (known > workers.length) console.error(`${known - workers.length} more are not listed`);
      print(workers.map(plain));
    }),
  );
}

function addServices(program: Command): void {
  const command = program
    .command("services")
    .summary("list the gRPC services that workers have announced")
    .description(
      "Lists the gRPC services that can be called through the brokers, whether or not a worker serves them now: their methods, and whether they were described, for JSON and reflection.",
    );
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall services
  queuecall services | jq -r '.[].service'`,
  );
  command.action((flags: ConnectOptions) =>
    asOperator(flags, async (admin, limit) => {
      const services: unknown[] = [];
      let pageToken = "";
      do {
        const page = await admin.listServices({ pageToken }, limit);
        services.push(...page.services.map(plain));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      print(services);
    }),
  );
}

function addForget(program: Command): void {
  const command = program
    .command("forget <service>")
    .summary("take no more calls of a gRPC service")
    .description(
      "Forgets a gRPC service that workers announced: calls of it are refused, at other brokers within half a minute. Its jobs stay. A worker that announces it later brings it back: stop its workers first.",
    );
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall forget acme.v1.Thumbnailer`,
  );
  command.action((service: string, flags: ConnectOptions) =>
    asOperator(flags, async (admin, limit) => {
      const { known } = await admin.forgetService({ service }, limit);
      print({ service, known });
    }),
  );
}

function addPause(program: Command): void {
  const command = program
    .command("pause <queue>")
    .summary("hand out no jobs of a queue")
    .description(
      "Holds a queue on every broker: it accepts jobs and hands out none until it is resumed, also after restarts. What runs goes on.",
    );
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall pause fetch`,
  );
  command.action((queue: string, flags: ConnectOptions) =>
    asOperator(flags, async (admin, limit) => {
      await admin.pauseQueue({ queue }, limit);
      print({ queue, paused: true });
    }),
  );
}

function addResume(program: Command): void {
  const command = program
    .command("resume <queue>")
    .summary("hand out jobs of a paused queue again")
    .description("Hands out the jobs of a paused queue again, on every broker.");
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall resume fetch`,
  );
  command.action((queue: string, flags: ConnectOptions) =>
    asOperator(flags, async (admin, limit) => {
      await admin.resumeQueue({ queue }, limit);
      print({ queue, paused: false });
    }),
  );
}

function addPurge(program: Command): void {
  const command = program
    .command("purge <queue>")
    .summary("cancel all jobs of a queue that wait")
    .description(
      "Cancels all queued and scheduled jobs of a queue; running ones go on. Who waits for them is told. `retry --state cancelled` brings them back while they are kept.",
    )
    .option("--yes", "do it");
  withConnection(command).addHelpText(
    "after",
    `
Examples
  queuecall purge fetch --yes
  queuecall pause fetch && queuecall purge fetch --yes`,
  );
  command.action((queue: string, { yes, ...flags }: ConnectOptions & { yes?: true }) => {
    if (!yes) throw new UsageError(`purge cancels every job of ${queue} that waits: repeat it with --yes`);
    return asOperator(flags, async (admin, limit) => {
      let cancelled = 0;
      for (let more = true; more; ) {
        const step = await admin.purgeQueue({ queue }, limit);
        cancelled += step.cancelled;
        more = step.more;
      }
      print({ queue, cancelled });
    });
  });
}
