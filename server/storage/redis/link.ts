/**
 * The connection that commands go over. ioredis may leave a promise pending for ever, so every call has a deadline of
 * our own; and since every verb may run twice, a call whose answer was lost is sent again within it.
 */
import { Redis } from "ioredis";
import type { Clock } from "../../../protocol/clock.ts";
import { StorageUnavailable } from "../storage.ts";
import { type Argument, type Client, type Reply, send } from "./client.ts";
import { Library } from "./library.ts";
import { judge, type Verdict } from "./redis-error.ts";
import type { Script } from "./scripts.ts";

/** Why a call failed, for whoever can do something about it. */
export class CallFailed extends StorageUnavailable {
  /** Of Redis ("OOM"), of the system, or in words; never what a caller sent. */
  readonly code: string;
  constructor(storage: string, code: string, accepted: "no" | "unknown") {
    super(`storage ${storage}: ${code}`, accepted);
    this.code = code;
  }
}

/** Something else is in the key: fsck says what. */
export function isWrongType(error: unknown): boolean {
  return error instanceof CallFailed && error.code.startsWith("WRONGTYPE");
}

export interface LinkOptions {
  clock: Clock;
  /** For messages: without credentials. */
  name: string;
  /** Longest that a call may take, with all its tries. Milliseconds. */
  callTimeoutMs: number;
  connect(): Client;
  /** The connection is there, or gone; `why`: the code of the last error. */
  onState(up: boolean, why: string): void;
}

/** Calls on the wire, and in all; a call above the second bound is refused, nothing waits without bound. */
const MAX_ON_THE_WIRE = 1_024;
const MAX_CALLS = 20_000;
/** A loss of the connection this short is bridged; during a longer one calls fail at once. Milliseconds. */
const BRIDGE_MS = 1_000;
const RETRY_PAUSE_MS = 50;
/** Silence that is looked into, and silence after the question that ends the connection. Milliseconds. */
const PING_EVERY_MS = 5_000;

export class Link {
  readonly #o: LinkOptions;
  #client: Client;
  /** Verbs may go out: set by whoever checks the server. */
  #open = false;
  #shutSince: number;
  #closed = false;
  #calls = 0;
  #onTheWire = 0;
  /** Those that wait for a place on the wire, first come first. */
  readonly #line = new Set<() => void>();
  readonly #waiting = new Set<() => void>();
  readonly #lost = new Set<(error: Error) => void>();
  #stopPing = () => {};
  #gathering: Redis["stream"] | undefined;
  readonly #library: Library;

  constructor(options: LinkOptions) {
    this.#o = options;
    this.#shutSince = options.clock.monotonic();
    this.#client = this.#connect();
    this.#library = new Library(options.clock);
    this.#ping();
  }

  /** For the checks of health.ts, which look at each node. */
  get client(): Client {
    return this.#client;
  }

