/**
 * What waits to leave on one stream. Everything in it is bounded by the jobs the
 * worker holds: one renewal, one settlement, one report each, and single values.
 */
import { create } from "@bufbuild/protobuf";
import {
  DrainSchema,
  type ProgressReport,
  type Renewal,
  type Settlement,
  type WorkerFrame,
} from "../gen/queuecall/v1/worker_pb.js";
import { Table } from "../protocol/table.ts";

/** Frames are cut at about this size, so that a pong never waits long behind results. */
const FRAME_BYTES = 1024 * 1024;
/** Room for tags, lengths, token and ids beside the variable part of an item. */
const ITEM_BYTES = 64;

export class Outbox {
  receivedSeq = 0n;
  window: number | undefined;
  ping: bigint | undefined;
  pong: bigint | undefined;
  drain: string | undefined;
  /** Each keyed by lease token, so that the newest replaces the one before. */
  readonly renewals = new Table<string, Renewal>();
  readonly progress = new Table<string, ProgressReport>();
  readonly settlements = new Table<string, Settlement>();

  get empty(): boolean {
    return (
      this.receivedSeq === 0n &&
      this.window === undefined &&
      this.ping === undefined &&
      this.pong === undefined &&
      this.drain === undefined &&
      this.renewals.size + this.progress.size + this.settlements.size === 0
    );
  }

  /** The next frame, not larger than FRAME_BYTES unless a single result is. What it holds has left the box. */
  next(): WorkerFrame {
    let room = FRAME_BYTES;
    const cut = <T>(items: Table<string, T>, sizeOf: (item: T) => number): T[] => {
      const taken: T[] = [];
      for (const [key, item] of items) {
        const size = sizeOf(item);
        if (size > room && room < FRAME_BYTES) break;
        room -= size;
        taken.push(item);
        items.delete(key);
      }
      return taken;
    };
    const frame: WorkerFrame = {
      $typeName: "queuecall.v1.WorkerFrame",
      receivedSeq: this.receivedSeq,
      renewals: cut(this.renewals, idBytes),
      settlements: cut(this.settlements, settlementBytes),
      progress: cut(this.progress, progressBytes),
    };
    if (this.window !== undefined) frame.window = this.window;
    if (this.pong !== undefined) frame.pong = { $typeName: "queuecall.v1.Pong", nonce: this.pong };
    if (this.drain !== undefined) frame.drain = create(DrainSchema, { reason: this.drain });
    this.receivedSeq = 0n;
    this.window = this.pong = this.drain = undefined;
    // The pong to this ping vouches for the renewals sent up to it: it leaves after the last of them.
    if (this.ping !== undefined && this.renewals.size === 0) {
      frame.ping = { $typeName: "queuecall.v1.Ping", nonce: this.ping };
      this.ping = undefined;
    }
    return frame;
  }
}

function idBytes(item: { queue: string; jobId: string }): number {
  return ITEM_BYTES + item.queue.length + item.jobId.length * 3;
}

function progressBytes(report: ProgressReport): number {
  const { message = "", details } = report.progress ?? {};
  return idBytes(report) + message.length * 3 + (details?.data.length ?? 0) + 2 * ITEM_BYTES;
}

/** An upper bound of what a settlement takes on the wire. */
export function settlementBytes(settlement: Settlement): number {
  const own = idBytes(settlement);
  const { outcome } = settlement;
  if (outcome.case === "completed") {
    const { data, contentType = "", messageType = "" } = outcome.value.payload ?? {};
    return own + (data?.length ?? 0) + (contentType.length + messageType.length) * 3 + ITEM_BYTES;
  }
  if (outcome.case !== "failed") return own;
  const { status, type, stack } = outcome.value;
  const details = status?.details.reduce((sum, { typeUrl, value }) => sum + typeUrl.length + value.length + 16, 0) ?? 0;
  return own + ((status?.message.length ?? 0) + type.length + stack.length) * 3 + details + ITEM_BYTES;
}
