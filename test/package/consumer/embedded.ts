/** A program of somebody who installed queuecall: a broker of its own, and one for tests. */
import { createBroker } from "queuecall/server";
import { startTestBroker } from "queuecall/testing";

await using broker = await createBroker({ storage: "memory:", grpc: "127.0.0.1:0" });
await broker.serving;
await using test = await startTestBroker({ clock: "manual" });
console.log(JSON.stringify({ durability: broker.storage.durability, url: test.url.startsWith("http://") }));
