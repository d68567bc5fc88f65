/** The connection that hints for this broker come in on. Nothing depends on it but speed; silence is looked into all the same. */
import type { Redis } from "ioredis";
import type { Clock } from "../../../protocol/clock.ts";

export interface HintLineOptions {
  clock: Clock;
  channel: string;
  connect(): Redis;
  onMessage(message: Buffer): void;
  /** Subscribed; `again`: after a loss, so that hints may be missing. */
  onSubscribed(again: boolean): void;
}

/** A ping this often, and this long for its answer. Milliseconds. */
const PING_EVERY_MS = 5_000;

export class HintLine {
  readonly #o: HintLineOptions;
  #client: Redis;
  #before = false;
  #closed = false;
  #stopPing = () => {};

  constructor(options: HintLineOptions) {
    this.#o = options;
    this.#client = this.#connect();
    this.#ping();
  }

  close(): void {
    this.#closed = true;
    this.#stopPing();
    this.#client.disconnect();
  }

  #connect(): Redis {
    const client = this.#o.connect();
    client.on("error", () => {}); // Told by "close"; unheard, ioredis prints it.
    client.on("ready", () => void this.#subscribe(client));
    client.on("messageBuffer", (_channel: Buffer, message: Buffer) => this.#o.onMessage(message));
    client.on("end", () => this.#rebuild(client));
    return client;
  }

  async #subscribe(client: Redis): Promise<void> {
    try {
      await client.subscribe(this.#o.channel);
    } catch {
      return client.disconnect(true);
    }
    this.#o.onSubscribed(this.#before);
    this.#before = true;
  }

  /** ioredis gives up, e.g. when a node left the cluster: from the start, by another node. */
  #rebuild(client: Redis): void {
    if (this.#closed || client !== this.#client) return;
    this.#o.clock.setTimer(() => {
      if (!this.#closed) this.#client = this.#connect();
    }, PING_EVERY_MS / 5);
  }

  #ping(): void {
    const { clock } = this.#o;
    const timer = clock.setTimer(
      () => {
        this.#ping();
        if (this.#client.status !== "ready") return;
        const client = this.#client;
        const late = clock.setTimer(() => client.disconnect(true), PING_EVERY_MS, { unref: true });
        client.ping().then(
          () => late.cancel(),
          () => late.cancel(),
        );
      },
      PING_EVERY_MS,
      { unref: true },
    );
    this.#stopPing = () => timer.cancel();
  }
}
