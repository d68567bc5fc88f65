/**
 * The gRPC services that workers announced, on any broker, at any time. What this broker knows of one it takes from
 * memory; what it does not know it looks up, so that a service can be called everywhere from the moment it is stored.
 */
import type { Clock } from "../../protocol/clock.ts";
import { MAX_SERVICES } from "../../protocol/limits.ts";
import type { Service } from "../storage/storage.ts";

/** What is known is read again after this long: another broker may have stored newer descriptors. Milliseconds. */
const FRESH_MS = 30_000;

/** Services of a page: with all their methods they fit into a message. */
const PAGE = 10;

/** A service as it is asked for. The same object for as long as nothing about it changes. */
export interface KnownService extends Pick<Service, "name" | "descriptorSet"> {
  /** Paths. */
  readonly methods: ReadonlySet<string>;
}

export interface ServicesHost {
  readonly clock: Clock;
  add(service: Service): Promise<"added" | "full">;
  /** Throws what may cross the wire. */
  read(name: string): Promise<Service | undefined>;
  names(): Promise<string[]>;
  forget(name: string): Promise<void>;
  /** There was no room for it: it cannot be called. */
  noRoom(service: string): void;
}

export class Services {
  readonly #host: ServicesHost;
  readonly #known = new Map<string, { service: KnownService; readAt: number }>();
  readonly #reading = new Map<string, Promise<KnownService | undefined>>();
  /** What streams of this broker announced: told again to a storage that comes back, since it may have lost it. */
  readonly #announced = new Map<string, { service: Service; at: number }>();

  constructor(host: ServicesHost) {
    this.#host = host;
  }

  /** Streams announced them. Best effort: what is not stored now is when the storage is back, or with the next stream. */
  announce(services: readonly Service[]): void {
    for (const service of services) {
      if (this.#saidBefore(service)) continue;
      if (this.#announced.size < MAX_SERVICES) this.#announced.set(service.name, { service, at: this.#now });
      void this.#store(service);
    }
  }

  announceAgain(): void {
    for (const { service } of this.#announced.values()) void this.#store(service);
  }

  /** One that has this method; else as much of it as there is. Undefined: nobody ever announced it. */
  async find(name: string, method: string): Promise<KnownService | undefined> {
    const known = this.#known.get(name);
    const takesAny = known?.service.methods.has(`/${name}/*`);
    if (!known || !(takesAny || known.service.methods.has(method))) return this.#read(name);
    if (this.#now - known.readAt > FRESH_MS) this.#read(name).catch(() => {});
    return known.service;
  }

  /** By its name alone. */
  read(name: string): Promise<KnownService | undefined> {
    return this.#read(name);
  }

  names(): Promise<string[]> {
    return this.#host.names();
  }

  /** Some of them, by name. `next`: where to go on, if there are more. */
  async page(after = ""): Promise<{ page: KnownService[]; next?: string }> {
    const names = (await this.names()).filter((name) => name > after);
    const page = await Promise.all(names.slice(0, PAGE).map((name) => this.read(name)));
    const next = names.length > PAGE ? names[PAGE - 1] : undefined;
    // One may have been forgotten meanwhile.
    return { page: page.filter((service) => service !== undefined), ...(next !== undefined && { next }) };
  }

  /** Other brokers go on with it until they read it anew; a worker that announces it brings it back. */
  async forget(name: string): Promise<void> {
    await this.#host.forget(name);
    this.#drop(name);
  }

  get #now(): number {
    return this.#host.clock.monotonic();
  }

  /** And lately: it may have been forgotten since, at another broker. */
  #saidBefore({ name, methods, descriptorSet }: Service): boolean {
    const { service: said, at = 0 } = this.#announced.get(name) ?? {};
    if (!said || this.#now - at > FRESH_MS) return false;
    return methods.every((each) => said.methods.includes(each)) && same(said, { descriptorSet });
  }

  #drop(name: string): void {
    this.#known.delete(name);
    this.#announced.delete(name);
  }

  async #store(service: Service): Promise<void> {
    try {
      const answer = await this.#host.add(service);
      if (answer === "full") this.#host.noRoom(service.name);
      else await this.#read(service.name);
    } catch {
      // The storage is away: `announceAgain` follows.
    }
  }

  /** Many may ask for one at a time; it is read once. */
  #read(name: string): Promise<KnownService | undefined> {
    const reading = this.#reading.get(name) ?? this.#readNow(name).finally(() => this.#reading.delete(name));
    this.#reading.set(name, reading);
    return reading;
  }

  async #readNow(name: string): Promise<KnownService | undefined> {
    const service = await this.#host.read(name);
    if (!service) {
      this.#drop(name);
      return undefined;
    }
    const before = this.#known.get(name)?.service;
    const unchanged = before && same(before, service) && before.methods.size === service.methods.length;
    const now = unchanged ? before : { ...service, methods: new Set(service.methods) };
    this.#known.set(name, { service: now, readAt: this.#now });
    return now;
  }
}

function same(a: Pick<Service, "descriptorSet">, b: { descriptorSet: Uint8Array | undefined } | Service): boolean {
  return Buffer.compare(a.descriptorSet ?? new Uint8Array(), b.descriptorSet ?? new Uint8Array()) === 0;
}
