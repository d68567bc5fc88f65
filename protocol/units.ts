/** Durations and sizes as people write them: `25s`, `1m30s`, `500ms`, `1MiB`. */

const MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, kB: 1e3, KB: 1e3, MB: 1e6, GB: 1e9 } as const;

const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const SIZE = /^(\d+(?:\.\d+)?)\s*([KMG]iB|[kKMG]B|B)?$/;

/** `1m30s` as 90,000 milliseconds; a plain `0` needs no unit. Undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!DURATION.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  return Math.round(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * MS[unit as keyof typeof MS], 0));
}

/** `90000` as "1m30s". */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  const parts: string[] = [];
  let left = ms;
  for (const unit of ["d", "h", "m", "s", "ms"] as const) {
    const amount = Math.floor(left / MS[unit]);
    if (amount > 0) parts.push(`${amount}${unit}`);
    left -= amount * MS[unit];
  }
  return parts.join("");
}

/** `1MiB`, `64kB`, `512` as bytes. Undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit = "B"] = SIZE.exec(text) ?? [];
  return amount === undefined ? undefined : Math.round(Number(amount) * BYTES[unit as keyof typeof BYTES]);
}

/** `1048576` as "1MiB". */
export function formatSize(bytes: number): string {
  for (const unit of ["GiB", "MiB", "KiB"] as const) {
    if (bytes >= BYTES[unit] && bytes % BYTES[unit] === 0) return `${bytes / BYTES[unit]}${unit}`;
  }
  return `${bytes}B`;
}
