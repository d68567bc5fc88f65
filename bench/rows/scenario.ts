/** What a scenario is: data. */
import type { Contender } from "../rounds.ts";

/** A figure of one contender over the same of another; or, without `over`, the figure itself. */
export interface Ratio {
  figure: string;
  of: string;
  over?: string;
  /** What is to be reached; undefined: for information. */
  atLeast?: number;
  atMost?: number;
}

export interface Scenario {
  /** For --only. */
  name: string;
  title: string;
  /** How it is measured, beyond what holds for all. */
  how: string;
  contenders: Record<string, Contender>;
  /** Figures for the table, beside those of CPU. Default: rate, p50, p99. */
  figures?: string[];
  ratios?: Ratio[];
}
