/**
 * The names of the queues: written before the first job of each, so that every broker ticks every queue that has jobs.
 *
 * A name goes when its queue is empty and nobody has written it for long. That needs no lock over two slots: who uses a
 * queue writes its name again each minute, and before anything else, so whatever comes into an empty queue has a name
 * much too young to go.
 */

import type { Argument, Reply } from "./client.ts";
import { type Keys, REGISTRIES } from "./keys.ts";
import { isWrongType, type Link } from "./link.ts";

/** Names remembered as written; the least that fits every sensible use. More are written again, no harm. */
const MAX_REMEMBERED = 10_000;
/** A name in use is written this often. */
const WRITE_AGAIN_MS = 60_000;
/** A name that was not written for this long is not in use: far above WRITE_AGAIN_MS and the longest call. */
const UNUSED_MS = 600_000;
/** Names asked for at a time; a page holds at most twice as many. */
const HALF_PAGE = 500;

export interface RegistryOptions {
  link: Link;
  keys: Keys;
  /** Milliseconds from anywhere, never back. */
  now(): number;
  run(script: "name" | "unname", keys: string[], args: Argument[]): Promise<Reply>;
}

interface Written {
  writing: Promise<unknown>;
  at: number;
  done: boolean;
}

export class Registry {
  readonly #o: RegistryOptions;
  readonly #written = new Map<string, Written>();

  constructor(options: RegistryOptions) {
    this.#o = options;
  }

  /** Undefined where this process wrote the name of late; else resolves once it is written, for all that wait in the order in which they asked. */
  add(queue: string): Promise<unknown> | undefined {
    const last = this.#written.get(queue);
    if (!last || this.#o.now() - last.at >= WRITE_AGAIN_MS) return this.addAgain(queue);
    return last.done ? undefined : last.writing;
  }

  addAgain(queue: string): Promise<unknown> {
    if (this.#written.size >= MAX_REMEMBERED) this.#written.clear();
    const writing = this.#o.run("name", this.#keyOf(queue), [queue]);
    const entry: Written = { writing, at: this.#o.now(), done: false };
    this.#written.set(queue, entry);
    writing.then(
      () => (entry.done = true),
      () => this.#written.get(queue) === entry && this.#written.delete(queue),
    );
    return writing;
  }

  /** The queue is empty. Answers whether it has no name any more. */
  async drop(queue: string): Promise<boolean> {
    return (await this.#o.run("unname", this.#keyOf(queue), [queue, UNUSED_MS])) === 1;
  }

  forget(): void {
    this.#written.clear();
  }

  /** @param cursor "registry:cursor of ZSCAN" */
  async page(cursor = "0:0"): Promise<{ queues: string[]; next?: string }> {
    const { link, keys } = this.#o;
    const queues = new Set<string>();
    let [registry = 0, at = "0"] = [Number(cursor.split(":")[0]), cursor.split(":")[1]];
    while (registry < REGISTRIES && queues.size < HALF_PAGE) {
      const [next, pairs] = await scanOf(link, keys.registry(registry), at);
      for (let i = 0; i < pairs.length; i += 2) queues.add(pairs[i]!.toString());
      at = next.toString();
      if (at === "0") registry++;
    }
    return { queues: [...queues], ...(registry < REGISTRIES && { next: `${registry}:${at}` }) };
  }

  #keyOf(queue: string): string[] {
    return [this.#o.keys.registryOf(queue)];
  }
}

async function scanOf(link: Link, key: string, cursor: string): Promise<[next: Buffer, pairs: Buffer[]]> {
  try {
    return (await link.command("zscan", key, cursor, "COUNT", HALF_PAGE)) as [Buffer, Buffer[]];
  } catch (error) {
    // The others are still to be had.
    if (isWrongType(error)) return [Buffer.from("0"), []];
    throw error;
  }
}
