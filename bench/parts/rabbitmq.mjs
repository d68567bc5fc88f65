/** RabbitMQ as RPC: durable queue, persistent messages, direct reply-to. */
import { connect } from "amqplib";
import { closedLoop, payloadOf } from "./load.ts";
import { answer } from "./part.ts";

let channel;
const waiting = new Map();

answer({
  async connect({ port, worker }) {
    const connection = await connect(`amqp://127.0.0.1:${port}`);
    channel = await connection.createChannel();
    await channel.assertQueue("q", { durable: true });
    if (worker) {
      await channel.prefetch(64);
      await channel.consume("q", (message) => {
        const { replyTo, correlationId } = message.properties;
        channel.sendToQueue(replyTo, message.content, { correlationId });
        channel.ack(message);
      });
      return;
    }
    const settle = ({ properties, content }) => {
      waiting.get(properties.correlationId)?.(content);
      waiting.delete(properties.correlationId);
    };
    await channel.consume("amq.rabbitmq.reply-to", settle, { noAck: true });
  },
  wait({ bytes, ...load }) {
    const content = Buffer.from(JSON.stringify(payloadOf(bytes)));
    const call = (n) =>
      new Promise((resolve) => {
        const correlationId = String(n);
        waiting.set(correlationId, resolve);
        channel.sendToQueue("q", content, { correlationId, replyTo: "amq.rabbitmq.reply-to", persistent: true });
      });
    return closedLoop(load, call);
  },
});
