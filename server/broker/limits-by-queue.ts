/** Which limits each queue has: the rules of the settings, the closest one first. */
import type { QueueLimits } from "../job/job.ts";
import type { BrokerSettings } from "../settings.ts";

type Rules = Pick<BrokerSettings, "maxQueueLength" | "maxQueueBytes" | "queues">;

export class LimitsByQueue {
  readonly #everywhere: QueueLimits;
  readonly #byName = new Map<string, QueueLimits>();
  /** Longest first. */
  readonly #byStart: { start: string; limits: QueueLimits }[] = [];

  constructor({ maxQueueLength, maxQueueBytes, queues }: Rules) {
    this.#everywhere = { maxLength: maxQueueLength, maxBytes: maxQueueBytes };
    for (const { queue, ...own } of queues) {
      const limits = { ...this.#everywhere, ...own };
      if (queue.endsWith("*")) this.#byStart.push({ start: queue.slice(0, -1), limits });
      else this.#byName.set(queue, limits);
    }
    this.#byStart.sort((a, b) => b.start.length - a.start.length);
  }

  of(queue: string): QueueLimits {
    const rule = this.#byName.get(queue) ?? this.#byStart.find(({ start }) => queue.startsWith(start))?.limits;
    return rule ?? this.#everywhere;
  }
}
