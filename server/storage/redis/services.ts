/** The services that were announced: their names in one set, and of each its methods and its descriptor set in one hash. */
import { MAX_SERVICE_METHODS, MAX_SERVICES } from "../../../protocol/limits.ts";
import type { Service } from "../storage.ts";
import type { Argument, Reply } from "./client.ts";
import type { Keys } from "./keys.ts";
import type { Link } from "./link.ts";

const DESCRIPTORS = "descriptors";

type Run = (script: "add-service" | "forget-service", keys: string[], args: Argument[]) => Promise<Reply>;

export class Services {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #run: Run;

  constructor(link: Link, keys: Keys, run: Run) {
    this.#link = link;
    this.#keys = keys;
    this.#run = run;
  }

  /** Answers whether there was room. */
  async add({ name, methods, descriptorSet }: Service): Promise<boolean> {
    const terms = [name, MAX_SERVICES, MAX_SERVICE_METHODS, descriptorSet ?? "", ...methods];
    return (await this.#run("add-service", this.#keysOf(name), terms)) === 1;
  }

  async forget(name: string): Promise<void> {
    await this.#run("forget-service", this.#keysOf(name), [name]);
  }

  async find(name: string): Promise<Service | undefined> {
    // ioredis makes an object of this reply.
    const fields = (await this.#link.command("hgetall", this.#keys.service(name))) as unknown as Record<string, Buffer>;
    const { [DESCRIPTORS]: descriptorSet, ...methods } = fields;
    const paths = Object.keys(methods).sort();
    return paths.length > 0 ? { name, methods: paths, ...(descriptorSet && { descriptorSet }) } : undefined;
  }

  async names(): Promise<string[]> {
    const names = (await this.#link.command("smembers", this.#keys.services())) as Buffer[];
    return names.map((name) => name.toString()).sort();
  }

  #keysOf(name: string): string[] {
    return [this.#keys.services(), this.#keys.service(name)];
  }
}
