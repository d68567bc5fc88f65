/** What one call does when brokers, streams and time do not play along. */

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { grpcTimeout } from "../../client/grpc-timeout.ts";
import {
  BrokerUnavailableError,
  createQueueClient,
  OverloadedError,
  type QueueClient,
  type QueueClientOptions,
  TimeoutError,
} from "../../client/index.ts";
import { Disposition, JobState } from "../../gen/queuecall/v1/job_pb.js";
import { type Arrived, deadUrl, FakeBroker, hang, inTurn, refuse, succeeded } from "./fake-broker.ts";

describe.each(["multiplex", "unary"] as const)("%s", (mode) => {
  let broker: FakeBroker;
  const clients: QueueClient[] = [];

  beforeEach(async () => {
    broker = await FakeBroker.start();
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    broker.close();
  });

  function connect(options: Partial<QueueClientOptions> = {}) {
    const client = createQueueClient({ url: broker.url, mode, retry: { initial: 2, max: 10 }, ...options });
    clients.push(client);
    return client.queue<unknown, unknown>("q");
  }

  const unavailable = refuse("STORE_UNAVAILABLE", "no storage");
  const created = { disposition: Disposition.CREATED };
  const rejection = (promise: Promise<unknown>) =>
    promise.then(
      () => expect.unreachable("it resolved"),
      (error: unknown) => error,
    );

  describe("tries again", () => {
    it("with the same request id over all sends, another one for each call", async () => {
      const answer = (call: Arrived<"enqueueAndWait">) => ({ ...created, job: succeeded(call, "done") });
      broker.on("enqueueAndWait", inTurn(unavailable, refuse("BROKER_DRAINING", "bye"), answer, answer));
      const queue = connect();
      expect(await queue.enqueueAndWait("j", 1)).toBe("done");
      expect(await queue.enqueueAndWait("j", 1)).toBe("done");
      const ids = broker
        .requests("enqueueAndWait")
        .map(({ message }) => Buffer.from(message.requestId).toString("hex"));
      expect(ids).toHaveLength(4);
      expect(ids[0]).toMatch(/^[0-9a-f]{32}$/);
      expect(new Set(ids.slice(0, 3)).size).toBe(1);
      expect(ids[3]).not.toBe(ids[0]);
    });

    it("with the same generated id where the caller gave none", async () => {
      broker.on(
        "enqueue",
        inTurn(unavailable, (call) => ({ ...created, job: { jobId: call.message.spec!.jobId } })),
      );
      const { job } = await connect().enqueue("", 1);
      expect(job.jobId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(broker.requests("enqueue").map(({ message }) => message.spec!.jobId)).toEqual([job.jobId, job.jobId]);
    });

    it("after an interrupted wait, with what is left of the total", async () => {
      const interrupted = inTurn<"enqueueAndWait">(
        async ({ gone }) => {
          await new Promise((resolve) => setTimeout(resolve, 30));
          expect(gone.aborted).toBe(false);
          return refuse("WAIT_INTERRUPTED", "the broker drains", { retryAfterMs: 1 })();
        },
        (call) => ({ ...created, job: succeeded(call, 7) }),
      );
      broker.on("enqueueAndWait", interrupted);
      expect(await connect().enqueueAndWait("j", 1, { timeout: 60_000 })).toBe(7);
      const [first, second] = broker.requests("enqueueAndWait").map(({ message }) => durationMs(message.waitTimeout!));
      // What a busy machine takes before the first send is off it already.
      expect(first).toBeGreaterThan(59_000);
      expect(first).toBeLessThanOrEqual(60_000);
      expect(second).toBeLessThanOrEqual(first! - 29);
      expect(second).toBeGreaterThan(50_000);
    });

    it("after the broker's longest wait, which may be shorter than the caller's", async () => {
      const waitTimeout = { queue: "q", jobId: "j", state: "running", attempt: 1, waitedMs: 100 };
      broker.on(
        "waitJob",
        inTurn(refuse("WAIT_TIMEOUT", "over", { waitTimeout }), (call) => ({ job: succeeded(call, 1) })),
      );
      expect(await connect().wait("j", { timeout: 60_000 })).toBe(1);
      expect(broker.requests("waitJob")).toHaveLength(2);
    });

    it("at the next url, and stays there", async () => {
      broker.on("enqueueAndWait", (call) => ({ ...created, job: succeeded(call, "here") }));
      const queue = connect({ url: [await deadUrl(), broker.url] });
      expect(await queue.enqueueAndWait("a", 1)).toBe("here");
      expect(await queue.enqueueAndWait("b", 1)).toBe("here");
      expect(broker.arrived).toHaveLength(2);
    });

    it("when the connection breaks under the call", async () => {
      const { port } = new URL(broker.url);
      let next: Promise<FakeBroker> | undefined;
      broker.on("enqueueAndWait", () => {
        broker.close();
        next = FakeBroker.start(Number(port)).then((fresh) => {
          fresh.on("enqueueAndWait", (call) => ({ ...created, job: succeeded(call, "again") }));
          return fresh;
        });
        return hang();
      });
      expect(await connect().enqueueAndWait("j", 1)).toBe("again");
      broker = await next!;
    });

    it("not where the broker said no", async () => {
      broker.on("enqueue", refuse("QUEUE_FULL", "full", { retryAfterMs: 1_500 }));
      const error = await rejection(connect().enqueue("j", 1));
      expect(error).toBeInstanceOf(OverloadedError);
      expect(error).toMatchObject({
        code: "OVERLOADED",
        reason: "QUEUE_FULL",
        retryAfterMs: 1_500,
        queue: "q",
        jobId: "j",
      });
      expect(broker.arrived).toHaveLength(1);
    });

    it("where the broker is full, but an earlier send may have stored the job", async () => {
      const full = refuse("STORE_FULL", "full", { retryAfterMs: 1 });
      broker.on(
        "enqueue",
        inTurn(unavailable, full, () => ({ ...created, job: { jobId: "j" } })),
      );
      expect((await connect().enqueue("j", 1)).disposition).toBe("created");
      broker.on(
        "enqueue",
        inTurn(unavailable, full, full, () => hang()),
      );
      const error = await rejection(connect().enqueue("k", 1, { timeout: 300 }));
      expect(error).toMatchObject({ code: "BROKER_UNAVAILABLE", accepted: "unknown" });
    });

    it("not where an interceptor failed", async () => {
      const interceptor = () => () => Promise.reject(new Error("vault is sealed"));
      const error = await rejection(connect({ interceptors: [interceptor] }).get("j"));
      expect(error).toMatchObject({ name: "QueuecallError", code: "UNKNOWN", message: "vault is sealed" });
    });

    it("not with retry: false", async () => {
      broker.on("enqueue", unavailable);
      const error = await rejection(connect({ retry: false }).enqueue("j", 1));
      expect(error).toMatchObject({ code: "BROKER_UNAVAILABLE", reason: "STORE_UNAVAILABLE", accepted: "unknown" });
      const refused = await rejection(connect({ retry: false, url: await deadUrl() }).enqueue("j", 1));
      expect(refused).toMatchObject({ code: "BROKER_UNAVAILABLE", accepted: "no" });
    });
  });

  describe("time", () => {
    it("sends the wait and an RPC deadline a second later", async () => {
      broker.on("enqueueAndWait", (call) => ({ ...created, job: succeeded(call, 1) }));
      await connect().enqueueAndWait("j", 1, { timeout: 5_000 });
      const { message, headers } = broker.requests("enqueueAndWait")[0]!;
      expect(durationMs(message.waitTimeout!)).toBe(5_000);
      const [deadline] = headers.get("grpc-timeout");
      expect(Number.parseInt(String(deadline ?? "6000m"), 10)).toBe(6_000);
    });

    it("waits 30 s by default", async () => {
      broker.on("enqueueAndWait", (call) => ({ ...created, job: succeeded(call, 1) }));
      await connect().enqueueAndWait("j", 1);
      expect(durationMs(broker.requests("enqueueAndWait")[0]!.message.waitTimeout!)).toBe(30_000);
    });

    it("L15: rejects at the timeout though the RPC hangs, and leaves the RPC alone", async () => {
      const queue = connect();
      // The connection is there before the time runs.
      broker.on("enqueue", () => ({ ...created, job: { queue: "q", jobId: "job-0", state: JobState.QUEUED } }));
      await queue.enqueue("job-0", 1);
      const begun = performance.now();
      const call = rejection(queue.enqueueAndWait("job-1", 1, { timeout: 80 }));
      const { gone } = await broker.request("enqueueAndWait");
      const error = await call;
      expect(error).toBeInstanceOf(TimeoutError);
      expect(error).toMatchObject({ code: "TIMEOUT", jobId: "job-1", timeoutMs: 80, queue: "q" });
      expect((error as Error).message).toBe("Job job-1 timed out after 80 ms");
      expect(gone.aborted).toBe(false);
      await once(gone, "abort");
      expect(performance.now() - begun).toBeGreaterThan(1_000);
    });

    it("is a TimeoutError also where this process stood still until after the RPC's own deadline", async () => {
      const unary: Transport["unary"] = (_method, signal) =>
        new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      const openLink = (url: string) => ({
        ...{ url, transport: { unary } as Transport, state: "heard" as const },
        close: async () => {},
      });
      const call = rejection(connect({ openLink }).enqueueAndWait("j", 1, { timeout: 50 }));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_200);
      expect(await call).toMatchObject({ code: "TIMEOUT", jobId: "j", timeoutMs: 50 });
    });

    it("rejects at once when the broker says that the wait is over", async () => {
      const waitTimeout = { queue: "q", jobId: "j", state: "running", attempt: 2, waitedMs: 30_000 };
      broker.on("enqueueAndWait", refuse("WAIT_TIMEOUT", "over", { waitTimeout }));
      const error = await rejection(connect().enqueueAndWait("j", 1));
      expect(error).toMatchObject({
        code: "TIMEOUT",
        reason: "WAIT_TIMEOUT",
        timeoutMs: 30_000,
        state: "running",
        attempt: 2,
      });
    });

    it("takes a timeout of 0 as a question", async () => {
      broker.on("waitJob", (call) => ({ job: succeeded(call, "ready") }));
      const queue = connect();
      expect(await queue.wait("j", { timeout: 0 })).toBe("ready");
      const waitTimeout = { queue: "q", jobId: "j", state: "running", attempt: 1, waitedMs: 0 };
      broker.on("waitJob", refuse("WAIT_TIMEOUT", "over", { waitTimeout }));
      expect(await rejection(queue.wait("j", { timeout: 0 }))).toMatchObject({ code: "TIMEOUT", timeoutMs: 0 });
      expect(durationMs(broker.requests("waitJob")[0]!.message.waitTimeout!)).toBe(0);
    });

    it("asks for what is there, of a broker that is there and says nothing: a TimeoutError, too", async () => {
      broker.on("waitJob", hang);
      expect(await rejection(connect().wait("j", { timeout: 0 }))).toMatchObject({ code: "TIMEOUT", timeoutMs: 0 });
    });

    it.each([2 ** 31, 400 * 24 * 3_600_000, Number.MAX_VALUE])("holds for timeouts of %d ms", async (timeout) => {
      const answer = Promise.withResolvers<string>();
      broker.on("enqueueAndWait", async (call) => ({ ...created, job: succeeded(call, await answer.promise) }));
      const result = connect().enqueueAndWait("j", 1, { timeout });
      await broker.request("enqueueAndWait");
      setTimeout(answer.resolve, 30, "late");
      expect(await result).toBe("late");
    });

    it("writes grpc-timeout in at most eight digits, never above what a timer holds", () => {
      expect(grpcTimeout(31_000)).toBe("31000m");
      expect(grpcTimeout(0.2)).toBe("1m");
      expect(grpcTimeout(1e8)).toBe("100000S");
      expect(grpcTimeout(2 ** 31)).toBe("2147483S");
      expect(grpcTimeout(Number.MAX_VALUE)).toBe("2147483S");
    });
  });

  describe("without a broker", () => {
    it("is never a TimeoutError: nothing was sent", async () => {
      const error = await rejection(connect({ url: await deadUrl() }).enqueueAndWait("j", 1, { timeout: 100 }));
      expect(error).toBeInstanceOf(BrokerUnavailableError);
      expect(error).toMatchObject({ code: "BROKER_UNAVAILABLE", accepted: "no", jobId: "j" });
      expect((error as Error).message).toMatch(
        /^no answer from the broker within 100 ms: cannot connect to .*ECONNREFUSED/,
      );
    });

    it("ends what still waits for its connection, so that nothing is sent later", async () => {
      let signal: AbortSignal | undefined;
      const unary: Transport["unary"] = (_method, aborted) => {
        signal = aborted;
        return new Promise(() => {});
      };
      const openLink = (url: string) => ({
        ...{ url, transport: { unary } as Transport, state: "closed" as const },
        close: async () => {},
      });
      expect(await rejection(connect({ openLink }).enqueueAndWait("j", 1, { timeout: 60 }))).toMatchObject({
        accepted: "no",
      });
      expect(signal?.aborted).toBe(true);
    });

    it("is unknown after a send that had no answer", async () => {
      broker.on("enqueueAndWait", unavailable);
      const error = await rejection(connect().enqueueAndWait("j", 1, { timeout: 60 }));
      expect(error).toMatchObject({ code: "BROKER_UNAVAILABLE", accepted: "unknown" });
    });

    it("is not a job that takes its time if the last try was refused and the next has only begun", async () => {
      broker.on("enqueueAndWait", inTurn<"enqueueAndWait">(unavailable, hang));
      const call = rejection(connect().enqueueAndWait("j", 1, { timeout: 200 }));
      await broker.request("enqueueAndWait", 2);
      expect(await call).toMatchObject({ code: "BROKER_UNAVAILABLE", accepted: "unknown" });
      const patient = rejection(connect().enqueueAndWait("j", 1, { timeout: 200 }));
      expect(await patient).toBeInstanceOf(TimeoutError);
    });

    it("is unknown where something accepts connections and never speaks", async () => {
      const sockets: Socket[] = [];
      const server = createServer((socket) => void sockets.push(socket.resume())).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as { port: number };
      const error = await rejection(
        connect({ url: `http://127.0.0.1:${port}` }).enqueueAndWait("j", 1, { timeout: 60 }),
      );
      expect(error).toMatchObject({ code: "BROKER_UNAVAILABLE", accepted: "unknown" });
      for (const socket of sockets) socket.destroy();
      server.close();
    });

    it("is unknown where a call that does not wait for a job hangs", async () => {
      expect(await rejection(connect().enqueue("j", 1, { timeout: 60 }))).toMatchObject({
        code: "BROKER_UNAVAILABLE",
        accepted: "unknown",
      });
    });

    it("is a TimeoutError once the job is known to be stored", async () => {
      broker.on("enqueueAndWait", () => {
        setImmediate(() => broker.close());
        return refuse("WAIT_INTERRUPTED", "bye")();
      });
      expect(await rejection(connect().enqueueAndWait("j", 1, { timeout: 150 }))).toBeInstanceOf(TimeoutError);
    });

    it("is a TimeoutError while a broker that says goodbye still holds the call", async () => {
      const call = rejection(connect().enqueueAndWait("j", 1, { timeout: 150 }));
      await broker.request("enqueueAndWait");
      broker.leave();
      expect(await call).toBeInstanceOf(TimeoutError);
    });
  });

  describe("abort", () => {
    it("rejects with the signal's reason, ends the RPC and does not cancel the job", async () => {
      const controller = new AbortController();
      const call = rejection(connect().enqueueAndWait("j", 1, { signal: controller.signal }));
      const { gone } = await broker.request("enqueueAndWait");
      const reason = new Error("enough");
      controller.abort(reason);
      expect(await call).toBe(reason);
      if (!gone.aborted) await once(gone, "abort");
      expect(broker.requests("cancelJob")).toEqual([]);
    });

    it("before the call sends nothing", async () => {
      const queue = connect();
      expect(await rejection(queue.enqueueAndWait("j", 1, { signal: AbortSignal.abort("no") }))).toBe("no");
      expect(broker.arrived).toEqual([]);
    });

    it("cancels the job with cancelOnAbort, also one that is not stored yet", async () => {
      const found = (call: { message: { jobId: string } }) => ({ job: { queue: "q", jobId: call.message.jobId } });
      broker.on("cancelJob", inTurn(refuse("JOB_NOT_FOUND", "none"), refuse("JOB_NOT_FOUND", "none"), found));
      const controller = new AbortController();
      const options = { signal: controller.signal, cancelOnAbort: true };
      const call = rejection(connect().enqueueAndWait("", 1, options));
      const { gone, message } = await broker.request("enqueueAndWait");
      controller.abort("stop");
      expect(await call).toBe("stop");
      const cancel = await broker.request("cancelJob", 3);
      expect(cancel.message.jobId).toBe(message.spec!.jobId);
      if (!gone.aborted) await once(gone, "abort");
      expect(broker.requests("cancelJob")).toHaveLength(3);
    });
  });

  describe("close", () => {
    it("ends calls in progress and refuses new ones", async () => {
      const queue = connect();
      const call = rejection(queue.enqueueAndWait("j", 1));
      await broker.request("enqueueAndWait");
      await clients[0]!.close();
      await clients[0]!.close();
      expect(await call).toMatchObject({ name: "QueuecallError", code: "CLIENT_CLOSED" });
      expect(await rejection(queue.get("j"))).toMatchObject({ code: "CLIENT_CLOSED" });
      const watch = queue.watch("j");
      expect(await rejection(watch.next())).toMatchObject({ code: "CLIENT_CLOSED" });
    });
  });

  describe("beside the job", () => {
    it("sends the token, asked for at each send", async () => {
      broker.on(
        "getJob",
        inTurn(unavailable, () => ({ job: { jobId: "j", state: JobState.QUEUED } })),
      );
      let asked = 0;
      await connect({ token: async () => `t${++asked}` }).get("j");
      expect(broker.arrived.map(({ headers }) => headers.get("authorization")[0])).toEqual(["Bearer t1", "Bearer t2"]);
    });

    it("warns once of a join that dropped another payload", async () => {
      broker.on("enqueueAndWait", (call) => ({
        disposition: Disposition.JOINED,
        payloadMismatch: true,
        job: succeeded(call, 1),
      }));
      const warnings: unknown[] = [];
      const queue = connect({ logger: { warn: (...args) => void warnings.push(args) } });
      await queue.enqueueAndWait("j", "secret");
      expect(warnings).toEqual([[{ queue: "q", jobId: "j" }, expect.stringContaining("payload was dropped")]]);
    });

    it("gives the raw Connect client", async () => {
      broker.on("getJob", () => ({ job: { jobId: "raw", state: JobState.QUEUED } }));
      connect();
      const { job } = await clients[0]!.broker.getJob({ queue: "q", jobId: "raw" });
      expect(job?.jobId).toBe("raw");
    });
  });
});
