/** Everything a queue has, for tests and fsck: not atomic, not bounded. */
import type { Inspection } from "../storage.ts";
import type { Argument, Reply } from "./client.ts";
import { type IndexName, indexNames, type Keys } from "./keys.ts";
import { isWrongType, type Link } from "./link.ts";
import { decodeInspected, type InspectedReply } from "./replies.ts";
import { scan } from "./survey.ts";

export async function inspect(
  queue: string,
  link: Link,
  keys: Keys,
  read: (ids: string[]) => Promise<Reply[]>,
): Promise<Inspection> {
  const entries = indexNames.map(async (name): Promise<[IndexName, string[]]> => {
    const ids = (await ask(link, "zrange", keys.index(queue, name), 0, -1)) as Buffer[] | null;
    return [name, (ids ?? []).map((id) => id.toString("utf8"))];
  });
  const indexes = Object.fromEntries(await Promise.all(entries)) as Inspection["indexes"];
  const bytes = Number((await ask(link, "hget", keys.meta(queue), "b")) ?? 0);
  // Not by the indexes: a record that none of them names is what an inspection is for.
  const { records, others } = await partsOf(queue, link, keys);
  const ids = [...records].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const replies = (await read(ids)) as InspectedReply[];
  const orphans = [...others].filter(([, id]) => !records.has(id)).map(([key]) => key);
  // A record that is no hash is none: the survey names it.
  const jobs = ids.flatMap((id, i) => (replies[i]![0] === null ? [] : [decodeInspected(queue, id, replies[i]!)]));
  return { jobs, indexes, bytes, orphans: orphans.sort() };
}

/** Null where the key is of another type: the survey says so. */
async function ask(link: Link, name: string, ...args: Argument[]): Promise<Reply> {
  try {
    return await link.command(name, ...args);
  } catch (error) {
    if (isWrongType(error)) return null;
    throw error;
  }
}

interface Parts {
  /** Ids. */
  records: Set<string>;
  /** Keys of all else that is kept of jobs, and whose they are. */
  others: Map<string, string>;
}

async function partsOf(queue: string, link: Link, keys: Keys): Promise<Parts> {
  const { pattern, partOf } = keys.parts(queue);
  const [records, others] = [new Set<string>(), new Map<string, string>()];
  for await (const [, found] of scan(link, pattern)) {
    for (const key of found) {
      const { part, id } = partOf(key);
      if (part === "j") records.add(id);
      else others.set(key.toString("utf8"), id);
    }
  }
  return { records, others };
}
