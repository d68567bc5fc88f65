/** From a storage URL to a backend. Backends load when they are asked for, so that a SQLite broker never loads the Redis client. */
import type { Storage, StorageOptions } from "./storage.ts";
import { StorageRefused } from "./storage.ts";

/**
 * Opens `memory:`, `sqlite:PATH`, `redis://`, `rediss://`, `redis+cluster://`, `redis+sentinel://`.
 * @throws StorageRefused when the storage cannot be used as it is
 */
export async function openStorage(url: string, options: StorageOptions): Promise<Storage> {
  const scheme = url.slice(0, url.indexOf(":") + 1);
  switch (scheme) {
    case "memory:":
    case "sqlite:":
      return (await import("./sqlite/sqlite-storage.ts")).openSqlite(url, options);
    case "redis:":
    case "rediss:":
    case "redis+cluster:":
    case "redis+sentinel:":
      return (await import("./redis/redis-storage.ts")).openRedis(url, options);
    default:
      throw new StorageRefused(
        `storage URL: unknown scheme "${scheme || url.slice(0, 20)}"; use memory:, sqlite:PATH, redis://HOST:PORT, rediss://, redis+cluster:// or redis+sentinel://`,
      );
  }
}
