/** Rights on transparent calls, on both ports: before existence is revealed. */
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bearer, type Guarded, role, startGuarded } from "../access/rig.ts";
import { WireWorker } from "../support/wire-worker.ts";
import { RENDER, SERVICE, Stub, Thumbnailer } from "./rig.ts";

const worker = role("worker", "acme.*", "work");
const caller = role("caller", "acme.*", ["enqueue", "wait"]);
const sender = role("sender", "acme.*", "enqueue");
const elsewhere = role("elsewhere", "other", ["enqueue", "wait", "work"]);

let rig: Guarded;
let stub: Stub;
let stream: WireWorker;
beforeAll(async () => {
  rig = await startGuarded(
    [worker, caller, sender, elsewhere].map(({ entry }) => entry),
    { http: "127.0.0.1:0" },
  );
  stub = new Stub(rig.broker.grpcAddress);
  stream = new WireWorker(rig.broker.grpcAddress, bearer(worker.token));
  stream.hello({ subscriptions: [{ queue: SERVICE, methods: [RENDER] }], window: 10 });
  const probe = { headers: { ...bearer(caller.token), "queuecall-priority": "5000" } };
  while ((await stub.refused({}, probe)).reason !== "INVALID_FIELD");
});
afterAll(async () => {
  stream.close();
  stub[Symbol.dispose]();
  await rig[Symbol.asyncDispose]();
});

const enqueue = { "queuecall-mode": "enqueue" };

test.each([
  ["nobody", {}, 16],
  ["a wrong token", { authorization: "Bearer qct_wrong" }, 16],
  ["rights elsewhere", bearer(elsewhere.token), 7],
  ["rights elsewhere, and another queue", { ...bearer(elsewhere.token), "queuecall-queue": "other" }, 7],
  ["no right to wait", bearer(sender.token), 7],
  ["a worker", bearer(worker.token), 7],
])("%s is refused, on both ports, and learns nothing of what exists", async (_, headers, code) => {
  const http = createConnectTransport({ baseUrl: `http://${rig.broker.httpAddress}`, httpVersion: "1.1" });
  for (const path of [SERVICE, "acme.v1.Nobody"]) {
    const refused = await rig.caller.refused(
      rig.caller.raw(`/${path}/Render`, new Uint8Array(), { metadata: headers }),
    );
    expect(refused.code).toBe(code);
  }
  const error = ConnectError.from(
    await createClient(Thumbnailer, http)
      .render({}, { headers })
      .catch((error) => error),
  );
  expect(error.code).toBe(code);
});

test("who may enqueue and not wait can enqueue; who may both gets the reply; credentials stay here", async () => {
  await stub.render({}, { headers: { ...bearer(sender.token), ...enqueue } });
  expect((await stream.delivery()).headers).toEqual({});
  const calling = stub.render({}, { headers: bearer(caller.token) });
  await stream.settle(await stream.delivery(), { case: "completed", value: {} } as never);
  expect((await calling).headers["queuecall-disposition"]).toBe("created");
});
