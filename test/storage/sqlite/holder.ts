/** A process that holds a file, has stored 100 jobs in it, and waits to be killed. */
import { systemClock } from "../../../protocol/clock.ts";
import { openStorage } from "../../../server/storage/open.ts";
import { specOf, unique } from "../specs.ts";

const storage = await openStorage(`sqlite:${process.argv[2]}`, { brokerId: "b1", clock: systemClock, warn: () => {} });
const requests = Array.from({ length: 100 }, (_, i) => specOf(`job ${i}`));
await Promise.all(requests.map((spec) => storage.enqueue({ spec, requestId: unique(), hungryHere: false })));
console.log("stored");
setInterval(() => {}, 1_000);
