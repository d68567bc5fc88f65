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
  // Not by the indexes: a job that none of them names is what an inspection is for.
  const ids = await idsOf(queue, link, keys);
  const replies = (await read(ids)) as InspectedReply[];
  const jobs: Inspection["jobs"] = [];
  const orphans: string[] = [];
  for (const [i, id] of ids.entries()) {
    const [record] = replies[i]!;
    if (record) jobs.push(decodeInspected(queue, id, replies[i]!));
    // Undefined: that key is no hash, which the survey says.
    else if (record === null) orphans.push(keys.job(queue, id));
  }
  return { jobs, indexes, bytes, orphans };
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

/** In the order of their bytes. */
async function idsOf(queue: string, link: Link, keys: Keys): Promise<string[]> {
  const { pattern, idOf } = keys.jobs(queue);
  const ids = new Set<string>();
  for await (const [, found] of scan(link, pattern)) for (const key of found) ids.add(idOf(key));
  return [...ids].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
