/** What the keys themselves say, whatever indexes and lists of names say: for fsck. Goes through all of them. */
import { Cluster, type Redis } from "ioredis";
import type { Survey } from "../storage.ts";
import { send } from "./client.ts";
import type { Keys } from "./keys.ts";
import type { Link } from "./link.ts";

export async function survey(link: Link, keys: Keys): Promise<Survey> {
  const queues = new Set<string>();
  const wrongTypes: Survey["wrongTypes"] = [];
  for await (const [node, found] of scan(link, keys.pattern())) {
    const types = await Promise.all(found.map((key) => link.call(() => send(node, "type", [key]))));
    for (const [i, key] of found.entries()) {
      const known = keys.describe(key.toString("utf8"));
      if (known?.ofJobs) queues.add(known.queue);
      const type = String(types[i]);
      // "none": it has gone meanwhile.
      if (known === undefined || type === known.type || type === "none") continue;
      const detail = `${key.toString("utf8")} is a ${type}, a ${known.type} belongs there`;
      wrongTypes.push({ ...(known.queue !== "" && { queue: known.queue }), detail });
    }
  }
  return { queues: [...queues].sort(), wrongTypes: wrongTypes.sort((a, b) => (a.detail < b.detail ? -1 : 1)) };
}

/** Keys that match, some hundreds at a time, and the node that has them. A key may come twice. */
export async function* scan(link: Link, pattern: string): AsyncGenerator<[node: Redis, keys: Buffer[]], void> {
  const nodes = link.client instanceof Cluster ? link.client.nodes("master") : [link.client];
  for (const node of nodes) {
    let cursor = "0";
    do {
      const reply = await link.call(() => send(node, "scan", [cursor, "MATCH", pattern, "COUNT", 1_000]));
      const [next, found] = reply as [Buffer, Buffer[]];
      yield [node, found];
      cursor = next.toString();
    } while (cursor !== "0");
  }
}
