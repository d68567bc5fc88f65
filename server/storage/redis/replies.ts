/** What the scripts answer, in the words of the contract. Replies are arrays of Buffers, whole numbers and null; bytes are never parsed as text. */
import type { Job, JobSpec, JobState, JobStatus, JobSummary } from "../../job/job.ts";
import { failureOf } from "../../job/lifecycle.ts";
import { summaryOf } from "../../job/record.ts";
import { decodeEnvelope, decodePayload, decodeProgress } from "../blob.ts";
import type { Changed, ClaimAnswer, Claimed, InspectedJob, QueueCounts } from "../storage.ts";
import { decodeRecord, type RecordReply, splitNames } from "./record.ts";

/** prelude.lua, short. */
export type StatusReply = [
  id: Buffer,
  state: Buffer,
  version: number,
  attempt: number,
  cancelRequested: number,
  outcome?: Buffer | null,
  record?: RecordReply,
  history?: Buffer | null,
];
/** enqueue.lua; `first`: the queue had never had a job. Of a full queue, in place of a status: which limit. */
export type EnqueueReply = [
  kind: Buffer,
  status: StatusReply | Buffer,
  mismatch: number,
  tell: Buffer,
  wake: Buffer,
  first: number,
  claimed?: ClaimedAtOnceReply | null,
];
/** enqueue.lua: the rest is known to whoever asked. */
export type ClaimedAtOnceReply = [
  attempt: number,
  fence: number,
  runTimeoutLeftMs: number,
  createTime: number,
  version: number,
  tell: Buffer,
];
/** prelude.lua, changed. */
export type ChangedReply = [status: StatusReply, tell: Buffer, wake: Buffer, tickInMs: number];
/** prelude.lua, whole_of. */
export type JobReply = [status: StatusReply, record: RecordReply, progress: Buffer | null];
/** claim.lua. */
export type ClaimedReply = [
  id: Buffer,
  attempt: number,
  maxAttempts: number,
  fence: number,
  token: Buffer,
  runTimeoutLeftMs: number,
  createTime: number,
  version: number,
  cancelRequested: number,
  envelope: Buffer,
  payload: Buffer,
  tell: Buffer,
];
/** claiming.lua. */
export type ClaimReply = [changed: ChangedReply[], jobs: ClaimedReply[], paused: number];
/** settling.lua, and what claiming.lua says behind it. */
export type SettleReply = [kind: Buffer, changed?: ChangedReply | null, claimed?: ClaimReply];
/** list.lua. */
export type ListReply = [jobs: [id: Buffer, record: RecordReply][], score: Buffer, id: Buffer];
/** inspect.lua. */
export type InspectedReply = [
  record: RecordReply | null | undefined,
  payload: Buffer | null,
  detail: Buffer | null,
  progress: Buffer | null,
  history: Buffer | null,
];

/** @param jobId whoever asked may know it, and need not have it twice */
export function decodeStatus(queue: string, reply: StatusReply, jobId = reply[0].toString("utf8")): JobStatus {
  const [, state, version, attempt, cancelRequested, outcome = null, record, history = null] = reply;
  const status: JobStatus = {
    queue,
    jobId,
    state: stateOf(state),
    version,
    attempt,
    cancelRequested: cancelRequested === 1,
  };
  if (status.state === "succeeded" && outcome) status.outcome = { kind: "result", payload: decodePayload(outcome) };
  if (record) {
    const { record: job } = decodeRecord(queue, jobId, record, history, outcome);
    status.outcome = { kind: "failure", failure: failureOf(job) };
  }
  return status;
}

/** One text for each, however many jobs are held. */
function stateOf(name: Buffer): JobState {
  // No two are as long and have the same second letter.
  return states.find((state) => state.length === name.length && state.charCodeAt(1) === name[1]) as JobState;
}

const states: readonly JobState[] = ["running", "succeeded", "queued", "scheduled", "failed", "cancelled"];

export function decodeChanged(queue: string, [status, tell, wake, tickInMs]: ChangedReply, jobId?: string): Changed {
  return {
    status: decodeStatus(queue, status, jobId),
    tell: decodeNames(tell),
    wake: decodeNames(wake),
    ...(tickInMs > 0 && { tickInMs }),
  };
}

