/** Has nothing but a call in progress, which must keep it alive until the answer. Prints how that ended. */
import { createQueueClient } from "../../../client/index.ts";

const [url, timeout] = process.argv.slice(2);
createQueueClient({ url: url! })
  .queue("q")
  .enqueueAndWait("j", 1, { timeout: Number(timeout) })
  .then(console.log, (error) => console.log(error.code));
