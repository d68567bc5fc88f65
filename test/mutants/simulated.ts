/** Bugs of the other lists that the simulator must find by itself, in its first seeds. */
import { broker } from "./broker.ts";
import type { Mutant } from "./mutant.ts";
import { sqlite } from "./sqlite.ts";

const inReach = ["token-unchecked", "release-costs-attempt", "timeout-cancels"];

export const simulated: readonly Mutant[] = [...sqlite, ...broker]
  .filter(({ name }) => inReach.includes(name))
  .map((mutant) => ({
    ...mutant,
    name: `${mutant.name}-simulated`,
    tests: ["test/sim/sim.test.ts"],
    only: /from seed 1 on/,
  }));