  /** Opens or shuts the way for calls. Those that wait for it go on, or fail when their bridge is over. */
  set open(open: boolean) {
    if (this.#open && !open) this.#shutSince = this.#o.clock.monotonic();
    this.#open = open;
    if (open) for (const go of this.#waiting) go();
  }

  /** Runs a verb. It may run twice. */
  run(script: Script, keys: string[], args: Argument[]): Promise<Reply> {
    const rest = [keys.length, ...keys, ...args];
    return this.call((client) => this.#library.run(client, script, rest));
  }

  /** One command. It may run twice. */
  command(name: string, ...args: Argument[]): Promise<Reply> {
    return this.call((client) => send(client, name, args));
  }

  /** @throws CallFailed */
  async call(attempt: (client: Client) => Promise<Reply>): Promise<Reply> {
    if (this.#closed) throw this.#unavailable("closed", "no");
    if (this.#calls >= MAX_CALLS) throw this.#unavailable(`${MAX_CALLS} calls under way`, "no");
    this.#calls++;
    try {
      return await this.#try(attempt, this.#o.clock.monotonic() + this.#o.callTimeoutMs);
    } finally {
      this.#calls--;
    }
  }

  /** Sends without waiting, if it can be sent now. For hints: nothing depends on them. */
  post(name: string, ...args: Argument[]): void {
    if (!this.#open || this.#onTheWire >= MAX_ON_THE_WIRE) return;
    this.#onTheWire++;
    send(this.#client, name, args)
      .catch(() => {})
      .finally(() => this.#leave());
  }

  /** Waits for calls under way, then lets go. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopPing();
    const until = this.#o.clock.monotonic() + this.#o.callTimeoutMs;
    while (this.#calls > 0 && this.#open && this.#o.clock.monotonic() < until) await this.#pause(5);
    this.#loseAll();
    this.#client.disconnect();
  }

  // ── one call ───────────────────────────────────────────────────────────────

  async #try(attempt: (client: Client) => Promise<Reply>, until: number): Promise<Reply> {
    let accepted: "no" | "unknown" = "no";
    for (;;) {
      if (!this.#open) await this.#bridge(until, accepted);
      if (this.#onTheWire >= MAX_ON_THE_WIRE || this.#line.size > 0) await this.#queue(until, accepted);
      this.#onTheWire++;
      let verdict: Verdict;
      try {
        return await this.#timed(attempt, until);
      } catch (error) {
        verdict = judge(error);
      } finally {
        this.#leave();
      }
      if (verdict.accepted === "unknown") accepted = "unknown";
      if (verdict.moved) this.#client.disconnect(true);
      const over = this.#o.clock.monotonic() + RETRY_PAUSE_MS >= until;
      if (!verdict.retry || over || this.#closed) throw this.#unavailable(verdict.code, accepted);
      await this.#pause(RETRY_PAUSE_MS);
    }
  }

  /** One send, ended by its answer, the deadline, or the loss of the connection, whichever is first. */
  #timed(attempt: (client: Client) => Promise<Reply>, until: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const lose = (error: Error) => {
        this.#lost.delete(lose);
        timer.cancel();
        reject(error);
      };
      const timer = this.#o.clock.setTimer(() => lose(new Error("no answer")), until - this.#o.clock.monotonic());
      this.#lost.add(lose);
      this.#gather();
      attempt(this.#client).then((reply) => {
        this.#lost.delete(lose);
        timer.cancel();
        resolve(reply);
      }, lose);
    });
  }

  /** What is sent in one turn of the event loop leaves in one write: a system call each would cost as much as all the rest. */
  #gather(): void {
    const stream = this.#client instanceof Redis ? this.#client.stream : undefined;
    if (!stream || stream === this.#gathering) return;
    this.#gathering = stream;
    stream.cork();
    this.#o.clock.defer(() => {
      stream.uncork();
      if (this.#gathering === stream) this.#gathering = undefined;
    });
  }

  /** Waits for the way to open, as long as its loss is young. */
  async #bridge(until: number, accepted: "no" | "unknown"): Promise<void> {
    await this.#until(Math.min(until, this.#shutSince + BRIDGE_MS), (go) => this.#waiting.add(go));
    if (!this.#open) throw this.#unavailable("not ready", accepted);
  }

  /** Until there is a place. One that is told of it may find it taken, and waits on. */
  async #queue(until: number, accepted: "no" | "unknown"): Promise<void> {
    do {
      await this.#until(until, (go) => this.#line.add(go));
      if (this.#o.clock.monotonic() >= until) throw this.#unavailable("too many calls under way", accepted);
    } while (this.#onTheWire >= MAX_ON_THE_WIRE);
  }

  /** Until told, or until that time. */
  #until(time: number, tellMe: (go: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        this.#line.delete(go);
        timer.cancel();
        resolve();
      };
      const timer = this.#o.clock.setTimer(go, time - this.#o.clock.monotonic());
      tellMe(go);
    });
  }

  #leave(): void {
    this.#onTheWire--;
    let places = MAX_ON_THE_WIRE - this.#onTheWire;
    for (const go of this.#line) {
      if (places-- <= 0) break;
      go();
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#o.clock.setTimer(resolve, ms));
  }

  #unavailable(code: string, accepted: "no" | "unknown"): CallFailed {
    return new CallFailed(this.#o.name, code, accepted);
  }

  // ── the connection ─────────────────────────────────────────────────────────

  #connect(): Client {
    const client = this.#o.connect();
    let why = "connection lost";
    client.on("error", (error: unknown) => {
      why = judge(error).code;
    });
    client.on("ready", () => this.#o.onState(true, ""));
    client.on("close", () => this.#down(why));
    client.on("end", () => this.#rebuild(client));
    return client;
  }

  #down(why: string): void {
    this.#loseAll();
    this.#o.onState(false, why);
  }

  /** A client in this state never connects again. */
  #rebuild(client: Client): void {
    if (this.#closed || client !== this.#client) return;
    this.#o.clock.setTimer(() => {
      if (!this.#closed) this.#client = this.#connect();
    }, BRIDGE_MS);
  }

  #loseAll(): void {
    for (const lose of this.#lost) lose(new Error("connection lost"));
  }

  /** A half-open connection looks like a slow server: a ping without an answer ends it. */
  #ping(): void {
    const timer = this.#o.clock.setTimer(
      async () => {
        if (this.#open) await this.#pinged().catch(() => this.#client.disconnect(true));
        if (!this.#closed) this.#ping();
      },
      PING_EVERY_MS,
      { unref: true },
    );
    this.#stopPing = () => timer.cancel();
  }

  #pinged(): Promise<Reply> {
    return this.#timed((client) => send(client, "ping", []), this.#o.clock.monotonic() + PING_EVERY_MS);
  }
}
