/** Child processes: started, listened to, and ended by their own id. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

export interface StartOptions {
  /** Default: this Node. */
  program?: string;
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** What it reads on stdin. Default: nothing. */
  input?: string | Uint8Array;
  /** It starts others: they are a group, and end with it. */
  group?: boolean;
}

/**
 * What Node prints last when an exception or a rejection that nobody handled ends a process; what a broker logs that
 * survives one, or answers INTERNAL.
 */
const BROKEN = /^Node\.js v\d|unhandled rejection|uncaught exception|internal error/m;

const broken = new Set<Child>();

/** What processes said that broke since this was last asked. After each test there must be none: test/support/setup.ts. */
export function breakages(): string[] {
  const said = [...broken].map(({ stderr }) => stderr);
  broken.clear();
  return said;
}

/** How a process ended, and all it said. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A process, of this Node unless another program is named, without the QUEUECALL_ variables of whoever runs the tests. */
export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  stdout = "";
  stderr = "";
  #over = false;
  readonly #group: boolean;
  readonly #listeners = new Set<() => void>();

  constructor(
    args: string[],
    { program = process.execPath, env = {}, cwd = root, input = "", group = false }: StartOptions = {},
  ) {
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith("QUEUECALL_")),
    );
    // Tests run side by side, and only one broker can have the default port.
    const surroundings = { ...inherited, QUEUECALL_HTTP: "off", ...env };
    this.process = spawn(program, args, { cwd, env: surroundings, detached: group });
    this.#group = group;
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => this.#note(() => (this.stdout += text)));
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#note(() => (this.stderr += text));
      if (BROKEN.test(this.stderr)) broken.add(this);
    });
    // It may end without having read.
    this.process.stdin?.on("error", () => {}).end(input);
    this.ended = new Promise((resolve) =>
      this.process.once("close", (code, signal) => {
        this.#note(() => (this.#over = true));
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
      }),
    );
  }

  /** The first line of stdout or stderr that matches. Rejects, with all that was said, if the process ends without it. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      // The last piece may be half a line.
      const lines = [this.stdout, this.stderr].flatMap((text) => text.split("\n").slice(0, -1));
      for (const line of lines) {
        const match = pattern.exec(line);
        if (match) return match;
      }
      if (this.#over) throw new Error(`ended without ${pattern}:\n${this.stdout}${this.stderr}`);
      await new Promise<void>((resolve) => this.#listeners.add(resolve));
    }
  }

  /** Sends the signal, and answers how the process ended. */
  async kill(signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> {
    if (this.#group) killGroup(this.process.pid!, signal);
    else this.process.kill(signal);
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGKILL");
  }

  #note(change: () => void): void {
    change();
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}

function killGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (error) {
    // All of it is gone.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Runs a process to its end. */
export async function complete(args: string[], options?: StartOptions): Promise<Ended> {
  return await new Child(args, options).ended;
}
