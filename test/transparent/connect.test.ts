/** Calls of a service from TypeScript as jobs: client.transport() for Connect clients, createJobClient for who does not wait. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, expectTypeOf, onTestFinished, test } from "vitest";
import {
  contentId,
  createJobClient,
  createQueueClient,
  type EnqueuedJob,
  type JobClient,
  jobOptions,
  type QueueClient,
  TimeoutError,
} from "../../client/index.ts";
import {
  type RenderRequest,
  type RenderResponse,
  RenderResponseSchema,
} from "../../examples/transparent/gen/acme/v1/thumbnailer_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { WaitTimeoutSchema } from "../../gen/queuecall/v1/broker_pb.js";
import { JobState, RetryOn } from "../../gen/queuecall/v1/job_pb.js";
import { jobContext } from "../../worker/index.ts";
import { FakeBroker, inTurn, refuse } from "../client/fake-broker.ts";
import { type Rig, SERVICE, silent, start, Thumbnailer } from "./rig.ts";

/** Long enough for a machine that does other things as well. Milliseconds. */
const PATIENCE = { timeoutMs: 20_000 };

let rig: Rig;
let client: QueueClient;
/** Urls as the handler saw them, in order. */
const seen: string[] = [];
/** Ends the jobs that wait for it. */
let finish: () => void;
let finished: Promise<void>;

function hold(): void {
  ({ promise: finished, resolve: finish } = Promise.withResolvers<void>());
}

beforeAll(async () => {
  rig = await start();
  client = createQueueClient({ url: `http://${rig.broker.grpcAddress}`, logger: silent });
  hold();
  rig.work((worker) =>
    worker.service(Thumbnailer, {
      async render({ url, width }, context) {
        seen.push(url);
        const job = context.values.get(jobContext);
        if (url.startsWith("missing")) {
          const detail = { fieldViolations: [{ field: "url", description: "unknown" }] };
          throw new ConnectError("no such image", Code.NotFound, { "x-why": "gone" }, [
            { desc: BadRequestSchema, value: detail },
          ]);
        }
        if (url.startsWith("flaky") && job?.attempt === 1) throw new ConnectError("busy", Number(url.split(" ")[1]));
        if (url.startsWith("slow")) await Promise.race([finished, aborted(context.signal)]);
        context.responseHeader.set("x-tenant", context.requestHeader.get("x-tenant") ?? "none");
        return { image: Buffer.from(`${url} ${width}`), mediaType: "image/png" };
      },
    }),
  );
});
afterAll(async () => {
  finish();
  await client.close();
  await rig[Symbol.asyncDispose]();
});

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
const thumbnailer = (transport: Transport = client.transport()) => createClient(Thumbnailer, transport);
const textOf = ({ image }: RenderResponse) => Buffer.from(image).toString();
const runsOf = (url: string) => seen.filter((each) => each === url).length;