export function decodeJob(queue: string, [short, fields, progress]: JobReply): Job {
  const status = decodeStatus(queue, short);
  const { record, envelope } = decodeRecord(queue, status.jobId, fields, null, null);
  const { maxAttempts, priority, createTime, startTime, endTime, expireTime } = record;
  return {
    ...status,
    ...decodeEnvelope(envelope),
    maxAttempts,
    priority,
    createTime,
    ...(startTime > 0 && { startTime }),
    ...(endTime > 0 && { endTime }),
    ...(expireTime > 0 && { expireTime }),
    ...(progress && { progress: decodeProgress(progress.toString("utf8")) }),
  };
}

export function decodeClaim(queue: string, [changed, jobs, paused]: ClaimReply): ClaimAnswer {
  return {
    jobs: jobs.map((each) => decodeClaimed(queue, each)),
    changed: changed.map((each) => decodeChanged(queue, each)),
    ...(paused === 1 && { paused: true }),
  };
}

export function decodeClaimedAtOnce(spec: JobSpec, leaseToken: Uint8Array, reply: ClaimedAtOnceReply): Claimed {
  const { queue, jobId, method, payload, headers, maxAttempts } = spec;
  const [attempt, fence, runTimeoutLeftMs, createTime, version, tell] = reply;
  const status = { queue, jobId, state: "running" as const, version, attempt, cancelRequested: false };
  const lease = { attempt, maxAttempts, fence, leaseToken, runTimeoutLeftMs, createTime };
  return { queue, jobId, method, payload, headers, ...lease, status, tell: decodeNames(tell) };
}

function decodeClaimed(queue: string, reply: ClaimedReply): Claimed {
  const [id, attempt, maxAttempts, fence, leaseToken, runTimeoutLeftMs, createTime, version, cancelRequested] = reply;
  const [envelope, payload, tell] = reply.slice(9) as [Buffer, Buffer, Buffer];
  const jobId = id.toString("utf8");
  const { method, headers } = decodeEnvelope(envelope.toString("utf8"));
  return {
    queue,
    jobId,
    method,
    payload: decodePayload(payload),
    headers,
    attempt,
    maxAttempts,
    fence,
    leaseToken,
    runTimeoutLeftMs,
    createTime,
    status: { queue, jobId, state: "running", version, attempt, cancelRequested: cancelRequested === 1 },
    tell: decodeNames(tell),
  };
}

/** count.lua. */
export function decodeCounts(reply: number[]): QueueCounts {
  const [scheduled, queued, running, succeeded, failed, cancelled, paused, age, bytes] = reply as [
    ...[number, number, number, number, number, number],
    ...[number, number, number],
  ];
  return {
    jobs: { scheduled, queued, running, succeeded, failed, cancelled },
    bytes,
    paused: paused === 1,
    ...(age >= 0 && { oldestWaitMs: age }),
  };
}

export function decodeList(queue: string, [jobs, score, id]: ListReply): { jobs: JobSummary[]; next?: string } {
  const summaries = jobs.map(([jobId, fields]) => {
    const { record } = decodeRecord(queue, jobId.toString("utf8"), fields, null, null);
    return summaryOf(record);
  });
  return { jobs: summaries, ...(score.length > 0 && { next: `${score} ${id.toString("utf8")}` }) };
}

export function decodeInspected(queue: string, jobId: string, reply: InspectedReply): InspectedJob {
  const [fields, payload, detail, progress, history] = reply;
  const { record, envelope } = decodeRecord(queue, jobId, fields!, history, detail);
  const kept = record.state === "succeeded" ? "result" : "payload";
  return {
    record,
    ...decodeEnvelope(envelope),
    ...(payload && { [kept]: decodePayload(payload) }),
    ...(progress && { progress: decodeProgress(progress.toString("utf8")) }),
  };
}

export function decodeNames(names: Buffer): string[] {
  return names.length === 0 ? [] : splitNames(names.toString());
}
