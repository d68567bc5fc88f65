/** Makes one call and then nothing: the open connection must not keep it alive. */
import { createQueueClient } from "../../../client/index.ts";

const client = createQueueClient({ url: process.argv[2]! });
console.log(await client.queue("q").enqueueAndWait("j", 1));
