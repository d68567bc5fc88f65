/**
 * Connections between processes: each direction keeps its order, as TCP does;
 * different connections overtake each other. What breaks is decided here too:
 * latency, one direction that stands still, a cut that one end, both or none
 * notices, hosts that die without a word.
 */
import type { Random } from "./random.ts";
import type { Process, Time } from "./time.ts";

/** What one end of a connection is told. */
export interface Handlers<M> {
  message(message: M): void;
  /** Takes more again after `writable` was false. */
  writable?(): void;
  /** It is over, and no more comes. Once. */
  closed(): void;
}

export interface NetworkOptions {
  time: Time;
  random: Random;
}

export type Direction = "up" | "down" | "both";

/** Messages that one direction takes before it asks the sender to wait. */
const IN_FLIGHT = 64;
/** A connection that is cut without a word is found out by the keepalive of the transport. */
export const KEEPALIVE_MS = 25_000;

export class Network<M> {
  readonly #time: Time;
  readonly #random: Random;
  readonly #listening = new Map<string, { process: Process; accept(side: Side<M>): void }>();
  readonly #connections = new Set<Connection<M>>();
  readonly #stalls: { who: string; direction: Direction; until: number }[] = [];
  #slow = { until: 0, mostMs: 0 };

  constructor({ time, random }: NetworkOptions) {
    this.#time = time;
    this.#random = random;
  }

  /** The process takes connections at `address`. */
  listen(address: string, process: Process, accept: (side: Side<M>) => void): void {
    this.#listening.set(address, { process, accept });
  }

