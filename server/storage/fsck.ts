/**
 * What is wrong with the state of a queue: a job in no place or in two, an
 * index entry without its job, parts of no job, records that cannot be. Pure:
 * tests check every storage with it after every history, `queuecall fsck` one
 * that is in use.
 */
import { MAX_DESCRIPTOR_SET_BYTES, MAX_SERVICE_METHODS, QUEUE_PATTERN } from "../../protocol/limits.ts";
import { isTerminal, type JobState } from "../job/job.ts";
import { startBy, transitions } from "../job/lifecycle.ts";
import type { JobRecord } from "../job/record.ts";
import { bytesOf } from "./blob.ts";
import type { InspectedJob, Inspection, Service } from "./storage.ts";

export interface Finding {
  problem:
    | "not in its index"
    | "in a wrong index"
    | "twice in an index"
    | "no such job"
    | "out of order"
    | "impossible record"
    | "wrong count of bytes"
    | "part of no job"
    | "not named"
    | "wrong type"
    | "impossible service";
  /** An announced service. */
  service?: string;
  jobId?: string;
  state?: string;
  version?: number;
  index?: IndexName;
  /** What is not as it must be. */
  detail?: string;
}

type IndexName = keyof Inspection["indexes"];

/** Which jobs an index has, and what it is ordered by. */
interface Index {
  has(job: JobRecord): boolean;
  by(job: JobRecord): readonly number[];
}

const inState = (state: JobState, by: "dueTime" | "leaseUntil" | "endTime"): Index => ({
  has: (job) => job.state === state,
  by: (job) => [job[by]],
});

const all: Record<IndexName, Index> = {
  scheduled: inState("scheduled", "dueTime"),
  queued: { has: (job) => job.state === "queued", by: (job) => [-job.priority, job.seq] },
  running: inState("running", "leaseUntil"),
  succeeded: inState("succeeded", "endTime"),
  failed: inState("failed", "endTime"),
  cancelled: inState("cancelled", "endTime"),
  finished: { has: (job) => isTerminal(job.state), by: (job) => [job.expireTime] },
  start_by: { has: (job) => startBy(job) > 0, by: (job) => [startBy(job)] },
};

export function findingsIn({ jobs, indexes, bytes, orphans }: Inspection): Finding[] {
  const records = new Map(jobs.map(({ record }) => [record.jobId, record]));
  return [
    ...(Object.keys(all) as IndexName[]).flatMap((name) => findingsOf(name, indexes[name], records)),
    ...jobs.flatMap(impossibilities),
    ...miscounts(jobs, bytes),
    ...orphans.map((detail): Finding => ({ problem: "part of no job", detail })),
  ];
}

/** @param service what is kept of one that is in the list of services; undefined: nothing */
export function findingsInService(name: string, service: Service | undefined): Finding[] {
  const { methods = [], descriptorSet } = service ?? {};
  const facts: Record<string, boolean> = {
    name: QUEUE_PATTERN.test(name),
    methods: methods.length > 0 && methods.length <= MAX_SERVICE_METHODS,
    "names of methods": methods.every((path) => path.startsWith(`/${name}/`)),
    "descriptor set": (descriptorSet?.length ?? 0) <= MAX_DESCRIPTOR_SET_BYTES,
  };
  const wrong = Object.keys(facts).filter((fact) => !facts[fact]);
  return wrong.length > 0 ? [{ problem: "impossible service", service: name, detail: wrong.join(", ") }] : [];
}

function findingsOf(index: IndexName, entries: readonly string[], records: Map<string, JobRecord>): Finding[] {
  const { has, by } = all[index];
  const named = new Set<string>();
  const findings: Finding[] = [];
  let before: JobRecord | undefined;
  for (const jobId of entries) {
    const job = records.get(jobId);
    if (named.has(jobId)) findings.push({ problem: "twice in an index", jobId, index });
    else if (!job) findings.push({ problem: "no such job", jobId, index });
    else if (!has(job)) findings.push({ problem: "in a wrong index", ...known(job), index });
    else {
      if (before && isAfter(by(before), by(job))) findings.push({ problem: "out of order", ...known(job), index });
      before = job;
    }
    named.add(jobId);
  }
  for (const job of records.values()) {
    if (has(job) && !named.has(job.jobId)) findings.push({ problem: "not in its index", ...known(job), index });
  }
  return findings;
}

function miscounts(jobs: readonly InspectedJob[], bytes: number): Finding[] {
  const unfinished = jobs.filter(({ record }) => !isTerminal(record.state));
  const found = unfinished.reduce((sum, { payload, ...job }) => sum + (payload ? bytesOf({ ...job, payload }) : 0), 0);
  if (found === bytes) return [];
  return [{ problem: "wrong count of bytes", detail: `counted ${bytes}, unfinished jobs have ${found}` }];
}

function isAfter(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((each, i) => each !== b[i]);
  return at >= 0 && (a[at] as number) > (b[at] as number);
}

/** What a record and its parts must say in each state, and do not. */
function impossibilities({ record, payload, result }: InspectedJob): Finding[] {
  const { state, attempt } = record;
  if (!Object.hasOwn(transitions, state)) return [impossible(record, "state")];
  const running = state === "running";
  const ended = isTerminal(state);
  const facts: Record<string, boolean> = {
    "lease token": (record.leaseToken !== "") === running,
    "end of lease": record.leaseUntil > 0 === running,
    owner: (record.owner !== "") === running,
    "due time": record.dueTime > 0 === (state === "scheduled"),
    "end time": record.endTime > 0 === ended,
    "expire time": record.expireTime > 0 === ended,
    payload: (payload !== undefined) === (state !== "succeeded"),
    result: (result !== undefined) === (state === "succeeded"),
    "failure kind": (record.failureKind !== "") === (state === "failed" || state === "cancelled"),
    attempt: attempt >= 0 && attempt <= record.maxAttempts,
    version: Number.isSafeInteger(record.version),
    fence: Number.isSafeInteger(record.fence),
  };
  const wrong = Object.keys(facts).filter((name) => !facts[name]);
  return wrong.length > 0 ? [impossible(record, wrong.join(", "))] : [];
}

function impossible(record: JobRecord, detail: string): Finding {
  return { problem: "impossible record", ...known(record), detail };
}

function known({ jobId, state, version }: JobRecord): Pick<Finding, "jobId" | "state" | "version"> {
  return { jobId, state, version };
}
