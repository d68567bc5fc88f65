/** Reads Prometheus text as a scraper would: strictly. */

export interface Exposition {
  /** By name: counter, gauge, histogram, summary. */
  types: Map<string, string>;
  /** The value of a sample, e.g. `value("queuecall_calls")`, `value("x_total", { queue: "q" })`; undefined: there is none. */
  value(name: string, labels?: Record<string, string>): number | undefined;
  samples: { name: string; labels: Record<string, string>; value: number }[];
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (NaN|[+-]Inf|-?[\d.]+(?:e[+-]?\d+)?)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\.)*)"(?:,|$)/gy;

/** @throws Error for a line that is no Prometheus text, a sample without a type, a sample that comes twice */
export function parse(text: string): Exposition {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const types = new Map<string, string>();
  const samples: Exposition["samples"] = [];
  const seen = new Set<string>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("# HELP ")) continue;
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    if (type) {
      if (types.has(type[1] as string)) throw new Error(`a second type: ${line}`);
      types.set(type[1] as string, type[2] as string);
      continue;
    }
    const match = SAMPLE.exec(line);
    if (!match) throw new Error(`not a sample: ${line}`);
    const [, name = "", inner = "", value = ""] = match;
    const family = name.replace(/_(bucket|sum|count)$/, "");
    if (!types.has(name) && types.get(family) !== "histogram") throw new Error(`no type: ${line}`);
    const key = line.slice(0, line.lastIndexOf(" "));
    if (seen.has(key)) throw new Error(`twice: ${key}`);
    seen.add(key);
    samples.push({ name, labels: labelsOf(inner), value: Number(value.replace("Inf", "Infinity")) });
  }
  const value: Exposition["value"] = (name, labels = {}) =>
    samples.find((each) => each.name === name && Object.entries(labels).every(([key, is]) => each.labels[key] === is))
      ?.value;
  return { types, samples, value };
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let end = 0;
  for (const [all, name = "", value = ""] of text.matchAll(LABEL)) {
    labels[name] = value.replaceAll(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char));
    end += all.length;
  }
  if (end !== text.length) throw new Error(`not labels: ${text}`);
  return labels;
}
