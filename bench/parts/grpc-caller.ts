/** A caller with nothing but @grpc/grpc-js: one HTTP/2 request a call, as any stub of any language makes them. */

import { create, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import { EnqueueAndWaitRequestSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { closedLoop, type Load, payloadOf } from "./load.ts";
import { answer } from "./part.ts";

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
let client: Client;

function call(path: string, message: Uint8Array): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, same, same, message, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

answer({
  connect({ address }: { address: string }) {
    client = new Client(address, credentials.createInsecure());
  },
  /** The bytes come back. */
  echo({ bytes, ...load }: Load & { bytes: number }) {
    const message = new Uint8Array(bytes).fill(120);
    return closedLoop(load, () => call("/bench.Echo/Echo", message));
  },
  wait({ bytes, queue, ...load }: Load & { bytes: number; queue: string }) {
    const data = Buffer.from(JSON.stringify(payloadOf(bytes)));
    const spec = { queue, payload: { data, contentType: "application/json" } };
    return closedLoop(load, () =>
      call(
        "/queuecall.v1.BrokerService/EnqueueAndWait",
        toBinary(EnqueueAndWaitRequestSchema, create(EnqueueAndWaitRequestSchema, { spec })),
      ),
    );
  },
});