  /** New connections are refused; those that exist go on. */
  unlisten(address: string, process: Process): void {
    if (this.#listening.get(address)?.process === process) this.#listening.delete(address);
  }

  /** Connects. `opened` is called when the other host has taken the connection, `handlers.closed` if none does. */
  dial(process: Process, address: string, handlers: Handlers<M>, opened: () => void): Side<M> {
    const connection = new Connection<M>(this, process, address);
    this.#connections.add(connection);
    connection.near.handlers = handlers;
    const { delayMs } = this.passage(process.name, "up");
    connection.near.notBefore(this.#time.now + delayMs);
    this.#time.after(delayMs, () => {
      const host = this.#listening.get(address);
      if (connection.over) return;
      if (!host) return connection.refuse(this.passage(process.name, "down").delayMs);
      connection.accept(host.process);
      host.accept(connection.far);
      // The kernel answers, whether or not the process behind it does.
      this.#time.after(this.passage(process.name, "down").delayMs, () =>
        process.run(() => connection.over || opened()),
      );
    });
    return connection.near;
  }

  // ── what breaks ────────────────────────────────────────────────────────────

  /** Messages take up to `mostMs` longer, for this long. */
  slow(ms: number, mostMs: number): void {
    this.#slow = { until: this.#time.now + ms, mostMs };
  }

  /** What the named process sends ("up"), or is sent ("down"), arrives only after this long. */
  stall(who: string, direction: Direction, ms: number): void {
    this.#stalls.push({ who, direction, until: this.#time.now + ms });
  }

  /** Breaks the connections of a process, or those to an address: what is under way is lost in part. */
  cut(who: string): void {
    for (const connection of [...this.#connections]) {
      if (connection.process.name === who || connection.address === who) connection.cut(this.#random);
    }
  }

  /** The process is dead. `silent`: its host too, so that nobody says so to its peers. */
  died(process: Process, silent: boolean): void {
    for (const connection of [...this.#connections]) connection.died(process, silent);
  }

  heal(): void {
    this.#slow = { until: 0, mostMs: 0 };
  }

  /** How long a message of the named process, or to it, is under way. */
  passage(who: string, direction: "up" | "down"): { delayMs: number } {
    const { now } = this.#time;
    const slow = now < this.#slow.until ? this.#random.between(0, this.#slow.mostMs) : 0;
    let delayMs = this.#random.between(0.1, 2) + slow;
    for (const stall of this.#stalls) {
      const hit = stall.who === who && (stall.direction === "both" || stall.direction === direction);
      if (hit && stall.until > now) delayMs = Math.max(delayMs, stall.until - now + this.#random.between(0, 5));
    }
    return { delayMs };
  }

  get time(): Time {
    return this.#time;
  }

  forget(connection: Connection<M>): void {
    this.#connections.delete(connection);
  }
}

/** One end. */
export class Side<M> {
  handlers: Handlers<M> = { message() {}, closed() {} };
  readonly #connection: Connection<M>;
  readonly #direction: "up" | "down";
  #open = true;
  #inFlight = 0;
  #full = false;
  #lastAt = 0;
  #kept = Number.POSITIVE_INFINITY;

  constructor(connection: Connection<M>, direction: "up" | "down") {
    this.#connection = connection;
    this.#direction = direction;
  }

  get open(): boolean {
    return this.#open;
  }

  get writable(): boolean {
    return this.#open && this.#inFlight < IN_FLIGHT;
  }

  send(message: M): void {
    // What a dead process was about to say stays unsaid.
    if (!this.#open || !this.#connection.own(this.#direction).host?.alive) return;
    this.#inFlight++;
    if (this.#inFlight >= IN_FLIGHT) this.#full = true;
    this.#pass((peer) => {
      peer.handlers.message(message);
      this.#arrived();
    });
  }

  /** Says that it is over, behind all that was sent. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#pass((peer) => peer.lost());
    this.#connection.ended();
  }

  /** The connection is over for this end. */
  lost(): void {
    if (!this.#open) return;
    this.#open = false;
    this.handlers.closed();
  }

  /** Nothing that is on its way arrives any more, but for the next `but` messages. */
  drop(but: number): void {
    this.#kept = but;
  }

  /** The connection itself takes until then. */
  notBefore(at: number): void {
    this.#lastAt = at;
  }

  #pass(deliver: (peer: Side<M>) => void): void {
    const { time, network, process } = this.#connection;
    const { delayMs } = network.passage(process.name, this.#direction);
    this.#lastAt = Math.max(time.now + delayMs, this.#lastAt);
    time.after(this.#lastAt - time.now, () => {
      if (this.#kept-- <= 0) return;
      const { peer, host } = this.#connection.across(this.#direction);
      host?.run(() => peer.open && deliver(peer));
    });
  }

  /** The peer has read one message: on its way back that gives room. */
  #arrived(): void {
    this.#inFlight--;
    if (!this.#full || this.#inFlight > IN_FLIGHT / 2) return;
    this.#full = false;
    const { host } = this.#connection.own(this.#direction);
    host?.run(() => this.#open && this.handlers.writable?.());
  }
}

class Connection<M> {
  readonly network: Network<M>;
  /** The end that dialled. */
  readonly process: Process;
  readonly address: string;
  readonly near: Side<M>;
  readonly far: Side<M>;
  over = false;
  #host: Process | undefined;
  /** Ends that have said that it is over. */
  #closings = 0;

  constructor(network: Network<M>, process: Process, address: string) {
    this.network = network;
    this.process = process;
    this.address = address;
    this.near = new Side(this, "up");
    this.far = new Side(this, "down");
  }

  get time(): Time {
    return this.network.time;
  }

  accept(host: Process): void {
    this.#host = host;
  }

  refuse(delayMs: number): void {
    this.#end();
    this.time.after(delayMs, () => this.process.run(() => this.near.lost()));
  }

  own(direction: "up" | "down"): { host: Process | undefined } {
    return { host: direction === "up" ? this.process : this.#host };
  }

  across(direction: "up" | "down"): { peer: Side<M>; host: Process | undefined } {
    return direction === "up" ? { peer: this.far, host: this.#host } : { peer: this.near, host: this.process };
  }

  ended(): void {
    if (++this.#closings === 2) this.#end();
  }

  cut(random: Random): void {
    for (const side of [this.near, this.far]) side.drop(random.int(0, 3));
    this.#notice(
      this.process,
      this.near,
      random.chance(0.7) ? random.between(0, 50) : random.between(50, KEEPALIVE_MS),
    );
    this.#notice(this.#host, this.far, random.chance(0.7) ? random.between(0, 50) : random.between(50, KEEPALIVE_MS));
    this.#end();
  }

  died(process: Process, silent: boolean): void {
    if (process !== this.process && process !== this.#host) return;
    const survivor = process === this.process ? this.far : this.near;
    const host = process === this.process ? this.#host : this.process;
    if (silent) for (const side of [this.near, this.far]) side.drop(0);
    // The kernel of a dead process sends what it has, and then the end.
    this.#notice(host, survivor, silent ? KEEPALIVE_MS : 5);
    this.#end();
  }

  #notice(host: Process | undefined, side: Side<M>, ms: number): void {
    this.time.after(ms, () => host?.run(() => side.lost()));
  }

  #end(): void {
    this.over = true;
    this.network.forget(this);
  }
}
