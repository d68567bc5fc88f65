/** The headers by which a transparent call says what would else be fields of a JobSpec. What is wrong with one is refused by its name. */
import { fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { closest } from "fastest-levenshtein";
import { type JobSpec, type JobSpecSchema, OnDuplicate, RetryOn } from "../../gen/queuecall/v1/job_pb.js";
import { invalidField } from "../../protocol/errors.ts";
import type { Headers } from "../../protocol/metadata.ts";
import { type FieldNames, queueName } from "./validate.ts";

type Spec = Exclude<MessageInitShape<typeof JobSpecSchema>, JobSpec>;

export interface CallHeaders {
  /** Absent: the service's own. */
  queue?: string;
  /** False: stores the job and answers. */
  waits: boolean;
  spec: Spec;
}

const PREFIX = "queuecall-";
const QUEUE = "queuecall-queue";
const MODE = "queuecall-mode";

/** What the fields of a spec are called here. */
export const headerFields: FieldNames = {
  queue: QUEUE,
  jobId: "queuecall-job-id",
  method: "method",
  payload: "message",
  headers: "metadata",
  priority: "queuecall-priority",
  delay: "queuecall-delay",
  maxAttempts: "queuecall-max-attempts",
  backoff: "backoff",
  retryOn: "queuecall-retry-on",
  runTimeout: "queuecall-run-timeout",
  startTimeout: "queuecall-start-timeout",
  resultTtl: "queuecall-result-ttl",
  onDuplicate: "queuecall-on-duplicate",
};

const retryOns = { failure: RetryOn.FAILURE, unavailable: RetryOn.UNAVAILABLE };
const policies = {
  join: OnDuplicate.JOIN,
  reject: OnDuplicate.REJECT,
  "rerun-if-failed": OnDuplicate.RERUN_IF_FAILED,
  "rerun-if-finished": OnDuplicate.RERUN_IF_FINISHED,
};

/** What each says; its bounds are those of the field: validate.ts. */
const readers: Record<string, (name: string, value: string) => object> = {
  [QUEUE]: (name, value) => ({ queue: queueName(name, value) }),
  [MODE]: (name, value) => ({ waits: oneOf(name, value, { wait: true, enqueue: false }) }),
  "queuecall-job-id": (name, value) => ({ jobId: required(name, value) }),
  "queuecall-job-id-bin": (name, value) => ({ jobId: required(name, utf8(name, value)) }),
  "queuecall-priority": (name, value) => ({ priority: whole(name, value) }),
  "queuecall-delay": (name, value) => ({ delay: duration(name, value) }),
  "queuecall-max-attempts": (name, value) => ({ maxAttempts: whole(name, value) }),
  "queuecall-run-timeout": (name, value) => ({ runTimeout: duration(name, value) }),
  "queuecall-start-timeout": (name, value) => ({ startTimeout: duration(name, value) }),
  "queuecall-result-ttl": (name, value) => ({ resultTtl: duration(name, value) }),
  "queuecall-retry-on": (name, value) => ({ retryOn: oneOf(name, value, retryOns) }),
  "queuecall-on-duplicate": (name, value) => ({ onDuplicate: oneOf(name, value, policies) }),
};

/** @throws CallError INVALID_FIELD, for a header that does not exist too: a job id that was misspelt is none */
export function headersFrom(headers: Headers): CallHeaders {
  const said: Record<string, unknown> = {};
  for (const [name, value] of headers) {
    if (!name.startsWith(PREFIX)) continue;
    const read = readers[name];
    if (!read)
      throw invalidField(name, `is no header of this broker; did you mean ${closest(name, Object.keys(readers))}?`);
    for (const [field, meaning] of Object.entries(read(name, value))) {
      if (field in said) throw invalidField(name, "says again what another header says: send one of them");
      said[field] = meaning;
    }
  }
  const { queue, waits = true, ...spec } = said as Partial<Omit<CallHeaders, "spec">>;
  return { ...(queue !== undefined && { queue }), waits, spec };
}

function oneOf<T>(name: string, value: string, meanings: Record<string, T>): T {
  if (Object.hasOwn(meanings, value)) return meanings[value] as T;
  throw invalidField(name, `is none of: ${Object.keys(meanings).join(", ")}`);
}

function whole(name: string, value: string): number {
  if (/^-?\d{1,6}$/.test(value)) return Number(value);
  throw invalidField(name, "is no whole number");
}

/** As in protobuf's JSON: "1.5s". */
function duration(name: string, value: string): Duration {
  try {
    return fromJson(DurationSchema, value);
  } catch {
    throw invalidField(name, 'is no duration: seconds with an "s", such as 30s or 1.5s');
  }
}

function required(name: string, value: string): string {
  if (value === "") throw invalidField(name, "is empty: leave it out for a generated id");
  return value;
}

/** Ids are UTF-8. */
function utf8(name: string, base64: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(base64, "base64"));
  } catch {
    throw invalidField(name, "is no valid UTF-8");
  }
}
