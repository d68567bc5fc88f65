/** Who may do what holds on a multiplexed stream, call by call. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Code } from "../../protocol/errors.ts";
import { methods, refusalOf } from "../support/grpc.ts";
import { WireExchange } from "../support/wire-exchange.ts";
import { bearer, type Guarded, newToken, role, startGuarded } from "./rig.ts";

const caller = role("caller", "mail/*", ["enqueue", "wait"]);

let rig: Guarded;
let wire: WireExchange;
const open = (headers: Record<string, string>) => {
  wire = new WireExchange(rig.broker.grpcAddress, headers).hello();
  return wire;
};
beforeEach(async () => {
  rig = await startGuarded([caller.entry]);
});
afterEach(async () => {
  wire.close();
  await rig[Symbol.asyncDispose]();
});

test.each([
  ["no token", {}],
  ["a wrong token", bearer(newToken())],
])("%s ends the stream: UNAUTHENTICATED", async (_case, headers) => {
  const refused = refusalOf((await open(headers).ended) as never);
  expect(refused).toMatchObject({ code: Code.UNAUTHENTICATED, reason: "UNAUTHENTICATED" });
});

test("each call needs its right; a header of a call lends none", async () => {
  open(bearer(caller.token));
  const denied = wire.begin(methods.enqueue, { spec: { queue: "other" } });
  expect((await wire.reply(denied)).trailers["queuecall-reason"]).toBe("PERMISSION_DENIED");
  const { callId, ...call } = wire.callOf(methods.enqueue, { spec: { queue: "mail/out" } });
  wire.say({ calls: [{ callId, ...call, headers: bearer(newToken()) }] });
  expect((await wire.reply(callId)).status).toBeUndefined();
});

test("a right that is taken away ends the calls that stand on it, a token the stream", async () => {
  open(bearer(caller.token));
  const waiting = wire.begin(methods.enqueueAndWait, { spec: { queue: "mail/out" } });
  await vi.waitFor(() => expect(rig.broker.stats.waiting).toBe(1));
  rig.folder.write("tokens.yaml", [{ ...caller.entry, rights: [{ queues: ["mail/*"], verbs: ["wait"] }] }]);
  await rig.broker.reload();
  expect((await wire.reply(waiting)).trailers["queuecall-reason"]).toBe("PERMISSION_DENIED");
  rig.folder.write("tokens.yaml", [role("another", "*", "wait").entry]);
  await rig.broker.reload();
  expect(refusalOf((await wire.ended) as never)).toMatchObject({ reason: "UNAUTHENTICATED" });
  await vi.waitFor(() => expect(rig.broker.stats).toMatchObject({ waiting: 0, calls: 0 }));
});
