/** NATS request/reply: nothing is stored. */
import { connect } from "@nats-io/transport-node";
import { closedLoop, payloadOf } from "./load.ts";
import { answer } from "./part.ts";

let connection;

answer({
  async connect({ port, worker }) {
    connection = await connect({ servers: `127.0.0.1:${port}` });
    if (worker) connection.subscribe("q", { callback: (_error, message) => message.respond(message.data) });
    await connection.flush();
  },
  wait({ bytes, ...load }) {
    const payload = JSON.stringify(payloadOf(bytes));
    return closedLoop(load, () => connection.request("q", payload, { timeout: 30_000 }));
  },
});
