/**
 * Outcomes on their way to the broker. Each is kept until it is answered, and
 * sent again on the next stream, to whichever broker, until then: a repeat of an
 * accepted one is a DUPLICATE, which is as good as OK.
 */
import { type Settled, Settled_Result, type Settlement } from "../gen/queuecall/v1/worker_pb.js";
import { reconnectMs } from "../protocol/backoff.ts";
import type { Clock, Timer } from "../protocol/clock.ts";
import { Code } from "../protocol/errors.ts";
import { Table } from "../protocol/table.ts";
import type { Attempt } from "./attempt.ts";
import type { Logger } from "./logger.ts";
import { settlementBytes } from "./outbox.ts";
import { failure, type Outcome } from "./outcome.ts";
import type { Stream } from "./stream.ts";

interface Pending {
  id: number;
  attempt: Attempt;
  settlement: Settlement;
  /** How often the storage did not answer. */
  retries: number;
  at: { kind: "here" } | { kind: "sent"; stream: Stream } | { kind: "resting"; timer: Timer };
}

export interface SettlementsHost {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where to send, if anywhere. */
  readonly stream: Stream | undefined;
  /** The broker's last word on it. */
  answered(attempt: Attempt): void;
}

export class Settlements {
  readonly #host: SettlementsHost;
  /** By settle id, as a number: a map of bigints is slow. */
  readonly #pending = new Table<number, Pending>();
  #ids = 0;

  constructor(host: SettlementsHost) {
    this.#host = host;
  }

  add(attempt: Attempt, outcome: Outcome): void {
    const id = ++this.#ids;
    const settlement = settlementOf(attempt, BigInt(id), outcome);
    attempt.phase = "settling";
    const pending: Pending = { id, attempt, settlement, retries: 0, at: { kind: "here" } };
    this.#pending.set(id, pending);
    this.#send(pending);
  }

  /** A stream was opened: everything that is not on its way leaves there. */
  flush(): void {
    for (const pending of this.#pending.values()) if (pending.at.kind === "here") this.#send(pending);
  }

  /** A stream is gone: what was not answered on it is due again. */
  lost(stream: Stream): void {
    for (const pending of this.#pending.values()) {
      if (pending.at.kind === "sent" && pending.at.stream === stream) pending.at = { kind: "here" };
    }
    this.flush();
  }

  answered(settled: Settled): void {
    const pending = this.#pending.get(Number(settled.settleId));
    if (!pending) return;
    switch (settled.result) {
      case Settled_Result.OK:
      case Settled_Result.DUPLICATE:
        return this.#done(pending);
      case Settled_Result.LEASE_LOST:
        this.#log(pending, "the lease was lost before the job was settled; its outcome is dropped");
        return this.#done(pending);
      case Settled_Result.REJECTED:
        this.#log(pending, `the broker rejected the outcome: ${settled.status?.message ?? "no reason given"}`);
        return this.#done(pending);
      default:
        this.#rest(pending);
    }
  }

  /** Forgets everything. Leases run out by themselves. */
  close(): void {
    for (const { at } of this.#pending.values()) if (at.kind === "resting") at.timer.cancel();
    this.#pending.clear();
  }

  #send(pending: Pending): void {
    const { stream } = this.#host;
    const terms = stream?.terms;
    if (!stream || !terms) return;
    pending.at = { kind: "sent", stream };
    stream.outbox.progress.delete(pending.attempt.token);
    stream.outbox.settlements.set(pending.attempt.token, fitting(pending.settlement, terms.maxMessageBytes));
    stream.touch();
  }

  /** The storage did not answer: again, later. */
  #rest(pending: Pending): void {
    if (pending.at.kind === "resting") return;
    const { clock } = this.#host;
    const again = () => {
      pending.at = { kind: "here" };
      this.#send(pending);
    };
    pending.at = { kind: "resting", timer: clock.setTimer(again, reconnectMs(pending.retries++, clock.random())) };
  }

  #done(pending: Pending): void {
    if (pending.at.kind === "resting") pending.at.timer.cancel();
    this.#pending.delete(pending.id);
    this.#host.answered(pending.attempt);
  }

  #log({ settlement: { queue, jobId, outcome } }: Pending, message: string): void {
    this.#host.logger.warn({ queue, jobId, outcome: outcome.case }, message);
  }
}

function settlementOf({ delivery }: Attempt, settleId: bigint, outcome: Outcome): Settlement {
  const { queue, jobId, leaseToken } = delivery;
  return { $typeName: "queuecall.v1.Settlement", settleId, queue, jobId, leaseToken, outcome };
}

/** A result that no frame can carry ends the job instead: sent, it would end the stream and every job on it. */
function fitting(settlement: Settlement, maxMessageBytes: number): Settlement {
  const size = settlementBytes(settlement);
  if (settlement.outcome.case !== "completed" || size <= maxMessageBytes - 1024) return settlement;
  const text = `RESULT_TOO_LARGE: the result takes ${size} bytes, a message at most ${maxMessageBytes}: store it elsewhere and return a reference`;
  return { ...settlement, outcome: failure(Code.OUT_OF_RANGE, text, false, "RangeError") };
}
