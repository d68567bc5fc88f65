/** Workers and callers in other languages beside a broker in this process, and a line between them that can be cut. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Child, root, type StartOptions } from "../support/processes.ts";

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** How a program of the tests is run, by language. What they are made of: scripts/interop. */
const runs: Record<Language, (name: string) => { program: string; args: string[] }> = {
  Python: (name) => ({ program: process.env.PYTHON ?? "python3", args: [script(`${name}.py`)] }),
  Go: (name) => ({ program: join(process.env.GO_PROGRAMS ?? "", name), args: [] }),
};

export type Language = "Python" | "Go";
const known = Object.keys(runs) as Language[];
const why = (language: Language) => process.env[`INTEROP_WITHOUT_${language.toUpperCase()}`];

/** Those whose programs are there. */
export const languages = known.filter((language) => !why(language));

/** The others, and why. */
export const absent = known.filter(why).map((language) => [language, why(language)] as const);

/** A program of a language: told, steps, calls, or conformance. */
export function start(language: Language, name: string, args: string[], options: StartOptions = {}): Child {
  const { program, args: own } = runs[language](name);
  return new Child([...own, ...args], { ...options, program });
}

/** A receipt leaves when the handler starts, and needs this long at most. Without it the job would lawfully be run again. */
export const RECEIPT_MS = 100;

/** What one step of `steps` ended with. */
export type Answer =
  | { ok: unknown }
  /** An error of gRPC: the status code's name, and the reason. */
  | { refused: string; reason: string }
  /** One that the example raised: its class. */
  | { error: string; message: string };

/** What serves or calls acme.v1.Thumbnailer, of the examples: server, worker. */
export function startExample(language: Language, name: "server" | "worker", argument: string): Child {
  if (language === "Go")
    return new Child([argument], { program: join(process.env.GO_PROGRAMS ?? "", `thumbnailer-${name}`) });
  const program = join(root, `examples/python/thumbnailer_${name}.py`);
  return new Child([program, argument], { program: process.env.PYTHON ?? "python3" });
}

/** A minimal worker in another language. */
export class ForeignWorker implements AsyncDisposable {
  readonly #child: Child;

  constructor(language: Language, address: string, queue: string) {
    this.#child = start(language, "told", [address, queue]);
  }

  /** How often it ran the job of this key. */
  runs(key: string): number {
    return this.#child.stdout.split("\n").filter((line) => line.startsWith(`run ${key} `)).length;
  }

  /** Resolves once it runs the job of this key. */
  async began(key: string): Promise<void> {
    await this.#child.line(new RegExp(`^run ${key} 1$`));
    await sleep(RECEIPT_MS);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#child[Symbol.asyncDispose]();
  }
}

/** Takes steps, one after the other, with the caller of a language. */
export async function call(language: Language, address: string, ...steps: object[]): Promise<Answer[]> {
  const { code, stdout, stderr } = await start(language, "steps", [address], { input: JSON.stringify(steps) }).ended;
  if (code !== 0) throw new Error(`steps in ${language} ended with ${code}: ${stderr}`);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** A proxy of connections, which can be cut as networks cut them: without a word of HTTP. */
export class Line implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  readonly #server;
  address = "";

  private constructor(to: string) {
    const [host, port] = to.split(":");
    this.#server = createServer((near) => {
      const far = connect(Number(port), host);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket) && other.destroy());
        socket.pipe(other);
      }
    });
  }

  static async open(to: string): Promise<Line> {
    const line = new Line(to);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    const { port } = line.#server.address() as { port: number };
    line.address = `127.0.0.1:${port}`;
    return line;
  }

  /** Ends every connection. New ones are let through. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.cut();
  }
}
