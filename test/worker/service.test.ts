import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { BrokerService, GetJobRequestSchema, GetJobResponseSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { createWorker, defineQueue, jobContext } from "../../worker/index.ts";
import { delivery, type Rig, rig } from "./rig.ts";

const SERVICE = "queuecall.v1.BrokerService";
const data = toBinary(GetJobRequestSchema, {
  $typeName: "queuecall.v1.GetJobRequest",
  queue: "q",
  jobId: "asked",
});
const payload = { data, contentType: "application/protobuf", messageType: "" };

function answerOf(it: Rig): string | undefined {
  const outcome = it.stream.settled("a")?.outcome;
  if (outcome?.case !== "completed") throw new Error(`settled ${outcome?.case}`);
  return fromBinary(GetJobResponseSchema, outcome.value.payload?.data ?? new Uint8Array()).job?.jobId;
}

test("a service is a queue; its methods are announced and routed, others are UNIMPLEMENTED", async () => {
  const it = rig({}, (worker) =>
    worker.service(BrokerService, {
      getJob: ({ jobId }, ctx) => ({ job: { jobId: `${jobId} by ${ctx.values.get(jobContext)?.method}` } }),
    }),
  );
  it.start();
  it.stream.welcome();
  expect(it.stream.hello?.subscriptions).toMatchObject([{ queue: SERVICE, methods: [`/${SERVICE}/GetJob`] }]);
  it.stream.deliver(delivery("a", { queue: SERVICE, method: `/${SERVICE}/GetJob`, payload }));
  it.stream.deliver(delivery("b", { queue: SERVICE, method: `/${SERVICE}/CancelJob`, payload }));
  await it.turn();
  expect(answerOf(it)).toBe(`asked by /${SERVICE}/GetJob`);
  expect(it.stream.settled("b")?.outcome).toMatchObject({
    case: "failed",
    value: { retryable: true, status: { code: 12 } },
  });
});

test("a definition with schemas: messages in, initialisers out", async () => {
  const jobs = defineQueue("q", { request: GetJobRequestSchema, response: GetJobResponseSchema });
  const it = rig({}, (worker) => worker.handle(jobs, ({ jobId }) => ({ job: { jobId } })));
  it.start();
  it.stream.welcome();
  it.stream.deliver(delivery("a", { payload }));
  await it.turn();
  expect(answerOf(it)).toBe("asked");
});

test("what is no unary method of the service is refused", () => {
  const worker = createWorker({ url: "http://127.0.0.1:1" });
  expect(() => worker.service(BrokerService, { getjob: () => ({}) } as never)).toThrow(/no method getjob/);
  expect(() => worker.service(BrokerService, { watchJob: () => ({}) } as never)).toThrow(
    /no unary method is implemented/,
  );
});
