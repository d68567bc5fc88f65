/** Interleaved rounds: everything of a scenario runs on the same machine within the same seconds, in turns. */
import type { Seen } from "./parts/load.ts";
import { cpuOf, type Stage, Unavailable } from "./stage.ts";

/** How much of everything: the whole, a smoke, or a test. */
export interface Size {
  /** Before those that count: what is compiled and connected is slower until then. */
  warmUps: number;
  rounds: number;
  /** Of one measurement. */
  seconds: number;
  /** Scales numbers of jobs, queues, connections; at least 1. */
  of(count: number): number;
  /** Of each scenario, from its first. */
  contenders: number;
}

/** Figures of one measurement, by name: "rate" (jobs/s), "p50", "p99" (ms), "cpu broker" (µs/job), … */
export type Sample = Record<string, number>;
/** One measurement. */
export type Take = () => Promise<Sample>;
/** Starts what a contender needs. @throws Unavailable */
export type Contender = (stage: Stage, size: Size) => Promise<Take>;

export interface Measured {
  samples: Record<string, Sample[]>;
  /** Contenders that could not be measured, and why. */
  skipped: Record<string, string>;
}

export async function interleave(contenders: Record<string, Contender>, stage: Stage, size: Size): Promise<Measured> {
  const skipped: Record<string, string> = {};
  const starting = Object.entries(contenders)
    .slice(0, size.contenders)
    .map(async ([name, contender]): Promise<[string, Take] | undefined> => {
      try {
        return [name, await contender(stage, size)];
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        skipped[name] = error.message;
      }
    });
  const takes = (await Promise.all(starting)).filter((take) => take !== undefined);
  const samples: Record<string, Sample[]> = Object.fromEntries(takes.map(([name]) => [name, []]));
  for (let round = -size.warmUps; round < size.rounds; round++) {
    for (let i = 0; i < takes.length; i++) {
      // Nobody always follows the same other.
      const [name, take] = takes[(i + Math.max(0, round)) % takes.length]!;
      const sample = await take();
      if (round >= 0) samples[name]!.push(sample);
    }
  }
  return { samples, skipped };
}

/** Measures a load, and what each process used for it. @param processes pid by role */
export async function withUsage(
  processes: Record<string, number>,
  load: () => Promise<Pick<Seen, "calls" | "seconds"> & Partial<Seen>>,
): Promise<Sample> {
  const before = Object.entries(processes).map(([role, pid]) => [role, pid, cpuOf(pid)] as const);
  const { calls, seconds, p50Ms, p99Ms } = await load();
  const sample: Sample = { rate: calls / seconds };
  if (p50Ms !== undefined) sample.p50 = p50Ms;
  if (p99Ms !== undefined) sample.p99 = p99Ms;
  for (const [role, pid, then] of before) {
    const now = cpuOf(pid);
    if (then !== undefined && now !== undefined && calls > 0) sample[`cpu ${role}`] = ((now - then) * 1e6) / calls;
  }
  return { ...sample, calls };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Of one figure over the rounds. */
export function figures(samples: readonly Sample[], name: string): number[] {
  return samples.map((sample) => sample[name]).filter((value) => value !== undefined);
}
