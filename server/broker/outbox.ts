/**
 * The frame that is being filled for one worker. Everything said in one turn of
 * the event loop leaves in one message: control first, deliveries behind it,
 * cut by size, and nothing while the stream is not writable.
 */
import type { Clock } from "../../protocol/clock.ts";
import { MAX_CLAIM_BATCH } from "../../protocol/limits.ts";
import type { Claimed } from "../storage/storage.ts";
import type { BrokerFrame, Link } from "./frames.ts";

/** Frames with deliveries are cut at this size, so that control frames never wait long behind them. */
const DELIVERY_FRAME_BYTES = 1024 * 1024;
const DELIVERIES_PER_FRAME = 4 * MAX_CLAIM_BATCH;

export class Outbox {
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #sent: (job: Claimed, seq: bigint) => void;
  #frame = emptyFrame();
  #flushing = false;
  #seq = 0n;
  #confirmed = 0n;
  #open = false;
  /** When the oldest frame left that the worker has not confirmed. Monotonic milliseconds. */
  unconfirmedSince: number | undefined;
  /** When something left last. Monotonic milliseconds. */
  lastSent: number;

  /** @param sent told of each delivery and the frame that it left in */
  constructor(clock: Clock, link: Link, sent: (job: Claimed, seq: bigint) => void) {
    this.#clock = clock;
    this.#link = link;
    this.#sent = sent;
    this.lastSent = clock.monotonic();
  }

  /** The seq of the newest frame with deliveries. */
  get seq(): bigint {
    return this.#seq;
  }

  /** Frames up to this one have arrived. */
  confirmed(seq: bigint): void {
    // Receipts are cumulative: an older one says nothing new.
    if (seq <= this.#confirmed) return;
    this.#confirmed = seq;
    this.unconfirmedSince = seq === this.#seq ? undefined : this.#clock.monotonic();
  }

  /** From the welcome on. What was said before leaves now. */
  open(): void {
    this.#open = true;
    this.flushSoon();
  }

  close(): void {
    this.#open = false;
    this.#frame = emptyFrame();
  }

  /** Adds to the frame of this turn. */
  say(put: (frame: BrokerFrame) => unknown): void {
    put(this.#frame);
    this.flushSoon();
  }

  /** Takes back the deliveries that have not left. */
  unsent(): Claimed[] {
    const jobs = this.#frame.deliveries;
    this.#frame.deliveries = [];
    return jobs;
  }

  flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#clock.soon(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  flush(): void {
    if (!this.#open || !this.#link.writable) return;
    const frame = this.#frame;
    const [first, ...rest] = batches(frame.deliveries);
    if (isEmpty(frame) && !first) return;
    this.#frame = emptyFrame();
    this.lastSent = this.#clock.monotonic();
    this.#send({ ...frame, deliveries: first ?? [] });
    for (const deliveries of rest) {
      if (this.#link.writable) this.#send({ ...emptyFrame(), deliveries });
      else this.#frame.deliveries.push(...deliveries);
    }
  }

  #send(frame: BrokerFrame): void {
    if (frame.deliveries.length > 0) {
      frame.seq = ++this.#seq;
      this.unconfirmedSince ??= this.#clock.monotonic();
      for (const job of frame.deliveries) this.#sent(job, frame.seq);
    }
    this.#link.send(frame);
  }
}

function emptyFrame(): BrokerFrame {
  return { seq: 0n, deliveries: [], settled: [], adopted: [], lost: [], cancels: [] };
}

function isEmpty(frame: BrokerFrame): boolean {
  const lists = frame.settled.length + frame.adopted.length + frame.lost.length + frame.cancels.length;
  return lists === 0 && frame.ping === undefined && frame.pong === undefined && frame.drain === undefined;
}

function batches(jobs: Claimed[]): Claimed[][] {
  const all: Claimed[][] = [];
  let batch: Claimed[] = [];
  let bytes = 0;
  for (const job of jobs) {
    const size = job.payload.data.length;
    const full = bytes + size > DELIVERY_FRAME_BYTES || batch.length >= DELIVERIES_PER_FRAME;
    if (batch.length === 0 || full) {
      batch = [];
      bytes = 0;
      all.push(batch);
    }
    batch.push(job);
    bytes += size;
  }
  return all;
}
