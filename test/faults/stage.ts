/** Real processes, really killed: brokers and workers as children, ended by id, all of them at the end. */
import { createServer } from "node:net";
import { Child } from "../support/processes.ts";

/** What one test starts, ended together. */
export class Stage implements AsyncDisposable {
  readonly #children: Child[] = [];

  async broker(
    storage: string,
    options: { grpc?: string; args?: string[]; env?: Record<string, string> } = {},
  ): Promise<{ child: Child; url: string; address: string }> {
    const args = ["cli/main.ts", "serve", "--storage", storage, "--grpc", options.grpc ?? "127.0.0.1:0"];
    const child = this.#start([...args, "--log-level", "warn", ...(options.args ?? [])], options.env);
    const [, address = ""] = await child.line(/^ready grpc=(\S+)/);
    return { child, address, url: `http://${address}` };
  }

  /** A worker process on test/faults/worker-process.ts; each run of its handler is a line `run {json}`. */
  async worker(urls: string[], options: { concurrency?: number; queue?: string; ms?: number } = {}): Promise<Child> {
    const { concurrency = 16, queue = "work", ms = 2 } = options;
    const args = [urls.join(","), queue, String(concurrency), String(ms)];
    return await this.started(["test/faults/worker-process.ts", ...args], /^started/);
  }

  /** Any process, once it has said that line. */
  async started(args: string[], line: RegExp): Promise<Child> {
    const child = this.#start(args);
    await child.line(line);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill("SIGKILL")));
  }

  #start(args: string[], env?: Record<string, string>): Child {
    const child = new Child(args, { ...(env && { env }) });
    this.#children.push(child);
    return child;
  }
}

export interface Run {
  jobId: string;
  attempt: number;
  fence: string;
}

/** The handler runs that workers reported, by job. */
export function runsOf(workers: Child[]): Map<string, Run[]> {
  const runs = new Map<string, Run[]>();
  for (const line of workers.flatMap((worker) => worker.stdout.split("\n"))) {
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
