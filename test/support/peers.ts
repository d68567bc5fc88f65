/** Thousands of streams on raw HTTP/2, which costs their side next to nothing: workers, watchers, callers. Argument: a PeersPlan as JSON. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  BrokerService,
  EnqueueAndWaitRequestSchema,
  GetJobRequestSchema,
  WatchJobRequestSchema,
} from "../../gen/queuecall/v1/broker_pb.js";
import { ExchangeRequestSchema, MultiplexService } from "../../gen/queuecall/v1/multiplex_pb.js";
import { WorkerService, WorkRequestSchema, WorkResponseSchema } from "../../gen/queuecall/v1/worker_pb.js";
import type { PeersPlan } from "./measured.ts";

const plan: PeersPlan = JSON.parse(process.argv[2] ?? "{}");
const { workers = 0, watchers = 0, exchanges = 0, getsEach = 0, waits = 0, multiplexedWaits = 0, window = 1 } = plan;
const DAY = { seconds: 86_400n };
const CALLS_PER_EXCHANGE = 10_000;

const sessions: ClientHttp2Session[] = Array.from({ length: plan.connections }, () => {
  // The default bound on what a session holds is too small for a thousand streams.
  const session = connect(`http://${plan.address}`, { maxSessionMemory: 1_000 });
  session.on("error", () => {});
  return session;
});
let opened = 0;
let bytesOut = 0;

function stream(method: { parent: { typeName: string }; name: string }): ClientHttp2Stream {
  const session = sessions[opened++ % sessions.length] as ClientHttp2Session;
  const made = session.request({
    ":method": "POST",
    ":path": `/${method.parent.typeName}/${method.name}`,
    "content-type": "application/grpc+proto",
    te: "trailers",
  });
  made.on("error", () => {});
  // Without a listener for its data it is not read: its window, and in the end the connection's, stays shut.
  if (!plan.deaf) made.resume();
  return made;
}

function send<Desc extends DescMessage>(to: ClientHttp2Stream, schema: Desc, init: MessageInitShape<Desc>): void {
  const message = toBinary(schema, create(schema, init));
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  bytesOut += frame.length;
  to.write(frame);
}

/** Answers pings. All messages of an idle stream are far smaller than a DATA frame, so none comes in pieces. */
function answerPings(to: ClientHttp2Stream): void {
  to.on("data", (bytes: Buffer) => {
    for (let at = 0; at + 5 <= bytes.length; ) {
      const length = bytes.readUInt32BE(at + 1);
      const { kind } = fromBinary(WorkResponseSchema, bytes.subarray(at + 5, at + 5 + length));
      at += 5 + length;
      const ping = kind.case === "frame" ? kind.value.ping : undefined;
      if (ping) send(to, WorkRequestSchema, { kind: { case: "frame", value: { pong: { nonce: ping.nonce } } } });
    }
  });
}

for (let i = 0; i < workers; i++) {
  const to = stream(WorkerService.method.work);
  const value = { protocolVersion: 1, workerId: `w${i}`, sessionId: `s${i}`, window };
  const hello = { ...value, subscriptions: [{ queue: plan.queue }] };
  send(to, WorkRequestSchema, { kind: { case: "hello", value: hello } });
  if (!plan.deaf) answerPings(to);
}
for (let i = 0; i < watchers; i++) {
  const to = stream(BrokerService.method.watchJob);
  send(to, WatchJobRequestSchema, { queue: plan.queue, jobId: plan.jobId });
  to.end();
}
for (let i = 0; i < exchanges; i++) {
  const to = stream(MultiplexService.method.exchange);
  const message = toBinary(GetJobRequestSchema, create(GetJobRequestSchema, { queue: plan.queue, jobId: plan.jobId }));
  const call = { method: `/${BrokerService.typeName}/GetJob`, message };
  const calls = Array.from({ length: getsEach }, (_, callId) => ({ ...call, callId }));
  send(to, ExchangeRequestSchema, { hello: { protocolVersion: 1 }, calls });
}
for (let i = 0; i < waits; i++) {
  const to = stream(BrokerService.method.enqueueAndWait);
  const spec = { queue: plan.queue, jobId: `unary-${i}`, payload: { data: Buffer.alloc(200) } };
  send(to, EnqueueAndWaitRequestSchema, { spec, waitTimeout: DAY });
  to.end();
}
for (let i = 0; i < multiplexedWaits; i += CALLS_PER_EXCHANGE) {
  const to = stream(MultiplexService.method.exchange);
  send(to, ExchangeRequestSchema, { hello: { protocolVersion: 1 } });
  const method = `/${BrokerService.typeName}/EnqueueAndWait`;
  for (let n = i; n < Math.min(multiplexedWaits, i + CALLS_PER_EXCHANGE); n++) {
    const spec = { queue: plan.queue, jobId: `multiplexed-${n}`, payload: { data: Buffer.alloc(200) } };
    const request = create(EnqueueAndWaitRequestSchema, { spec, waitTimeout: DAY });
    const message = toBinary(EnqueueAndWaitRequestSchema, request);
    send(to, ExchangeRequestSchema, { calls: [{ callId: n, method, message }] });
  }
}

process.once("disconnect", () => process.exit(0));
process.send?.({ opened, bytesOut });