async function refused(call: Promise<unknown>): Promise<ConnectError> {
  const error = await call.then(
    () => expect.unreachable("it resolved"),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(ConnectError);
  return error as ConnectError;
}

const reasonOf = (error: ConnectError) => error.findDetails(ErrorInfoSchema)[0]?.reason;

describe("client.transport()", () => {
  test("the reply, metadata both ways, the job's id and what became of the call; an id gets its kept reply", async () => {
    const call = async () => {
      let headers = new Headers();
      const reply = await thumbnailer().render(
        { url: "a", width: 3 },
        {
          ...PATIENCE,
          headers: { "x-tenant": "acme" },
          contextValues: jobOptions({ jobId: contentId({ url: "a" }) }),
          onHeader: (given) => (headers = given),
        },
      );
      return [
        textOf(reply),
        ...["x-tenant", "queuecall-job-id", "queuecall-disposition"].map((name) => headers.get(name)),
      ];
    };
    const id = contentId({ url: "a" });
    expect(await call()).toEqual(["a 3", "acme", id, "created"]);
    expect(await call()).toEqual(["a 3", "acme", id, "cached"]);
    expect(runsOf("a")).toBe(1);
  });

  test("a stub of another kind that calls with the same id shares the job", async () => {
    const contextValues = jobOptions({ jobId: "shared", resultTtl: 60_000 });
    await thumbnailer().render({ url: "both", width: 1 }, { ...PATIENCE, contextValues });
    const { image, headers } = await rig.stub.render(
      { url: "both", width: 1 },
      { headers: { "queuecall-job-id": "shared" } },
    );
    expect([image, headers["queuecall-disposition"]]).toEqual(["both 1", "cached"]);
    expect(headers["queuecall-payload-mismatch"]).toBeUndefined();
    let mismatch: string | null = null;
    const onHeader = (headers: Headers) => (mismatch = headers.get("queuecall-payload-mismatch"));
    await thumbnailer().render({ url: "other" }, { ...PATIENCE, contextValues, onHeader });
    expect(mismatch).toBe("true");
  });

  test("the handler's error: code, message, details, metadata", async () => {
    const error = await refused(thumbnailer().render({ url: "missing" }, PATIENCE));
    expect([error.code, error.rawMessage]).toEqual([Code.NotFound, "no such image"]);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("url");
    expect(error.metadata.get("x-why")).toBe("gone");
    expect(error.metadata.get("queuecall-reason")).toBe("JOB_FAILED");
    expect(error.metadata.get("queuecall-disposition")).toBe("created");
    expect(error.cause).toMatchObject({ name: "JobFailedError", failure: { code: "NOT_FOUND" } });
  });

  test("what a stranger's handler fails with is not tried again, but for UNAVAILABLE; options of the transport and of the call say otherwise", async () => {
    expect(textOf(await thumbnailer().render({ url: `flaky ${Code.Unavailable} a` }, PATIENCE))).toContain("flaky");
    const internal = `flaky ${Code.Internal} `;
    expect((await refused(thumbnailer().render({ url: `${internal}b` }, PATIENCE))).code).toBe(Code.Internal);
    const retrying = thumbnailer(client.transport({ retryOn: "failure" }));
    await retrying.render({ url: `${internal}c` }, PATIENCE);
    expect(runsOf(`${internal}c`)).toBe(2);
    const contextValues = jobOptions({ maxAttempts: 1 });
    expect((await refused(retrying.render({ url: `${internal}d` }, { ...PATIENCE, contextValues }))).code).toBe(
      Code.Internal,
    );
    expect(runsOf(`${internal}d`)).toBe(1);
  });

  test("a timeout is DeadlineExceeded and says which job goes on; the same id gets its reply", async () => {
    const contextValues = jobOptions({ jobId: "slow" });
    const error = await refused(thumbnailer().render({ url: "slow" }, { timeoutMs: 100, contextValues }));
    expect([error.code, reasonOf(error)]).toEqual([Code.DeadlineExceeded, "WAIT_TIMEOUT"]);
    expect(error.findDetails(WaitTimeoutSchema)[0]).toMatchObject({ queue: SERVICE, jobId: "slow" });
    expect(TimeoutError.from(error)).toMatchObject({ jobId: "slow", timeoutMs: 100, queue: SERVICE });
    expect(error.metadata.get("queuecall-job-id")).toBe("slow");
    const again = thumbnailer().render({ url: "slow" }, { timeoutMs: 2 ** 40, contextValues });
    finish();
    expect(textOf(await again)).toBe("slow 0");
    hold();
    expect(runsOf("slow")).toBe(1);
  });

  test("an abort is Canceled and the job goes on, unless it was asked to end", async () => {
    const call = async (jobId: string, cancelOnAbort: boolean) => {
      const stop = new AbortController();
      const contextValues = jobOptions({ jobId, cancelOnAbort });
      const running = refused(thumbnailer().render({ url: `slow ${jobId}` }, { signal: stop.signal, contextValues }));
      while (runsOf(`slow ${jobId}`) === 0) await new Promise((resolve) => setImmediate(resolve));
      stop.abort();
      expect((await running).code).toBe(Code.Canceled);
    };
    const jobs = createJobClient(Thumbnailer, client).render;
    await call("left", false);
    expect(await jobs.job("left").get()).toMatchObject({ state: "running", cancelRequested: false });
    await call("stopped", true);
    await expect(jobs.job("stopped").wait({ timeout: 20_000 })).rejects.toMatchObject({ code: "JOB_CANCELLED" });
    finish();
    expect(textOf(await jobs.job("left").wait({ timeout: 20_000 }))).toBe("slow left 0");
    hold();
  });

  test("what else became of a job: the status that any stub gets, with the kind", async () => {
    const contextValues = jobOptions({ queue: "nobody", startTimeout: 50 });
    const late = await refused(thumbnailer().render({ url: "late" }, { ...PATIENCE, contextValues }));
    expect([late.code, reasonOf(late)]).toEqual([Code.DeadlineExceeded, "JOB_FAILED"]);
    expect(late.findDetails(ErrorInfoSchema)[0]?.metadata).toMatchObject({ kind: "START_TIMEOUT", queue: "nobody" });
    expect(TimeoutError.from(late)).toBeUndefined();
    const cancelled = refused(
      thumbnailer().render({}, { ...PATIENCE, contextValues: jobOptions({ queue: "nobody", jobId: "c" }) }),
    );
    const job = createJobClient(Thumbnailer, client).render.job("c", { queue: "nobody" });
    while ((await job.cancel().catch(() => undefined)) === undefined);
    expect((await cancelled).code).toBe(Code.Canceled);
  });

  test("interceptors are around the method's call: they see its messages, and what they add reaches the handler", async () => {
    const calls: unknown[] = [];
    const interceptor: Interceptor = (next) => async (request) => {
      request.header.set("x-tenant", "intercepted");
      const response = await next(request);
      calls.push([request.service.typeName, request.method.name, request.url, response.header.get("x-tenant")]);
      return response;
    };
    await thumbnailer(client.transport({ interceptors: [interceptor] })).render({ url: "b" }, PATIENCE);
    expect(calls).toEqual([[SERVICE, "Render", `queuecall:/${SERVICE}/Render`, "intercepted"]]);
  });

  test("credentials stay out of the job; a header that would be an option is refused by its name", async () => {
    const headers = { authorization: "Bearer secret", cookie: "a=b", "x-tenant": "t", "trace-bin": "AAEC" };
    const contextValues = jobOptions({ jobId: "headers" });
    await thumbnailer().render({ url: "c" }, { ...PATIENCE, headers, contextValues });
    const { headers: stored } = await createJobClient(Thumbnailer, client).render.job("headers").get();
    expect(stored).toEqual({ "x-tenant": "t", "trace-bin": "AAEC" });
    const error = await refused(thumbnailer().render({}, { headers: { "queuecall-job-id": "x" } }));
    expect([error.code, reasonOf(error)]).toEqual([Code.InvalidArgument, "INVALID_FIELD"]);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("queuecall-job-id");
  });

  test("a broker that leaves in the midst of a wait is not noticed: the same request is sent again, and says all that a stub's does", async () => {
    const fake = await FakeBroker.start();
    onTestFinished(() => fake.close());
    await using patient = createQueueClient({ url: fake.url, retry: { initial: 1, max: 5 } });
    const data = toBinary(RenderResponseSchema, create(RenderResponseSchema, { mediaType: "image/png" }));
    const value = { data, contentType: "application/protobuf" };
    const outcome = { case: "result" as const, value };
    fake.on(
      "enqueueAndWait",
      inTurn(refuse("WAIT_INTERRUPTED", "it drains"), () => ({
        job: { jobId: "j", state: JobState.SUCCEEDED, outcome },
      })),
    );
    const { mediaType } = await thumbnailer(patient.transport()).render({ url: "a" }, PATIENCE);
    expect(mediaType).toBe("image/png");
    const [first, second] = fake.requests("enqueueAndWait").map(({ message }) => message);
    expect(second?.requestId).toEqual(first?.requestId);
    expect(second?.spec).toEqual(first?.spec);
    expect(first?.spec).toMatchObject({
      queue: SERVICE,
      method: `/${SERVICE}/Render`,
      retryOn: RetryOn.UNAVAILABLE,
      payload: { contentType: "application/protobuf", messageType: "acme.v1.RenderRequest" },
    });
  });

  test("streaming methods are refused", async () => {
    const preview = thumbnailer().preview({ url: "a" })[Symbol.asyncIterator]();
    const error = await refused(preview.next());
    expect([error.code, reasonOf(error)]).toEqual([Code.Unimplemented, "NO_SUCH_METHOD"]);
    expect(error.rawMessage).toContain("streaming method");
  });

  test("what the broker refuses comes as it said it; a broker that is not there is Unavailable, whatever the deadline", async () => {
    const contextValues = jobOptions({ priority: 5_000 });
    const error = await refused(thumbnailer().render({}, { ...PATIENCE, contextValues }));
    expect([error.code, reasonOf(error)]).toEqual([Code.InvalidArgument, "INVALID_FIELD"]);
    await using nowhere = createQueueClient({ url: "http://127.0.0.1:1", retry: { initial: 1, max: 5 } });
    const away = await refused(thumbnailer(nowhere.transport()).render({}, { timeoutMs: 100 }));
    expect([away.code, away.cause]).toMatchObject([Code.Unavailable, { accepted: "no" }]);
    await nowhere.close();
    expect((await refused(thumbnailer(nowhere.transport()).render({}))).code).toBe(Code.Canceled);
  });

  test("options that do not exist are TypeErrors that name the right one", () => {
    expect(() => jobOptions({ resultTTL: 1 } as never)).toThrow('did you mean "resultTtl"?');
    expect(() => client.transport({ maxAttempt: 1 } as never)).toThrow('did you mean "maxAttempts"?');
    expect(() => createJobClient(Thumbnailer, client, { queues: "q" } as never)).toThrow('did you mean "queue"?');
  });

  test("a call that says more than one thing of its job says all of them", async () => {
    const values = jobOptions({ labels: { for: "june" } }, jobOptions({ jobId: "both options" }));
    await thumbnailer(client.transport({ priority: 7 })).render({ url: "d" }, { ...PATIENCE, contextValues: values });
    const job = await createJobClient(Thumbnailer, client).render.job("both options").get();
    expect(job).toMatchObject({ labels: { for: "june" }, priority: 7, method: `/${SERVICE}/Render` });
  });
});

describe("createJobClient", () => {
  test("enqueue answers at once with a handle: wait, watch, get, cancel", async () => {
    const jobs = createJobClient(Thumbnailer, client, { resultTtl: 60_000 });
    const job = await jobs.render.enqueue({ url: "slow job", width: 2 }, { headers: { "x-tenant": "later" } });
    expect(job).toMatchObject({
      queue: SERVICE,
      disposition: "created",
      jobId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const states: string[] = [];
    const watching = (async () => {
      for await (const { state, outcomeHeaders } of job.watch()) {
        states.push(state);
        if (state === "succeeded") expect(outcomeHeaders).toEqual({ "x-tenant": "later" });
      }
    })();
    finish();
    expect(textOf(await job.wait({ timeout: 20_000 }))).toBe("slow job 2");
    hold();
    await watching;
    expect(states.at(-1)).toBe("succeeded");
    expect(await job.get()).toMatchObject({ state: "succeeded", method: `/${SERVICE}/Render` });
    expect((await jobs.render.enqueue({ url: "slow job", width: 2 }, { jobId: job.jobId })).disposition).toBe("cached");
  });

  test("a job of another process, by its id", async () => {
    const { render } = createJobClient(Thumbnailer, client, { queue: "waits" });
    await render.enqueue({ url: "e" }, { jobId: "known" });
    expect(await render.job("known").cancel()).toMatchObject({ state: "cancelled" });
    await expect(render.job("unknown").wait()).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  });

  test("has the unary methods, in the service's types", () => {
    const jobs = createJobClient(Thumbnailer, client);
    expect(Object.keys(jobs)).toEqual(["render"]);
    expectTypeOf<keyof JobClient<typeof Thumbnailer>>().toEqualTypeOf<"render">();
    expectTypeOf({ url: "", width: 1 }).toExtend<Parameters<typeof jobs.render.enqueue>[0]>();
    expectTypeOf<RenderRequest>().toExtend<Parameters<typeof jobs.render.enqueue>[0]>();
    expectTypeOf(jobs.render.enqueue).returns.resolves.toEqualTypeOf<EnqueuedJob<RenderResponse>>();
    expectTypeOf(jobs.render.job("j").wait).returns.resolves.toEqualTypeOf<RenderResponse>();
    // @ts-expect-error a streaming method
    void (() => jobs.preview);
    // @ts-expect-error no such field
    void (() => jobs.render.enqueue({ uri: "" }));
    // @ts-expect-error the method is said by the call
    void (() => jobs.render.enqueue({}, { method: "/a/b" }));
    // @ts-expect-error headers are the call's own
    void (() => jobOptions({ headers: {} }));
  });
});
