/** A job's versions as they come, over as many streams as it takes. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { WatchJobResponse } from "../gen/queuecall/v1/broker_pb.js";
import { reconnectMs } from "../protocol/backoff.ts";
import type { PayloadCodec } from "../protocol/codec.ts";
import { SILENT_PING_INTERVALS, WATCH_HEARTBEAT_MS } from "../protocol/limits.ts";
import { type CallContext, cancelled, isTransient, sleep } from "./call.ts";
import { isTerminal } from "./enums.ts";
import { BrokerUnavailableError, fromConnectError } from "./errors.ts";
import { type Job, jobOf } from "./job.ts";
import type { BrokerClient } from "./transport/links.ts";

/** A stream without a message, not even a heartbeat, for this long is dead. */
const SILENCE_MS = WATCH_HEARTBEAT_MS * SILENT_PING_INTERVALS;

export interface WatchSpec<Response> {
  queue: string;
  jobId: string;
  /** Give up after this long without a word from any broker. Milliseconds. */
  timeoutMs: number;
  signal: AbortSignal | undefined;
  codec: PayloadCodec<never, Response>;
}

/** Ends after the terminal version. Versions strictly increase, whatever streams they come by. */
export async function* watchJob<Response>(
  context: CallContext,
  spec: WatchSpec<Response>,
): AsyncGenerator<Job<Response>, void> {
  const { links, clock, closing, retry } = context;
  const { signal, queue, jobId } = spec;
  const ended = AbortSignal.any([closing, ...(signal ? [signal] : [])]);
  let seen = -1;
  /** Since when no broker has spoken; undefined while one does. */
  let lostAt: number | undefined = clock.monotonic();
  for (let failures = 0; ; failures++) {
    const link = links.current;
    let error: ConnectError;
    try {
      for await (const { job } of messages(context, link.broker, spec, ended)) {
        lostAt = undefined;
        failures = 0;
        if (job === undefined || Number(job.version) <= seen) continue;
        seen = Number(job.version);
        const version = jobOf(job, spec.codec);
        yield version;
        if (isTerminal(version.state)) return;
      }
      error = new ConnectError("the stream ended before the job did", Code.Unavailable);
    } catch (thrown) {
      ended.throwIfAborted();
      if (!(thrown instanceof ConnectError)) throw thrown;
      error = thrown;
    }
    if (!isTransient(error) || retry === false) throw fromConnectError(error, spec);
    lostAt ??= clock.monotonic();
    if (clock.monotonic() - lostAt >= spec.timeoutMs) {
      const message = `no word from the broker within ${spec.timeoutMs} ms: ${error.rawMessage}`;
      throw new BrokerUnavailableError(message, "unknown", { queue, jobId, cause: error });
    }
    links.leave(link);
    await sleep(clock, reconnectMs(failures, clock.random(), retry.initial, retry.max), ended);
    ended.throwIfAborted();
  }
}

/** One stream. Each message is waited for with a limit, for a stream that died may never say so. */
async function* messages(
  { clock }: CallContext,
  broker: BrokerClient,
  { queue, jobId, timeoutMs }: WatchSpec<unknown>,
  ended: AbortSignal,
): AsyncGenerator<WatchJobResponse, void> {
  const rpc = new AbortController();
  const stream = broker.watchJob({ queue, jobId }, { signal: rpc.signal })[Symbol.asyncIterator]();
  let limitMs = Math.min(SILENCE_MS, timeoutMs);
  try {
    for (;;) {
      const silent = Promise.withResolvers<never>();
      const fail = () => silent.reject(new ConnectError("the watch has fallen silent", Code.Unavailable));
      const stop = () => silent.reject(ended.reason);
      const timer = clock.setTimer(fail, limitMs);
      ended.addEventListener("abort", stop);
      if (ended.aborted) stop();
      try {
        const next = stream.next();
        next.catch(() => {});
        const { done, value } = await Promise.race([next, silent.promise]);
        if (done) return;
        limitMs = SILENCE_MS;
        yield value;
      } finally {
        timer.cancel();
        ended.removeEventListener("abort", stop);
      }
    }
  } finally {
    rpc.abort(cancelled());
  }
}
