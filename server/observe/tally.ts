/**
 * What events add up to between scrapes. A broker counts a dozen things a job, and prom-client puts labels together,
 * checks them and looks them up for each: here an event is an addition, and prom-client hears of the sum at a scrape.
 */
import { Counter, type Histogram, type Registry } from "prom-client";

export interface About<Label extends string> {
  name: string;
  help: string;
  labelNames: readonly Label[];
  registry: Registry;
}

/** One series of a counter. */
export class Tally {
  count = 0;

  inc(): void {
    this.count++;
  }
}

/** A counter; a series of it appears once something was counted. */
export class Tallies<Label extends string> {
  readonly #series: { labels: Record<Label, string>; tally: Tally; told: number }[] = [];

  constructor({ name, help, labelNames, registry }: About<Label>) {
    const counter: Counter<Label> = new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect: () => {
        for (const each of this.#series) {
          const { count } = each.tally;
          if (count > each.told) counter.inc(each.labels, count - each.told);
          each.told = count;
        }
      },
    });
  }

  /** Asked once for each series. */
  labels(labels: Record<Label, string>): Tally {
    const tally = new Tally();
    this.#series.push({ labels, tally, told: 0 });
    return tally;
  }
}

/** One series of a histogram. */
export class Distribution {
  readonly #bounds: readonly number[];
  /** By bucket, not added up; the last is of what is above all bounds. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += value;
  }
}

/** A histogram; a series of it appears once something was observed. */
export class Distributions<Label extends string> {
  readonly #bounds: readonly number[];
  readonly #series: { labels: Record<Label, string>; distribution: Distribution }[] = [];

  constructor({ name, help, labelNames, registry, buckets }: About<Label> & { buckets: readonly number[] }) {
    this.#bounds = buckets;
    const histogram = {
      name,
      help,
      labelNames,
      type: "histogram",
      aggregator: "sum",
      get: async () => ({ name, help, type: "histogram", aggregator: "sum", values: this.#values(name) }),
    };
    // prom-client has no way to tell a Histogram of many values at once; of what is registered it asks no more than this.
    registry.registerMetric(histogram as unknown as Histogram<Label>);
  }

  /** Asked once for each series. */
  labels(labels: Record<Label, string>): Distribution {
    const distribution = new Distribution(this.#bounds);
    this.#series.push({ labels, distribution });
    return distribution;
  }

  #values(name: string) {
    return this.#series.flatMap(({ labels, distribution: { counts, sum } }) => {
      let count = 0;
      const buckets = counts.map((each, i) => {
        count += each;
        return { metricName: `${name}_bucket`, labels: { le: this.#bounds[i] ?? "+Inf", ...labels }, value: count };
      });
      if (count === 0) return [];
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    });
  }
}
