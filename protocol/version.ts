/** The package's version. */
import { readFileSync } from "node:fs";

/** package.json is one folder up from here, two from dist/. */
export function version(): string {
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      return JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")).version;
    } catch {}
  }
  return "unknown";
}
