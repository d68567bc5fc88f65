/** Processes in Python beside a broker in this one, and a line between them that can be cut. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Child } from "../support/processes.ts";

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const python = { program: process.env.PYTHON ?? "python3" };

/** A receipt leaves when the handler starts, and needs this long at most. Without it the job would lawfully be run again. */
export const RECEIPT_MS = 100;

/** What one step of steps.py ended with. */
export type Answer =
  | { ok: unknown }
  /** An error of gRPC: the status code's name, and the reason. */
  | { refused: string; reason: string }
  /** One that the example raised: its class. */
  | { error: string; message: string };

/** A minimal worker in Python. */
export class PythonWorker extends Child {
  constructor(address: string, queue: string) {
    super([script("told.py"), address, queue], python);
  }

  /** How often it ran the job of this key. */
  runs(key: string): number {
    return this.stdout.split("\n").filter((line) => line.startsWith(`run ${key} `)).length;
  }

  /** Resolves once it runs the job of this key. */
  async began(key: string): Promise<void> {
    await this.line(new RegExp(`^run ${key} 1$`));
    await sleep(RECEIPT_MS);
  }
}

/** Takes steps, one after the other, with the caller in Python. */
export async function call(address: string, ...steps: object[]): Promise<Answer[]> {
  const options = { ...python, input: JSON.stringify(steps) };
  const { code, stdout, stderr } = await new Child([script("steps.py"), address], options).ended;
  if (code !== 0) throw new Error(`steps.py ended with ${code}: ${stderr}`);
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
