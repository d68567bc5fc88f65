/** The names of the queues: written before the first job of each, so that every broker ticks every queue that has jobs. */
import { type Keys, REGISTRIES } from "./keys.ts";
import type { Link } from "./link.ts";

/** Names remembered as written; the least that fits every sensible use. More are written again, no harm. */
const MAX_REMEMBERED = 10_000;
/** Names asked for at a time; a page holds at most twice as many. */
const HALF_PAGE = 500;

export class Registry {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #written = new Map<string, Promise<unknown>>();

  constructor(link: Link, keys: Keys) {
    this.#link = link;
    this.#keys = keys;
  }

  /** Resolves once the name is written; at once if this process wrote it. */
  async add(queue: string): Promise<void> {
    await (this.#written.get(queue) ?? this.addAgain(queue));
  }

  async addAgain(queue: string): Promise<void> {
    if (this.#written.size >= MAX_REMEMBERED) this.#written.clear();
    const writing = this.#link.command("sadd", this.#keys.registryOf(queue), queue);
    this.#written.set(queue, writing);
    try {
      await writing;
    } catch (error) {
      if (this.#written.get(queue) === writing) this.#written.delete(queue);
      throw error;
    }
  }

  forget(): void {
    this.#written.clear();
  }

  /** @param cursor "registry:cursor of SSCAN" */
  async page(cursor = "0:0"): Promise<{ queues: string[]; next?: string }> {
    const queues = new Set<string>();
    let [registry = 0, at = "0"] = [Number(cursor.split(":")[0]), cursor.split(":")[1]];
    while (registry < REGISTRIES && queues.size < HALF_PAGE) {
      const reply = await this.#link.command("sscan", this.#keys.registry(registry), at, "COUNT", HALF_PAGE);
      const [next, names] = reply as [Buffer, Buffer[]];
      for (const name of names) queues.add(name.toString());
      at = next.toString();
      if (at === "0") registry++;
    }
    return { queues: [...queues], ...(registry < REGISTRIES && { next: `${registry}:${at}` }) };
  }
}
