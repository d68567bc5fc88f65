/** All of them. */
import { broker } from "./broker.ts";
import type { Mutant } from "./mutant.ts";
import { redis } from "./redis.ts";
import { sqlite } from "./sqlite.ts";

export const mutants: readonly Mutant[] = [...sqlite, ...redis, ...broker];
