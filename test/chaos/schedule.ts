/** Which faults come when: made from a seed alone, so that a run can be had again. */
import type { Draw, FaultKind } from "./faults.ts";

export interface Blow extends Draw {
  kind: FaultKind;
}

/** One fault, or two of different families, and the peace behind them. */
export interface Step {
  blows: Blow[];
  peaceMs: number;
}

/** For ever. Each kind comes once in a round, in an order of the round's own. */
export function* schedule(kinds: readonly FaultKind[], random: () => number): Generator<Step, never> {
  let deck: FaultKind[] = [];
  const draw = (fits: (kind: FaultKind) => boolean): Blow[] => {
    const at = deck.findIndex(fits);
    if (at < 0) return [];
    return deck.splice(at, 1).map((kind) => ({ kind, which: random(), much: random() }));
  };
  for (;;) {
    if (deck.length === 0) deck = shuffled(kinds, random);
    const blows = draw(() => true);
    const second = random() < 0.6;
    if (second) blows.push(...draw(({ family }) => family !== blows[0]!.kind.family));
    yield { blows, peaceMs: Math.round(200 + 1_000 * random()) };
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items];
  return items.map(() => left.splice(Math.floor(random() * left.length), 1)[0]!);
}
