/** A TCP proxy that misbehaves on demand: slow, narrow, in slices, deaf in one direction, cut at any byte. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** As seen from whoever connects. */
export type Direction = "up" | "down";

/** What happens to bytes that flow in one direction. Absent: nothing. */
export interface Weather {
  latencyMs?: number;
  /** Added to the latency, of each chunk a part of it. */
  jitterMs?: number;
  bytesPerSecond?: number;
  /** Chunks are taken apart into pieces of this size. Bytes. */
  sliceBytes?: number;
  /** Nothing passes, and nobody is told: half-open. What was sent meanwhile passes later, or goes with the connection. */
  deaf?: boolean;
  /** The connection is reset once this many more bytes have passed. */
  resetAfterBytes?: number;
}

/** Bytes that one direction holds back before it stops reading. */
const MAX_HELD_BYTES = 256 * 1024;

export class TcpProxy {
  /** The port on 127.0.0.1 that it leads to; a change is for new connections. */
  target: number;
  readonly port: number;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #weather: Record<Direction, Weather> = { up: {}, down: {} };
  readonly #random: () => number;

  private constructor(server: Server, target: number, random: () => number) {
    this.target = target;
    this.#server = server;
    this.#random = random;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (near) => this.#accept(near));
  }

  /** Listens on a free port of the loopback. @param random for the jitter */
  static async open(target: number, random: () => number = Math.random): Promise<TcpProxy> {
    // The halves of a connection end one by one, each behind what it still holds back.
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    return new TcpProxy(server, target, random);
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** From now on, for open connections too. `{}` is fine weather. */
  set(direction: Direction, weather: Weather): void {
    this.#weather[direction] = weather;
    for (const connection of this.#connections) connection.changed();
  }

  /** Resets every connection. */
  cut(): void {
    for (const connection of this.#connections) connection.reset();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(near: Socket): void {
    const far = connect({ host: "127.0.0.1", port: this.target, allowHalfOpen: true });
    const connection = new Connection(near, far, this.#weather, this.#random);
    this.#connections.add(connection);
    near.once("close", () => this.#connections.delete(connection));
  }
}

/** Two sockets, and the two directions between them. */
class Connection {
  readonly #sockets: readonly Socket[];
  readonly #directions: readonly Pipe[];

  constructor(near: Socket, far: Socket, weather: Record<Direction, Weather>, random: () => number) {
    this.#sockets = [near, far];
    const reset = () => this.reset();
    this.#directions = [
      new Pipe(near, far, () => weather.up, random, reset),
      new Pipe(far, near, () => weather.down, random, reset),
    ];
    for (const socket of this.#sockets) {
      socket.setNoDelay();
      // A side that is gone takes the other along; the one that ended in peace is still sent to.
      socket.on("error", reset);
      socket.on("close", (failed) => failed && reset());
    }
  }

  changed(): void {
    for (const direction of this.#directions) direction.changed();
  }

  reset(): void {
    for (const socket of this.#sockets) if (!socket.destroyed) socket.resetAndDestroy();
    this.changed();
  }
}

/** One direction of one connection. Chunks pass in order, each no earlier than its time. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #weather: () => Weather;
  readonly #random: () => number;
  readonly #reset: () => void;
  #tail: Promise<void> = Promise.resolve();
  #held = 0;
  #passed = 0;
  #limit: { weather: Weather; at: number } | undefined;
  #wake: (() => void) | undefined;

  constructor(from: Socket, to: Socket, weather: () => Weather, random: () => number, reset: () => void) {
    this.#from = from;
    this.#to = to;
    this.#weather = weather;
    this.#random = random;
    this.#reset = reset;
    from.on("data", (chunk: Buffer) => this.#take(chunk));
    from.on("end", () => this.#after(async () => void to.end()));
  }

  changed(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  #take(chunk: Buffer): void {
    this.#held += chunk.length;
    if (this.#held > MAX_HELD_BYTES) this.#from.pause();
    const arrived = performance.now();
    this.#after(async () => {
      await this.#pass(chunk, arrived);
      this.#held -= chunk.length;
      if (this.#held <= MAX_HELD_BYTES) this.#from.resume();
    });
  }

  #after(step: () => Promise<void>): void {
    // A socket that is gone ends the step; the connection is being reset then.
    this.#tail = this.#tail.then(step).catch(() => {});
  }

  async #pass(chunk: Buffer, arrived: number): Promise<void> {
    const { latencyMs = 0, jitterMs = 0, sliceBytes = chunk.length } = this.#weather();
    await until(arrived + latencyMs + this.#random() * jitterMs);
    for (let at = 0; at < chunk.length; at += sliceBytes) {
      while (this.#weather().deaf && !this.#to.destroyed) await new Promise<void>((wake) => (this.#wake = wake));
      await this.#write(chunk.subarray(at, at + sliceBytes));
    }
  }

  async #write(piece: Buffer): Promise<void> {
    const weather = this.#weather();
    const { bytesPerSecond, resetAfterBytes } = weather;
    if (resetAfterBytes === undefined) this.#limit = undefined;
    else if (this.#limit?.weather !== weather) this.#limit = { weather, at: this.#passed + resetAfterBytes };
    const left = this.#limit ? this.#limit.at - this.#passed : Number.POSITIVE_INFINITY;
    this.#passed += piece.length;
    if (this.#to.destroyed) return;
    if (!this.#to.write(piece.subarray(0, left))) await drained(this.#to);
    if (piece.length >= left) return this.#reset();
    if (bytesPerSecond) await pause((piece.length / bytesPerSecond) * 1_000);
  }
}

async function until(time: number): Promise<void> {
  const ms = time - performance.now();
  if (ms > 0) await pause(ms);
}

/** Or closed. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}
