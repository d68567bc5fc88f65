/** Hints on the wire: a line of JSON, then the bytes of a result. Strange ones are dropped: a newer broker may say more. */
import type { FailureKind, JobState, JobStatus } from "../../job/job.ts";
import { decodeFailure, decodePayload, encodeFailure, encodePayload } from "../blob.ts";
import type { Hint } from "../storage.ts";

/** An outcome up to this size travels along, so that no read is needed. Bytes, of the whole hint. */
const MAX_HINT_BYTES = 4 * 1024;
const NO_BYTES = Buffer.alloc(0);

export function encodeHint(hint: Hint): Buffer {
  switch (hint.kind) {
    case "ready":
      return frame(["r", hint.queue]);
    case "changed": {
      const bare = ["c", hint.queue, hint.jobId, hint.version];
      const whole = hint.status && frame([...bare, ...encodeStatus(hint.status)], resultOf(hint.status));
      return whole && whole.length <= MAX_HINT_BYTES ? whole : frame(bare);
    }
    case "cancel":
      return frame(["x", hint.queue, hint.jobId, hint.lane, Buffer.from(hint.leaseToken).toString("hex")]);
    case "superseded":
      return frame(["s", hint.lane]);
  }
}

export function decodeHint(message: Buffer): Hint | undefined {
  try {
    const end = message.indexOf(0);
    const [kind, ...fields] = JSON.parse(message.toString("utf8", 0, end)) as [string, ...unknown[]];
    return decoders[kind]?.(fields, message.subarray(end + 1));
  } catch {
    return undefined;
  }
}

const decoders: Record<string, (fields: unknown[], result: Buffer) => Hint> = {
  r: (fields) => ({ kind: "ready", queue: fields[0] as string }),
  c: (fields, result) => {
    const [queue, jobId, version] = fields as [string, string, number];
    const status = fields.length > 3 && decodeStatus(fields, result);
    return { kind: "changed", queue, jobId, version, ...(status && { status }) };
  },
  x: (fields) => {
    const [queue, jobId, lane, token] = fields as string[] as [string, string, string, string];
    return { kind: "cancel", queue, jobId, lane, leaseToken: Buffer.from(token, "hex") };
  },
  s: (fields) => ({ kind: "superseded", lane: fields[0] as string }),
};

type FailureFields = [kind: FailureKind, detail: string, attempts: [number, number, string, string][]];

function encodeStatus({ state, attempt, cancelRequested, outcome }: JobStatus): unknown[] {
  const fields = [state, attempt, cancelRequested];
  if (outcome?.kind !== "failure") return fields;
  const { kind, attempts, ...detail } = outcome.failure;
  const tries = attempts.map(({ number, endTime, workerId, message }) => [number, endTime, workerId, message]);
  return [...fields, [kind, encodeFailure(detail), tries]];
}

function decodeStatus(fields: unknown[], result: Buffer): JobStatus {
  const [queue, jobId, version, state, attempt, cancelRequested, failure] = fields as [
    string,
    string,
    number,
    JobState,
    number,
    boolean,
    FailureFields?,
  ];
  const status: JobStatus = { queue, jobId, state, version, attempt, cancelRequested };
  if (state === "succeeded") status.outcome = { kind: "result", payload: decodePayload(result) };
  if (!failure) return status;
  const [kind, detail, tries] = failure;
  const attempts = tries.map(([number, endTime, workerId, message]) => ({ number, endTime, workerId, message }));
  return { ...status, outcome: { kind: "failure", failure: { kind, ...decodeFailure(detail), attempts } } };
}

function resultOf({ outcome }: JobStatus): Buffer {
  return outcome?.kind === "result" ? encodePayload(outcome.payload) : NO_BYTES;
}

/** JSON holds no NUL byte, so the first one ends it. */
function frame(fields: unknown[], rest: Uint8Array = NO_BYTES): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(fields)}\0`, "utf8"), rest]);
}
