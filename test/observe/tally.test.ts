/** Sums that prom-client hears of at a scrape read as if it had been told of each event. */
import { Counter, Histogram, Registry } from "prom-client";
import { expect, test } from "vitest";
import { Distributions, Tallies } from "../../server/observe/tally.ts";

const labelNames = ["queue"] as const;
const buckets = [0.001, 0.01, 0.1, 1];

test("a counter, and a histogram with values between, at, below and above its bounds", async () => {
  const ours = new Registry();
  const theirs = new Registry();
  const [counted, timed] = [
    { name: "jobs_total", help: "Jobs" },
    { name: "wait_seconds", help: "Wait" },
  ];
  const tallies = new Tallies({ ...counted, labelNames, registry: ours });
  const distributions = new Distributions({ ...timed, labelNames, buckets, registry: ours });
  const counter = new Counter({ ...counted, labelNames, registers: [theirs] });
  const histogram = new Histogram({ ...timed, labelNames, buckets, registers: [theirs] });
  const same = async () => expect(await ours.metrics()).toBe(await theirs.metrics());

  await same();
  for (const queue of ["mail", 'a"b\\c']) {
    const tally = tallies.labels({ queue });
    const distribution = distributions.labels({ queue });
    await same();
    for (const value of [0, 0.001, 0.002, 0.01, 0.5, 1, 1.5, 3_600]) {
      tally.inc();
      counter.labels({ queue }).inc();
      distribution.observe(value);
      histogram.labels({ queue }).observe(value);
    }
    await same();
  }
  await same();
});

test("registries that are merged keep what is in them", async () => {
  const registry = new Registry();
  tallyOnce(registry);
  expect(await Registry.merge([registry, new Registry()]).metrics()).toContain('wait_seconds_count{queue="mail"} 1');
});

function tallyOnce(registry: Registry): void {
  new Distributions({ name: "wait_seconds", help: "Wait", labelNames, buckets, registry })
    .labels({ queue: "mail" })
    .observe(0.5);
}
