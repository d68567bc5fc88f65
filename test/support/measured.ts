/** Broker and peers in processes of their own, asked over IPC. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { BrokerSettings } from "../../server/settings.ts";
import type { Held } from "./measured-broker.ts";

function program(name: string, args: string[], execArgv: string[] = []): ChildProcess {
  const file = fileURLToPath(new URL(name, import.meta.url));
  const env = { ...process.env, NODE_NO_WARNINGS: "1" };
  return fork(file, args, { execArgv, env, stdio: ["ignore", "inherit", "inherit", "ipc"] });
}

async function message<T>(child: ChildProcess): Promise<T> {
  const over = new AbortController();
  const { signal } = over;
  const ended = once(child, "exit", { signal }).then(([code]) => {
    throw new Error(`the process exited with ${code}`);
  });
  ended.catch(() => {});
  try {
    const [answer] = (await Promise.race([once(child, "message", { signal }), ended])) as [T];
    return answer;
  } finally {
    over.abort();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL"); // Also ends a stopped one.
  await gone;
}

interface Started {
  address: string;
  httpAddress: string;
  startMs: number;
}

export class MeasuredBroker implements AsyncDisposable {
  readonly address: string;
  readonly httpAddress: string;
  readonly startMs: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, { address, httpAddress, startMs }: Started) {
    this.#child = child;
    this.address = address;
    this.httpAddress = httpAddress;
    this.startMs = startMs;
  }

  static async start(storage: string, settings: Partial<BrokerSettings> = {}): Promise<MeasuredBroker> {
    const child = program("measured-broker.ts", [storage, JSON.stringify(settings)], ["--expose-gc"]);
    return new MeasuredBroker(child, await message(child));
  }

  /** After a collection. */
  held(): Promise<Held> {
    return this.#ask("held");
  }

  async #ask(what: "held" | "counts"): Promise<Held> {
    const answer = message<Held>(this.#child);
    this.#child.send(what);
    return await answer;
  }

  /** Asks until it holds as many; what it holds then. */
  async until(what: (held: Held) => boolean, withinMs = 60_000): Promise<Held> {
    for (const deadline = performance.now() + withinMs; ; ) {
      const counts = await this.#ask("counts");
      if (what(counts)) return await this.held();
      if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${JSON.stringify(counts)}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}

/** What peers.ts opens. */
export interface PeersPlan {
  address: string;
  /** Streams are spread over so many. */
  connections: number;
  workers?: number;
  watchers?: number;
  /** Multiplexed streams, each with so many GetJob calls of the job. */
  exchanges?: number;
  getsEach?: number;
  /** Unary EnqueueAndWait calls. */
  waits?: number;
  /** Multiplexed EnqueueAndWait calls, 10,000 on a stream. */
  multiplexedWaits?: number;
  /** Of worker streams. */
  window?: number;
  queue: string;
  jobId: string;
  /** Takes nothing of what the broker sends. */
  deaf?: boolean;
}

/** Callers and workers in bulk. */
export class Peers implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves once all streams are open as far as the peers' side goes. */
  static async open(plan: PeersPlan): Promise<Peers> {
    const child = program("peers.ts", [JSON.stringify(plan)]);
    await message(child);
    return new Peers(child);
  }

  /** Its sockets are read no more. */
  stop(): void {
    this.#child.kill("SIGSTOP");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}
