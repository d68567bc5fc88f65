/** docs/observability.md: Prometheus finds what it is told to scrape, and alerts speak of metrics that there are. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { createQueueClient } from "../../client/index.ts";
import { type BrokerServer, createBroker } from "../../server/index.ts";
import { createWorker, NonRetryableError } from "../../worker/index.ts";
import { type Exposition, parse } from "../observe/exposition.ts";
import { blocks } from "./blocks.ts";

const yaml = (begins: string) => {
  const block = blocks.find(({ file, lines }) => file === "docs/observability.md" && lines[0] === begins);
  return parseYaml((block?.lines ?? []).join("\n"));
};

let broker: BrokerServer;
beforeAll(async () => {
  broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0", http: "127.0.0.1:0" });
});
afterAll(() => broker.close());

/** As Prometheus does by default: path and scheme, and the format that it asks for. */
async function scrape(target: string, config: { metrics_path?: string; scheme?: string }): Promise<Exposition> {
  const { metrics_path: path = "/metrics", scheme = "http" } = config;
  const accept = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
  const answer = await fetch(`${scheme}://${target}${path}`, { headers: { accept } });
  expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  return parse(await answer.text());
}

test("its targets are scraped", async () => {
  const { scrape_configs: configs } = yaml("scrape_configs:");
  const targets = configs.flatMap((config: { static_configs: { targets: string[] }[] }) =>
    config.static_configs.flatMap((each) => each.targets.map((target) => ({ target, config }))),
  );
  expect(targets).toHaveLength(2);
  for (const { target, config } of targets) {
    const here = target.replace(/^broker-\d:8455$/, broker.httpAddress!);
    expect((await scrape(here, config)).value("queuecall_storage_ready")).toBe(1);
  }
});

test("every metric and label of its alerts is there", async () => {
  const url = `http://${broker.grpcAddress}`;
  await using client = createQueueClient({ url });
  const worker = createWorker({ url }).handle("q", () => {
    throw new NonRetryableError("no");
  });
  const running = worker.run();
  await client
    .queue("q")
    .enqueueAndWait("a", 1)
    .catch(() => {});
  await worker.close();
  await running;
  const { types, samples } = await scrape(broker.httpAddress!, {});
  const names = new Set([...types.keys(), ...samples.map(({ name }) => name)]);
  const rules: { alert: string; expr: string; for?: string }[] = yaml("groups:").groups[0].rules;
  expect(rules.length).toBeGreaterThan(5);
  for (const { alert, expr, for: lasting } of rules) {
    const selectors = [...expr.matchAll(/\b((?:queuecall|nodejs|process)_\w+)(?:\{([^}]*)\})?/g)];
    const grouped = [...expr.matchAll(/\bby \(([\w, ]+)\)/g)].flatMap(([, list = ""]) => list.split(/, */));
    expect(selectors, alert).not.toEqual([]);
    for (const [, name = "", matchers = ""] of selectors) {
      expect(names, alert).toContain(name);
      const known = new Set(samples.filter((each) => each.name === name).flatMap((each) => Object.keys(each.labels)));
      // `job` is made by Prometheus, of the configuration above. A counter that never counted has no labels to look at.
      const used = [...matchers.matchAll(/(\w+)\s*=/g)].map(([, label]) => label!).filter((label) => label !== "job");
      const missing = [...used, ...grouped].filter((label) => !known.has(label));
      if (samples.some((each) => each.name === name)) expect(missing, `${alert}: ${name}`).toEqual([]);
    }
    expect(lasting ?? "1m", alert).toMatch(/^\d+m$/);
  }
});
