/** A process that is killed, stopped and started again under the same name. */
import type { Child } from "../support/processes.ts";

/** What nobody should find in what a process says: each is a bug, of the product or of the driver. */
const alarming = /unexpected: |unhandled|uncaught|internal error|Error: |"level":[56]0/i;
/** The rest of a line: errors have no end. */
const MAX_LINE = 600;

export class Part {
  readonly name: string;
  readonly #start: () => Promise<Child>;
  readonly #alarms: string[] = [];
  #child: Child | undefined;
  /** The longest that it took to end after SIGTERM. */
  slowestEndMs = 0;

  /** @param start resolves once it is up */
  constructor(name: string, start: () => Promise<Child>) {
    this.name = name;
    this.#start = start;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  async start(): Promise<void> {
    this.#child = await this.#start();
  }

  /** SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.process.kill(signal);
  }

  /** Sends the signal and waits for the end. Answers the exit code; null: by a signal. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const child = this.#child;
    if (!child) return null;
    this.#child = undefined;
    const began = performance.now();
    const { code, stdout, stderr } = await child.kill(signal);
    if (signal === "SIGTERM") this.slowestEndMs = Math.max(this.slowestEndMs, performance.now() - began);
    for (const line of `${stdout}\n${stderr}`.split("\n")) {
      if (alarming.test(line)) this.#alarms.push(`${this.name}: ${line.slice(0, MAX_LINE)}`);
    }
    return code;
  }

  /** What it said in all its lives, that it should not have; known once it has ended. */
  get alarms(): readonly string[] {
    return this.#alarms;
  }
}
