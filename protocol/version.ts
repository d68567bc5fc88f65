/** The package's version. */
import { createRequire } from "node:module";

/** The package asks for itself by name, which holds in the source tree and in dist; a bundle has no package. */
export function version(): string {
  try {
    return (createRequire(import.meta.url)("queuecall/package.json") as { version: string }).version;
  } catch {
    return "bundled";
  }
}
