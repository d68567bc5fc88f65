/**
 * The calling side. The id of a call is the hash of its argument: the same argument is answered from the kept result,
 * and another argument can never get another's. The name of the procedure is the queue, so it needs no place in the id.
 *
 *   node examples/rpc/client.ts [BROKER-URL]
 */
// In a program of your own: from "queuecall/client"
import { contentId, createQueueClient, type Queue } from "../../client/index.ts";

await using client = createQueueClient({ url: process.argv[2] ?? "http://127.0.0.1:7455" });

const add = procedure(client.queue<{ a: number; b: number }, number>("add"));
const reverse = procedure(client.queue<{ text: string }, string>("reverse"));

console.log(`2 + 3 = ${await add({ a: 2, b: 3 })}`);
console.log(`2 + 4 = ${await add({ a: 2, b: 4 })}`);
console.log(`2 + 3 = ${await add({ a: 2, b: 3 })}`); // Kept: nothing runs.
console.log(`stressed = ${await reverse({ text: "stressed" })}`);

function procedure<Argument, Result>(queue: Queue<Argument, Result>) {
  return (argument: Argument) => queue.enqueueAndWait(contentId(argument), argument);
}
