/**
 * A full worker on generated stubs alone: a session over reconnects, held leases,
 * explicit renewals, settlements kept until they are answered, abort on lost and
 * cancels, drain both ways, window updates, pings of its own.
 */
import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { type Delivery, type Frame, type Lease, openWork, type WorkStream } from "./stubs.ts";

/** What a worker should know of time. Milliseconds. */
export interface Timing {
  renewMs: number;
  pingMs: number;
}

interface Running {
  job: Delivery;
  abort: AbortController;
}

export type Handle = (job: Delivery, signal: AbortSignal) => Promise<Buffer>;

/** Events: "frame" with each frame that arrives, "idle" when nothing is held, "drained" when a stream ended after a drain. */
export class FullWorker extends EventEmitter {
  readonly sessionId: string = randomUUID();
  readonly #addresses: string[];
  readonly #queue: string;
  readonly #handle: Handle;
  readonly #timing: Timing;
  readonly #running = new Map<string, Running>();
  readonly #due = new Map<string, Lease & { settle_id: string }>();
  readonly #timers: NodeJS.Timeout[] = [];
  #stream: WorkStream;
  #window: number;
  #online = false;
  #draining = false;
  #failures = 0;
  #ids = 0;
  #at = 0;

  constructor(addresses: string[], queue: string, handle: Handle, window = 1, timing?: Partial<Timing>) {
    super();
    this.#addresses = addresses;
    this.#queue = queue;
    this.#handle = handle;
    this.#window = window;
    this.#timing = { renewMs: 10_000, pingMs: 15_000, ...timing };
    this.#stream = this.#open();
    this.#timers.push(setInterval(() => this.#renew(), this.#timing.renewMs));
    this.#timers.push(setInterval(() => this.#say({ ping: { nonce: "1" } }), this.#timing.pingMs));
  }

  get held(): number {
    return this.#running.size + this.#due.size;
  }

  setWindow(window: number): void {
    this.#window = window;
    this.#say({ window });
  }

  /** A round trip: all that was said before has arrived. */
  async ping(): Promise<void> {
    const answered = this.#frame((frame) => frame.pong !== null);
    this.#say({ ping: { nonce: "2" } });
    await answered;
  }

  /** Breaks the connection, as networks do. */
  cut(): void {
    this.#stream.cancel();
  }

  /** Takes no more, finishes, confirms, leaves. Resolves with the stream's status code. */
  async drain(): Promise<number> {
    this.#draining = true;
    const drained = this.#frame((frame) => frame.drain !== null);
    this.#say({ drain: { reason: "shutdown" } });
    await drained;
    if (this.held > 0) await once(this, "idle");
    const ended = once(this.#stream, "status");
    this.#stream.end();
    const [{ code }] = (await ended) as [{ code: number }];
    this.stop();
    return code;
  }

  stop(): void {
    this.#draining = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#stream.cancel();
  }

  async #frame(wanted: (frame: Frame) => boolean): Promise<void> {
    for (;;) {
      const [frame] = (await once(this, "frame")) as [Frame];
      if (wanted(frame)) return;
    }
  }

  #open(): WorkStream {
    const stream = openWork(this.#addresses[this.#at++ % this.#addresses.length] as string);
    stream.on("data", ({ welcome, frame }) => {
      if (welcome) this.#welcomed(stream);
      if (frame) this.#received(stream, frame);
    });
    stream.on("status", () => {
      if (stream !== this.#stream) return;
      this.#online = false;
      const wait = Math.min(5_000, 100 * 2 ** this.#failures++);
      if (!this.#draining) setTimeout(() => this.#reopen(), wait * (0.5 + Math.random() / 2));
    });
    stream.write({
      hello: {
        protocol_version: 1,
        worker_id: "full",
        session_id: this.sessionId,
        subscriptions: [{ queue: this.#queue }],
        window: this.#window,
        held: [...[...this.#running.values()].map(({ job }) => job), ...this.#due.values()].map(lease),
      },
    });
    return stream;
  }

  #reopen(): void {
    if (!this.#draining) this.#stream = this.#open();
  }

  #welcomed(stream: WorkStream): void {
    const old = this.#stream;
    this.#stream = stream;
    this.#online = true;
    this.#failures = 0;
    if (this.#due.size > 0) this.#say({ settlements: [...this.#due.values()] });
    // The broker of the old stream drains: it has been served until now, and ends once we do.
    if (old !== stream) old.end();
  }

  #received(stream: WorkStream, frame: Frame): void {
    if (frame.seq !== "0") stream.write({ frame: { received_seq: frame.seq } });
    if (frame.ping) stream.write({ frame: { pong: frame.ping } });
    for (const job of frame.deliveries) void this.#run(job);
    for (const { settle_id, result } of frame.settled) {
      if (result === "RESULT_RETRY") setTimeout(() => this.#resend(settle_id), 200);
      else this.#due.delete(settle_id);
    }
    for (const { lease_token } of [...frame.lost, ...frame.cancels]) this.#running.get(key(lease_token))?.abort.abort();
    for (const { lease_token } of frame.lost) this.#running.delete(key(lease_token));
    if (frame.drain && !this.#draining && stream === this.#stream) this.#open();
    this.emit("frame", frame);
    if (this.held === 0) this.emit("idle");
  }

  async #run(job: Delivery): Promise<void> {
    const token = key(job.lease_token);
    const abort = new AbortController();
    this.#running.set(token, { job, abort });
    const outcome = await this.#handle(job, abort.signal).then(
      (data) => ({ completed: { payload: { data } } }),
      (error: Error) =>
        abort.signal.aborted ? { cancelled: {} } : { failed: { status: { code: 2, message: error.message } } },
    );
    if (!this.#running.delete(token)) return; // lost meanwhile
    const settle_id = String(++this.#ids);
    this.#due.set(settle_id, { settle_id, ...lease(job), ...outcome });
    this.#resend(settle_id);
  }

  #resend(id: string): void {
    const settlement = this.#due.get(id);
    if (settlement) this.#say({ settlements: [settlement] });
  }

  #renew(): void {
    if (this.#running.size > 0) this.#say({ renewals: [...this.#running.values()].map(({ job }) => lease(job)) });
  }

  #say(frame: object): void {
    if (this.#online) this.#stream.write({ frame });
  }
}

function lease({ queue, job_id, lease_token }: Lease): Lease {
  return { queue, job_id, lease_token };
}

function key(token: Buffer): string {
  return token.toString("hex");
}
