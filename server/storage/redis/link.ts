/**
 * The connection that commands go over. ioredis may leave a promise pending for ever, so every call has a deadline of
 * our own; and since every verb may run twice, a call whose answer was lost is sent again within it.
 */
import { Redis } from "ioredis";
import type { Clock } from "../../../protocol/clock.ts";
import { type Dated, Deadlines } from "../../../protocol/deadlines.ts";
import { StorageUnavailable } from "../storage.ts";
import { type Argument, type Client, type Reply, send } from "./client.ts";
import type { Verb } from "./library.ts";
import { judge } from "./redis-error.ts";
import { type Asker, type Request, Turn } from "./turn.ts";

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

/** One call, with all its tries. */
interface Call {
  readonly request: Request;
  /** On the monotonic clock. Milliseconds. */
  readonly until: number;
  /** Of the tries so far. */
  accepted: "no" | "unknown";
  resolve(reply: Reply): void;
  reject(error: CallFailed): void;
}

/** One try, on the wire. */
class Flight implements Asker, Dated {
  readonly call: Call;
  readonly until: number;
  place = -1;
  readonly #link: Landings;

  constructor(call: Call, link: Landings) {
    this.call = call;
    this.until = call.until;
    this.#link = link;
  }

  answered(reply: Reply): void {
    this.#link.landed(this, reply);
  }

  failed(error: unknown): void {
    this.#link.lost(this, error);
  }
}

interface Landings {
  landed(flight: Flight, reply: Reply): void;
  lost(flight: Flight, error: unknown): void;
}

export class Link {
  readonly #o: LinkOptions;
  #client: Client;
  /** Verbs may go out: set by whoever checks the server. */
  #open = false;
  #shutSince: number;
  #closed = false;
  #calls = 0;
  /** Hints on the wire. */
  #posted = 0;
  /** Whatever else is: each ends by its answer, its deadline, or the loss of the connection, whichever is first. */
  readonly #flights: Deadlines<Flight>;
  readonly #landings: Landings = {
    landed: (flight, reply) => this.#landed(flight, reply),
    lost: (flight, error) => this.#lost(flight, error),
  };
  /** Those that wait for a place on the wire, first come first. */
  readonly #line = new Set<() => void>();
  readonly #waiting = new Set<() => void>();
  #stopPing = () => {};
  readonly #turn: Turn;

  constructor(options: LinkOptions) {
    this.#o = options;
    this.#shutSince = options.clock.monotonic();
    this.#client = this.#connect();
    this.#turn = new Turn(options.clock);
    this.#flights = new Deadlines(options.clock, (flight) => this.#crashed(flight, new Error("no answer")));
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

  /**
   * Runs a verb. It may run twice.
   * @throws CallFailed (rejects)
   */
  run(verb: Verb): Promise<Reply> {
    return this.#call(verb);
  }

  /** One command. It may run twice. */
  command(name: string, ...args: Argument[]): Promise<Reply> {
    return this.call((client) => send(client, name, args));
  }

  /** Whatever is sent by itself. */
  call(attempt: (client: Client) => Promise<Reply>): Promise<Reply> {
    return this.#call({ send: attempt });
  }

  /** Sends without waiting, if it can be sent now. For hints: nothing depends on them. */
  post(name: string, ...args: Argument[]): void {
    if (!this.#open || this.#full) return;
    this.#posted++;
    const done = () => {
      this.#posted--;
      this.#offerPlaces();
    };
    this.#turn.add(this.#client, { send: (client) => send(client, name, args) }, { answered: done, failed: done });
  }

  /** Waits for calls under way, then lets go. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopPing();
    const until = this.#o.clock.monotonic() + this.#o.callTimeoutMs;
    while (this.#calls > 0 && this.#open && this.#o.clock.monotonic() < until) await this.#pause(5);
    this.#loseAll();
    this.#flights.close();
    this.#client.disconnect();
  }

  // ── one call ───────────────────────────────────────────────────────────────

  #call(request: Request): Promise<Reply> {
    if (this.#closed) return Promise.reject(this.#unavailable("closed", "no"));
    if (this.#calls >= MAX_CALLS) return Promise.reject(this.#unavailable(`${MAX_CALLS} calls under way`, "no"));
    this.#calls++;
    const until = this.#o.clock.monotonic() + this.#o.callTimeoutMs;
    return new Promise((resolve, reject) => this.#try({ request, until, accepted: "no", resolve, reject }));
  }

  #try(call: Call): void {
    if (this.#open && !this.#full && this.#line.size === 0) return this.#fly(call);
    this.#wait(call).then(
      () => this.#fly(call),
      (error: CallFailed) => this.#refuse(call, error),
    );
  }

  /** For the way to open, and for a place. */
  async #wait({ until, accepted }: Call): Promise<void> {
    if (!this.#open) await this.#bridge(until, accepted);
    if (this.#full || this.#line.size > 0) await this.#queue(until, accepted);
  }

  #fly(call: Call): void {
    const flight = new Flight(call, this.#landings);
    this.#flights.add(flight);
    this.#turn.add(this.#client, call.request, flight);
  }

  #landed(flight: Flight, reply: Reply): void {
    if (!this.#flights.delete(flight)) return;
    this.#offerPlaces();
    this.#calls--;
    flight.call.resolve(reply);
  }

  #lost(flight: Flight, error: unknown): void {
    if (this.#flights.delete(flight)) this.#crashed(flight, error);
  }

  #crashed({ call }: Flight, error: unknown): void {
    this.#offerPlaces();
    const verdict = judge(error);
    if (verdict.accepted === "unknown") call.accepted = "unknown";
    if (verdict.moved) this.#client.disconnect(true);
    const over = this.#o.clock.monotonic() + RETRY_PAUSE_MS >= call.until;
    if (!verdict.retry || over || this.#closed) {
      return this.#refuse(call, this.#unavailable(verdict.code, call.accepted));
    }
    this.#o.clock.setTimer(() => this.#try(call), RETRY_PAUSE_MS);
  }

  #refuse(call: Call, error: CallFailed): void {
    this.#calls--;
    call.reject(error);
  }

  get #full(): boolean {
    return this.#flights.size + this.#posted >= MAX_ON_THE_WIRE;
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
    } while (this.#full);
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

  #offerPlaces(): void {
    let places = MAX_ON_THE_WIRE - this.#flights.size - this.#posted;
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
    for (const flight of [...this.#flights]) flight.failed(new Error("connection lost"));
  }

  /** A half-open connection looks like a slow server: a ping without an answer ends it. */
  #ping(): void {
    const timer = this.#o.clock.setTimer(
      async () => {
        if (this.#open) await this.#pinged();
        if (!this.#closed) this.#ping();
      },
      PING_EVERY_MS,
      { unref: true },
    );
    this.#stopPing = () => timer.cancel();
  }

  /** Resolves with the answer, or once it is too late for one. */
  #pinged(): Promise<void> {
    const client = this.#client;
    const connection = connectionOf(client);
    return new Promise((resolve) => {
      const leave = () => {
        // The next connection is not to blame.
        if (client === this.#client && connection === connectionOf(client)) client.disconnect(true);
        resolve();
      };
      const timer = this.#o.clock.setTimer(leave, PING_EVERY_MS, { unref: true });
      send(client, "ping", []).then(
        () => {
          timer.cancel();
          resolve();
        },
        () => {
          timer.cancel();
          leave();
        },
      );
    });
  }
}

/** Undefined: of a cluster, which looks after its own. */
function connectionOf(client: Client): unknown {
  return client instanceof Redis ? client.stream : undefined;
}
