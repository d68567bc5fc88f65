/** Prints the modules and files that the client loads, as seen by a loader hook. */
import { registerHooks } from "node:module";

const loaded = new Set<string>();
registerHooks({
  load(url, context, next) {
    loaded.add(url);
    return next(url, context);
  },
});
const { createQueueClient } = await import("../../../client/index.ts");
await createQueueClient({ url: process.argv[2]! }).queue("q").enqueueAndWait("j", 1);
console.log(JSON.stringify([...loaded]));
