/** Every RPC × every kind of caller. */
import { readdirSync } from "node:fs";
import { create, type DescService, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { WaitJobRequestSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { WorkerService } from "../../gen/queuecall/v1/worker_pb.js";
import { Code } from "../../protocol/errors.ts";
import { type Verb, verbs } from "../../server/rpc/access.ts";
import { methods, pathOf, refusalOf } from "../support/grpc.ts";
import { root } from "../support/processes.ts";
import { WireWorker } from "../support/wire-worker.ts";
import { bearer, type Guarded, newToken, role, startGuarded } from "./rig.ts";

/** A principal for each verb on `mail/*`, and one with all of them elsewhere. */
const only = Object.fromEntries(verbs.map((verb) => [verb, role(`only-${verb}`, "mail/*", verb)])) as Record<
  Verb,
  ReturnType<typeof role>
>;
const caller = role("caller", "mail/*", ["enqueue", "wait"]);
const elsewhere = role("elsewhere", "other/*", [...verbs]);

let rig: Guarded;
beforeAll(async () => {
  rig = await startGuarded([...Object.values(only), caller, elsewhere].map(({ entry }) => entry));
});
afterAll(() => rig[Symbol.asyncDispose]());

interface Rpc {
  needs: Verb[];
  /** Resolves once it is permitted, whatever comes of it; rejects with the ServiceError. */
  run(queue: string, headers: Record<string, string>, jobId: string): Promise<unknown>;
}

const key = (queue: string, jobId: string) => ({ queue, jobId });
const wait = { seconds: 0n, nanos: 0 };
const unary =
  <K extends "enqueue" | "enqueueAndWait" | "waitJob" | "getJob" | "cancelJob" | "retryJob" | "updateResultTtl">(
    name: K,
    init: (queue: string, jobId: string) => MessageInitShape<(typeof methods)[K]["input"]>,
  ) =>
  (queue: string, metadata: Record<string, string>, jobId: string) =>
    rig.caller.call(methods[name] as never, init(queue, jobId) as never, { metadata, deadlineMs: 5_000 });

async function work(queue: string, headers: Record<string, string>): Promise<void> {
  const worker = new WireWorker(rig.broker.grpcAddress, headers);
  worker.hello({ queues: [queue] });
  try {
    const welcomed = (async () => {
      while (!worker.welcome) await new Promise((resolve) => setTimeout(resolve, 5));
    })();
    const end = await Promise.race([welcomed, worker.ended]);
    if (end) throw end;
  } finally {
    worker.welcome ??= {} as never;
    worker.close();
  }
}

/** A batch of one: the status of its item as if it were the call's. */
async function batch(queue: string, metadata: Record<string, string>, jobId: string): Promise<void> {
  const items = [{ spec: key(queue, jobId) }];
  const answer = await rig.caller.call(methods.enqueueBatch, { items }, { metadata, deadlineMs: 5_000 });
  const [{ status } = {}] = answer.items;
  if (!status) return;
  const details = new Metadata();
  details.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  throw Object.assign(new Error(status.message), { code: status.code, details: status.message, metadata: details });
}

const rpcs: Record<string, Rpc> = {
  enqueueBatch: { needs: ["enqueue"], run: batch },
  enqueue: { needs: ["enqueue"], run: unary("enqueue", (queue, jobId) => ({ spec: key(queue, jobId) })) },
  enqueueAndWait: {
    needs: ["enqueue", "wait"],
    run: unary("enqueueAndWait", (queue, jobId) => ({ spec: key(queue, jobId), waitTimeout: wait })),
  },
  waitJob: { needs: ["wait"], run: unary("waitJob", (queue, jobId) => ({ ...key(queue, jobId), waitTimeout: wait })) },
  getJob: { needs: ["wait"], run: unary("getJob", key) },
  watchJob: {
    needs: ["wait"],
    run: async (queue, metadata, jobId) => {
      for await (const _ of rig.caller.stream(methods.watchJob, key(queue, jobId), { metadata })) return;
    },
  },
  cancelJob: { needs: ["enqueue"], run: unary("cancelJob", key) },
  retryJob: { needs: ["enqueue"], run: unary("retryJob", key) },
  updateResultTtl: {
    needs: ["enqueue"],
    run: unary("updateResultTtl", (queue, jobId) => ({ ...key(queue, jobId), resultTtl: { seconds: 60n, nanos: 0 } })),
  },
  work: { needs: ["work"], run: work },
};

let ids = 0;
/** How a call is refused; undefined where it is permitted. */
async function refusal(rpc: Rpc, queue: string, headers: Record<string, string>, jobId = `none-${++ids}`) {
  try {
    await rpc.run(queue, headers, jobId);
    return undefined;
  } catch (error) {
    const { code, reason, message, info } = refusalOf(error as never);
    const refused = code === Code.UNAUTHENTICATED || code === Code.PERMISSION_DENIED;
    return refused ? { code, reason, message, metadata: info?.metadata } : undefined;
  }
}

describe.each(Object.entries(rpcs))("%s", (_name, rpc) => {
  test.each([
    ["no token", {}],
    ["a wrong token", bearer(newToken())],
    ["another scheme", { authorization: `Basic ${caller.token}` }],
  ])("%s: UNAUTHENTICATED", async (_case, headers) => {
    const refused = await refusal(rpc, "mail/out", headers);
    expect(refused).toMatchObject({ code: Code.UNAUTHENTICATED, reason: "UNAUTHENTICATED" });
    expect(JSON.stringify(refused)).not.toMatch(/qct_/);
  });

  test("right token, wrong queue: PERMISSION_DENIED that names verb and queue", async () => {
    const refused = await refusal(rpc, "mail/out", bearer(elsewhere.token));
    const [verb = ""] = rpc.needs;
    expect(refused).toMatchObject({
      code: Code.PERMISSION_DENIED,
      reason: "PERMISSION_DENIED",
      message: `elsewhere has no right to ${verb} on queue mail/out`,
      metadata: { verb, queue: "mail/out", principal: "elsewhere" },
    });
    expect(await refusal(rpc, "mailbox", bearer(caller.token))).toMatchObject({ code: Code.PERMISSION_DENIED });
  });

  test("right queue, wrong verb: PERMISSION_DENIED", async () => {
    for (const verb of verbs) {
      const expected = rpc.needs.every((needed) => needed === verb) ? undefined : Code.PERMISSION_DENIED;
      expect((await refusal(rpc, "mail/out", bearer(only[verb].token)))?.code, verb).toBe(expected);
    }
  });

  test("right: permitted", async () => {
    const { token } = rpc.needs.includes("work") ? only.work : caller;
    expect(await refusal(rpc, "mail/out", bearer(token))).toBeUndefined();
    expect(await refusal(rpc, "other/x", bearer(elsewhere.token))).toBeUndefined();
  });
});

test("the table has every RPC of callers and workers", () => {
  expect(Object.keys(rpcs).sort()).toEqual([...Object.keys(methods), "work"].sort());
});

test("no RPC of any service answers whoever shows nothing, or has no right to it", async () => {
  const folder = `${root}gen/queuecall/v1`;
  const files = readdirSync(folder).filter((name) => name.endsWith("_pb.js"));
  const modules = await Promise.all(files.map((name) => import(`${folder}/${name}`)));
  const services = modules
    .flatMap((each) => Object.values(each) as DescService[])
    .filter((each) => each?.kind === "service");
  expect(services).toContain(WorkerService);
  for (const method of services.flatMap(({ methods }) => methods).filter((each) => each.methodKind === "unary")) {
    const call = (headers: Record<string, string>) =>
      rig.caller.refused(rig.caller.raw(pathOf(method), new Uint8Array(), { metadata: headers }));
    const path = pathOf(method);
    expect([Code.UNAUTHENTICATED, Code.UNIMPLEMENTED], path).toContain((await call({})).code);
    const without = [Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED];
    expect(without, path).toContain((await call(bearer(only.work.token))).code);
  }
});

describe("a token that may only enqueue on mail/*", () => {
  const headers = bearer(only.enqueue.token);

  test("cannot learn whether another queue's job exists: the answers are equal to the byte", async () => {
    await rig.caller.call(
      methods.enqueue,
      { spec: key("other/secret", "real") },
      { metadata: bearer(elsewhere.token) },
    );
    for (const name of [
      "enqueue",
      "enqueueBatch",
      "waitJob",
      "getJob",
      "watchJob",
      "cancelJob",
      "retryJob",
      "updateResultTtl",
    ]) {
      const rpc = rpcs[name] as Rpc;
      const real = await refusal(rpc, "other/secret", headers, "real");
      expect(real, name).toMatchObject({ code: Code.PERMISSION_DENIED });
      expect(await refusal(rpc, "other/secret", headers, "unreal"), name).toEqual(real);
    }
  });

  test("is refused before anything but the queue's name is looked at", async () => {
    const bad = { queue: "other/secret", jobId: "x".repeat(1_000) };
    for (const name of ["waitJob", "getJob", "cancelJob", "retryJob", "updateResultTtl"] as const) {
      const { reason } = await rig.caller.refused(
        rig.caller.call(methods[name] as never, bad as never, { metadata: headers }),
      );
      expect(reason, name).toBe("PERMISSION_DENIED");
    }
    const spec = { ...bad, priority: 99_999, payload: { data: new Uint8Array(2 ** 21) } };
    const { reason } = await rig.caller.refused(rig.caller.call(methods.enqueue, { spec }, { metadata: headers }));
    expect(reason).toBe("PERMISSION_DENIED");
    const { badRequest } = await rig.caller.refused(
      rig.caller.call(methods.getJob, { queue: "no queue!", jobId: "a" }, { metadata: headers }),
    );
    expect(badRequest?.fieldViolations[0]?.field).toBe("queue");
  });

  test("does not get the outcome by asking again for what is done", async () => {
    const worker = new WireWorker(rig.broker.grpcAddress, bearer(only.work.token));
    worker.hello({ queues: ["mail/done"] });
    const spec = key("mail/done", "once");
    await rig.caller.call(methods.enqueue, { spec }, { metadata: headers });
    await worker.settle(await worker.delivery(), {
      case: "completed",
      value: { payload: { data: Buffer.from("secret") } },
    });
    worker.close();
    const blind = await rig.caller.call(methods.enqueue, { spec }, { metadata: headers });
    expect(blind.job?.outcome.case).toBeUndefined();
    const cancelled = await rig.caller.call(methods.cancelJob, spec, { metadata: headers });
    expect(cancelled.job?.outcome.case).toBeUndefined();
    const seeing = await rig.caller.call(methods.enqueue, { spec }, { metadata: bearer(caller.token) });
    expect(seeing.job?.outcome.case).toBe("result");
  });
});

describe("a worker stream", () => {
  const open = async () => {
    const worker = new WireWorker(rig.broker.grpcAddress, bearer(only.work.token));
    worker.hello({ queues: ["mail/in"] });
    return worker;
  };
  const ref = { queue: "other/x", jobId: "a", leaseToken: new Uint8Array(16) };
  interface Said {
    hello?: Parameters<WireWorker["hello"]>[0];
    frame?: Parameters<WireWorker["frame"]>[0];
  }
  const sayings: [string, Said][] = [
    ["held", { hello: { held: [ref] } }],
    ["subscriptions", { hello: { queues: ["mail/in", "other/x"] } }],
    ["subscriptions_update", { frame: { subscriptionsUpdate: { subscriptions: [{ queue: "other/x" }] } } }],
    ["renewals", { frame: { renewals: [ref] } }],
    ["settlements", { frame: { settlements: [{ ...ref, settleId: 1n, outcome: { case: "released", value: {} } }] } }],
    ["progress", { frame: { progress: [{ ...ref, progress: {} }] } }],
  ];
  test.each(sayings)("that names a queue of others in %s ends PERMISSION_DENIED", async (_case, { hello, frame }) => {
    const worker = hello ? new WireWorker(rig.broker.grpcAddress, bearer(only.work.token)) : await open();
    if (hello) worker.hello({ queues: ["mail/in"], ...hello });
    if (frame) worker.frame(frame);
    const { reason, message } = refusalOf((await worker.ended) as never);
    expect([reason, message]).toEqual(["PERMISSION_DENIED", "only-work has no right to work on queue other/x"]);
    worker.close();
  });

  test("ends UNAUTHENTICATED before hello", async () => {
    const worker = new WireWorker(rig.broker.grpcAddress);
    expect(refusalOf((await worker.ended) as never).reason).toBe("UNAUTHENTICATED");
    worker.close();
  });
});

describe("what is not about jobs", () => {
  const health = (metadata = {}) => rig.caller.raw("/grpc.health.v1.Health/Check", new Uint8Array(), { metadata });

  test("health is open", async () => {
    expect([...(await health())]).toEqual([8, 1]);
  });

  test("reflection answers whoever has any valid token", async () => {
    // grpc.reflection.v1.ServerReflectionRequest { list_services: "" }
    const request = Buffer.from([0x3a, 0]);
    const path = (version: string) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const ask = (version: string, metadata: Record<string, string>) =>
      rig.caller.raw(path(version), request, { metadata });
    for (const version of ["v1", "v1alpha"]) {
      expect((await rig.caller.refused(ask(version, {}))).reason).toBe("UNAUTHENTICATED");
      const answer = Buffer.from(await ask(version, bearer(only.work.token))).toString("latin1");
      expect(answer).toContain("queuecall.v1.BrokerService");
    }
  });
});

test("neither answers nor the log hold a token", () => {
  const tokens = [...Object.values(only), caller, elsewhere].map(({ token }) => token);
  for (const token of tokens) expect(rig.log()).not.toContain(token);
});

// The bytes above are what they are said to be.
test("malformed bytes are the caller's mistake only once the caller is known", async () => {
  const bytes = toBinary(WaitJobRequestSchema, create(WaitJobRequestSchema, key("mail/a", "a")));
  expect(fromBinary(WaitJobRequestSchema, bytes).queue).toBe("mail/a");
  const bad = bytes.subarray(0, bytes.length - 1);
  const call = (metadata: Record<string, string>) =>
    rig.caller.refused(rig.caller.raw(pathOf(methods.waitJob), bad, { metadata }));
  expect((await call({})).reason).toBe("UNAUTHENTICATED");
  expect((await call(bearer(caller.token))).reason).toBe("INVALID_FIELD");
});
