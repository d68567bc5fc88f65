/** The kinds of settings: how a text becomes a value, and back. */
import { MAX_DURATION_MS } from "../protocol/limits.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "../protocol/units.ts";

/** How the text of a setting becomes its value. */
export interface Kind<T> {
  /** Stands for the value in --help. */
  placeholder: string;
  /** What is expected, for the error message. */
  expected: string;
  /** Undefined: not such a value. */
  parse(text: string): T | undefined;
  show(value: T): string;
}

export const text: Kind<string> = {
  placeholder: "TEXT",
  expected: "a value",
  parse: (value) => value || undefined,
  show: String,
};
export const file: Kind<string> = { ...text, placeholder: "FILE" };
export const address: Kind<string> = {
  ...text,
  placeholder: "HOST:PORT",
  expected: "HOST:PORT, such as 127.0.0.1:7455 (port 0 takes a free one)",
  parse: (value) => (/^(\[[\da-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/.test(value) && portOf(value) < 65536 ? value : undefined),
};
export const addressOrOff: Kind<string> = {
  ...address,
  placeholder: "HOST:PORT|off",
  expected: `${address.expected}, or off`,
  parse: (value) => (value === "off" ? value : address.parse(value)),
};
export const count: Kind<number> = {
  placeholder: "N",
  expected: "a whole number from 1",
  parse: (value) => (/^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined),
  show: String,
};
export const size: Kind<number> = {
  placeholder: "SIZE",
  expected: "a size from 1KiB to 1GiB, such as 512KiB or 4MiB",
  parse: (value) => within(parseSize(value), 1024, 1024 ** 3),
  show: formatSize,
};
export const countOrNone = orNone(count);
export const durationOrNone = orNone(duration());
/** What many jobs have together. */
export const totalOrNone = orNone({
  ...size,
  expected: "a size from 1KiB to 1000GiB, such as 512MiB or 4GiB",
  parse: (value: string) => within(parseSize(value), 1024, 1000 * 1024 ** 3),
});
export const yesOrNo: Kind<boolean> = {
  placeholder: "true|false",
  expected: "true or false",
  parse: (value) => ({ true: true, false: false })[value],
  show: String,
};

export const names: Kind<readonly string[]> = {
  placeholder: "NAMES",
  expected: "names of headers in lower case, separated by commas, such as tenant,x-*",
  parse: (value) => (/^[0-9a-z_.*-]+( *, *[0-9a-z_.*-]+)*$/.test(value) ? value.split(/ *, */) : undefined),
  show: (value) => value.join(","),
};

export const origins: Kind<readonly string[]> = {
  placeholder: "ORIGINS",
  expected: "origins separated by commas, such as https://app.example.com,http://localhost:5173, or *",
  parse: (value) =>
    /^(\*|https?:\/\/[^\s,/]+( *, *https?:\/\/[^\s,/]+)*)$/.test(value) ? value.split(/ *, */) : undefined,
  show: (value) => value.join(","),
};

export function duration(min = 100): Kind<number> {
  return {
    placeholder: "DURATION",
    expected: `a duration with its unit, such as 500ms, 25s or 1h30m${min > 0 ? `, from ${formatDuration(min)}` : ""}`,
    parse: (value) => within(parseDuration(value), min, MAX_DURATION_MS),
    show: formatDuration,
  };
}

export function oneOf<T extends string>(choices: readonly T[]): Kind<T> {
  return {
    placeholder: choices.length > 3 ? "CHOICE" : choices.join("|"),
    expected: `one of ${choices.join(", ")}`,
    parse: (value) => choices.find((each) => each === value),
    show: String,
  };
}

/** The same, or no limit. */
function orNone(kind: Kind<number>): Kind<number> {
  return {
    placeholder: `${kind.placeholder}|none`,
    expected: `${kind.expected}, or none`,
    parse: (value) => (value === "none" ? Number.POSITIVE_INFINITY : kind.parse(value)),
    show: (value) => (value === Number.POSITIVE_INFINITY ? "none" : kind.show(value)),
  };
}

function portOf(hostAndPort: string): number {
  return Number(hostAndPort.slice(hostAndPort.lastIndexOf(":") + 1));
}

function within(value: number | undefined, min: number, max: number): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}
