/** What was measured, as people read it. */
import { cpus, release, totalmem } from "node:os";
import { figures, type Measured, median, type Sample, type Size } from "./rounds.ts";
import type { Ratio, Scenario } from "./rows/scenario.ts";

export interface Judged extends Ratio {
  value: number;
  /** Of the rounds, each by itself. */
  low: number;
  high: number;
  reached: boolean | undefined;
}

/** The line that goes above all figures. */
export function machine(versions: Record<string, string>): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${cpus().length} × ${cpu?.model.trim() ?? "unknown CPU"}, ${memory} GiB, ${process.platform} ${release()}, ${named.join(", ")}`;
}

export function how(size: Size): string {
  return [
    "Everything runs on this machine: broker, worker, caller and storage server are processes of their own and share its cores.",
    `Each figure is the median of ${size.rounds} rounds of ${size.seconds} s, with the lowest and highest; contenders take turns within a round,`,
    `${size.warmUps} more before them warm up and are not counted. Payloads and results have 200 bytes of JSON unless said otherwise.`,
    "CPU is what a process used per job, user and system. Only ratios within one scenario can be compared from run to run.",
  ].join("\n");
}

export function judge(ratio: Ratio, { samples }: Measured): Judged | undefined {
  const ours = figures(samples[ratio.of] ?? [], ratio.figure);
  const theirs = ratio.over === undefined ? ours.map(() => 1) : figures(samples[ratio.over] ?? [], ratio.figure);
  if (ours.length === 0 || theirs.length === 0) return undefined;
  const each = ours.map((value, round) => value / (theirs[round] ?? Number.NaN));
  const value = median(ours) / median(theirs);
  const { atLeast, atMost } = ratio;
  const reached =
    atLeast === undefined && atMost === undefined
      ? undefined
      : value >= (atLeast ?? 0) && value <= (atMost ?? Number.POSITIVE_INFINITY);
  return { ...ratio, value, low: Math.min(...each), high: Math.max(...each), reached };
}

export function table({ title, how, figures: wanted = ["rate", "p50", "p99"] }: Scenario, measured: Measured): string {
  const { samples, skipped } = measured;
  const cpu = [...new Set(Object.values(samples).flatMap((all) => all.flatMap(Object.keys)))].filter((name) =>
    name.startsWith("cpu "),
  );
  const head = [
    "",
    ...wanted.map(headOf),
    ...(cpu.length > 0 ? [`µs of CPU a job (${cpu.map((name) => name.slice(4)).join(" + ")})`] : []),
  ];
  const rows = Object.entries(samples).map(([name, all]) => [
    name,
    ...wanted.map((figure) => spread(all, figure)),
    ...(cpu.length > 0 ? [cpu.map((each) => short(median(figures(all, each)))).join(" + ")] : []),
  ]);
  const left = Object.entries(skipped).map(([name, why]) => `  ${name}: skipped, ${why}`);
  return [`── ${title}`, `   ${how}`, ...aligned([head, ...rows]), ...left].join("\n");
}

export function verdict({ figure, of, over, atLeast, atMost, value, low, high, reached }: Judged): string {
  const what = `${figure === "rate" ? "" : `${figure} `}${of}${over === undefined ? "" : ` ÷ ${over}`}`;
  const goal = atLeast === undefined ? (atMost === undefined ? "" : `≤ ${atMost}`) : `≥ ${atLeast}`;
  const said = reached === undefined ? "" : reached ? `  ${goal}  reached` : `  ${goal}  NOT reached`;
  return `   ${what}: ${short(value)} (${short(low)} … ${short(high)})${said}`;
}

function headOf(figure: string): string {
  const heads: Record<string, string> = {
    rate: "jobs/s",
    p50: "p50 ms",
    p99: "p99 ms",
    "loop p99": "broker's event loop p99 ms",
  };
  return heads[figure] ?? figure;
}

function spread(samples: Sample[], figure: string): string {
  const values = figures(samples, figure);
  if (values.length === 0) return "–";
  return `${short(median(values))} (${short(Math.min(...values))} … ${short(Math.max(...values))})`;
}

/** Three digits that count. */
function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

function aligned(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map(
    (row) =>
      `   ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("  ")}`,
  );
}
