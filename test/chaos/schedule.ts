/** Which faults come when: made from a seed alone, so that a run can be had again. */
import type { Draw, FaultKind } from "./faults.ts";
import type { Servers } from "./servers.ts";

export interface Blow<S extends Servers> extends Draw {
  kind: FaultKind<S>;
}

/** One fault, or two of different families, and the peace behind them. */
export interface Step<S extends Servers> {
  blows: Blow<S>[];
  peaceMs: number;
}

/** For ever. Each kind comes once in a round, in an order of the round's own. */
export function* schedule<S extends Servers>(
  kinds: readonly FaultKind<S>[],
  random: () => number,
): Generator<Step<S>, never> {
  let deck: FaultKind<S>[] = [];
  const draw = (fits: (kind: FaultKind<S>) => boolean): Blow<S>[] => {
    const at = deck.findIndex(fits);
    if (at < 0) return [];
    return deck.splice(at, 1).map((kind) => ({ kind, which: random(), much: random() }));
  };
  for (;;) {
    if (deck.length === 0) deck = shuffled(kinds, random);
    const blows = draw(() => true);
    const second = random() < 0.6;
    if (second) blows.push(...draw(({ family }) => family !== blows[0]!.kind.family));
    // Sometimes long enough that no fault excuses anything any more.
    const peaceMs = Math.round(random() < 0.15 ? 6_000 : 200 + 1_000 * random());
    yield { blows, peaceMs };
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items];
  return items.map(() => left.splice(Math.floor(random() * left.length), 1)[0]!);
}
