/** Everything a queue has, for tests and fsck: not atomic, not bounded. */
import { Cluster } from "ioredis";
import type { Inspection } from "../storage.ts";
import { type Reply, send } from "./client.ts";
import { type IndexName, indexNames, type Keys } from "./keys.ts";
import type { Link } from "./link.ts";
import { decodeInspected, type InspectedReply } from "./replies.ts";

export async function inspect(
  queue: string,
  link: Link,
  keys: Keys,
  read: (ids: string[]) => Promise<Reply[]>,
): Promise<Inspection> {
  const entries = indexNames.map(async (name): Promise<[IndexName, string[]]> => {
    const ids = (await link.command("zrange", keys.index(queue, name), 0, -1)) as Buffer[];
    return [name, ids.map((id) => id.toString("utf8"))];
  });
  const indexes = Object.fromEntries(await Promise.all(entries)) as Inspection["indexes"];
  const bytes = Number((await link.command("hget", keys.meta(queue), "b")) ?? 0);
  // Not by the indexes: a record that none of them names is what an inspection is for.
  const { records, others } = await partsOf(queue, link, keys);
  const ids = [...records].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const replies = (await read(ids)) as InspectedReply[];
  const orphans = [...others].filter(([, id]) => !records.has(id)).map(([key]) => key);
  return { jobs: ids.map((id, i) => decodeInspected(queue, id, replies[i]!)), indexes, bytes, orphans: orphans.sort() };
}

interface Parts {
  /** Ids. */
  records: Set<string>;
  /** Keys of all else that is kept of jobs, and whose they are. */
  others: Map<string, string>;
}

async function partsOf(queue: string, link: Link, keys: Keys): Promise<Parts> {
  const { pattern, partOf } = keys.parts(queue);
  const nodes = link.client instanceof Cluster ? link.client.nodes("master") : [link.client];
  const [records, others] = [new Set<string>(), new Map<string, string>()];
  for (const node of nodes) {
    let cursor = "0";
    do {
      const reply = await link.call(() => send(node, "scan", [cursor, "MATCH", pattern, "COUNT", 1_000]));
      const [next, found] = reply as [Buffer, Buffer[]];
      for (const key of found) {
        const { part, id } = partOf(key);
        if (part === "j") records.add(id);
        else others.set(key.toString("utf8"), id);
      }
      cursor = next.toString();
    } while (cursor !== "0");
  }
  return { records, others };
}
