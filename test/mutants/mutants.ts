/** All of them. */
import { broker } from "./broker.ts";
import type { Mutant } from "./mutant.ts";
import { redis } from "./redis.ts";
import { simulated } from "./simulated.ts";
import { sqlite } from "./sqlite.ts";
import { transport } from "./transport.ts";

export const mutants: readonly Mutant[] = [...sqlite, ...redis, ...broker, ...transport, ...simulated];
