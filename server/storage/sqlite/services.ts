/** The services that were announced. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { MAX_SERVICE_METHODS, MAX_SERVICES } from "../../../protocol/limits.ts";
import type { Service } from "../storage.ts";

interface Row {
  /** JSON. */
  methods: string;
  descriptor_set: Uint8Array | null;
}

export class Services {
  readonly #find: StatementSync;
  readonly #save: StatementSync;
  readonly #names: StatementSync;
  readonly #forget: StatementSync;

  constructor(db: DatabaseSync) {
    this.#find = db.prepare("SELECT methods, descriptor_set FROM services WHERE name = ?");
    this.#save = db.prepare("INSERT OR REPLACE INTO services (name, methods, descriptor_set) VALUES (?, ?, ?)");
    this.#forget = db.prepare("DELETE FROM services WHERE name = ?");
    this.#names = db.prepare("SELECT name FROM services ORDER BY name");
  }

  add({ name, methods, descriptorSet }: Service): "added" | "full" {
    const known = this.find(name);
    if (!known && this.names().length >= MAX_SERVICES) return "full";
    const all = [...new Set([...(known?.methods ?? []), ...methods])].sort();
    if (all.length > MAX_SERVICE_METHODS) return "full";
    this.#save.run(name, JSON.stringify(all), descriptorSet ?? known?.descriptorSet ?? null);
    return "added";
  }

  find(name: string): Service | undefined {
    const row = this.#find.get(name) as Row | undefined;
    if (!row) return undefined;
    const descriptorSet = row.descriptor_set;
    return { name, methods: JSON.parse(row.methods), ...(descriptorSet && { descriptorSet }) };
  }

  forget(name: string): void {
    this.#forget.run(name);
  }

  names(): string[] {
    return (this.#names.all() as { name: string }[]).map(({ name }) => name);
  }
}
