/** Real processes, really killed: brokers and workers as children, ended by id, all of them at the end. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A child process whose output lines can be awaited. */
export class Actor {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  #waiting: (() => void)[] = [];
  #over = false;

  constructor(args: string[], env: Record<string, string> = {}) {
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("QUEUECALL_")));
    this.child = spawn(process.execPath, args, { cwd: root, env: { ...inherited, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#said(line));
    }
    this.exited = new Promise((resolve) => this.child.on("exit", (code, signal) => resolve({ code, signal })));
    void this.exited.then(() => {
      this.#over = true;
      this.#wake();
    });
  }

  /** The first line that matches; rejects with all output if the process ends before. */
  async line(pattern: RegExp): Promise<RegExpMatchArray> {
    for (let next = 0; ; ) {
      while (next < this.lines.length) {
        const match = (this.lines[next++] as string).match(pattern);
        if (match) return match;
      }
      if (this.#over) throw new Error(`the process ended without ${pattern}:\n${this.lines.join("\n")}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Sends the signal to this process, by its id, and waits for its end. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (!this.#over) this.child.kill(signal);
    await this.exited;
  }

  #said(line: string): void {
    this.lines.push(line);
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** What one test starts, ended together. */
export class Stage implements AsyncDisposable {
  readonly #actors: Actor[] = [];

  async broker(storage: string, options: { grpc?: string; args?: string[] } = {}): Promise<{ actor: Actor; url: string; address: string }> {
    const args = ["cli/main.ts", "serve", "--storage", storage, "--grpc", options.grpc ?? "127.0.0.1:0"];
    const actor = this.#start([...args, "--log-level", "warn", ...(options.args ?? [])]);
    const [, address = ""] = await actor.line(/^ready grpc=(\S+)/);
    return { actor, address, url: `http://${address}` };
  }

  /** A worker process on test/faults/worker-process.ts; each run of its handler is a line `run {json}`. */
  async worker(urls: string[], options: { concurrency?: number; queue?: string; ms?: number } = {}): Promise<Actor> {
    const { concurrency = 16, queue = "work", ms = 2 } = options;
    const actor = this.#start(["test/faults/worker-process.ts", urls.join(","), queue, String(concurrency), String(ms)]);
    await actor.line(/^started/);
    return actor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#actors.map((actor) => actor.kill("SIGKILL")));
  }

  #start(args: string[]): Actor {
    const actor = new Actor(args);
    this.#actors.push(actor);
    return actor;
  }
}

export interface Run {
  jobId: string;
  attempt: number;
  fence: string;
}

/** The handler runs that workers reported, by job. */
export function runsOf(workers: Actor[]): Map<string, Run[]> {
  const runs = new Map<string, Run[]>();
  for (const line of workers.flatMap((worker) => worker.lines)) {
    if (!line.startsWith("run ")) continue;
    const run = JSON.parse(line.slice(4)) as Run;
    runs.set(run.jobId, [...(runs.get(run.jobId) ?? []), run]);
  }
  return runs;
}

/** A loopback port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
