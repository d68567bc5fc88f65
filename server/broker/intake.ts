/**
 * Enqueues that wait for the storage: bounded in number and bytes, so that a
 * storage that stands still is not queued for without end. Whatever drains
 * (settlements, renewals, cancellations) is not counted here, and finds room in
 * the storage's own bound, which is higher.
 */
import { CallError } from "../../protocol/errors.ts";
import type { BrokerSettings } from "../settings.ts";

export class Intake {
  readonly #settings: Pick<BrokerSettings, "maxEnqueues" | "maxEnqueueBytes">;
  readonly #refused: (error: CallError) => CallError;
  #count = 0;
  #bytes = 0;

  /** @param refused told of each refusal */
  constructor(
    settings: Pick<BrokerSettings, "maxEnqueues" | "maxEnqueueBytes">,
    refused: (error: CallError) => CallError,
  ) {
    this.#settings = settings;
    this.#refused = refused;
  }

  /** Enqueues under way. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of their payloads. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * One more. Answers the way to say that the storage has answered: once.
   * @throws CallError RATE_LIMITED where there is no room: nothing was stored
   */
  enter(bytes: number): () => void {
    const { maxEnqueues, maxEnqueueBytes } = this.#settings;
    if (this.#count >= maxEnqueues) throw this.#refused(crowded("max_enqueues", maxEnqueues, "enqueues"));
    // One that is larger than the bound goes through alone.
    if (this.#bytes > 0 && this.#bytes + bytes > maxEnqueueBytes) {
      throw this.#refused(crowded("max_enqueue_bytes", maxEnqueueBytes, "bytes of payloads"));
    }
    this.#count++;
    this.#bytes += bytes;
    return () => {
      this.#count--;
      this.#bytes -= bytes;
    };
  }
}

function crowded(limit: string, most: number, what: string): CallError {
  const text = `${most} ${what} wait for the storage, this broker's limit (${limit}): nothing was stored; try again later or at another one`;
  return new CallError("RATE_LIMITED", text, { metadata: { limit, [limit]: String(most) }, retryAfterMs: 500 });
}
