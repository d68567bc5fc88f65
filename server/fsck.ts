/** Reads a whole storage and says what is wrong with it. Changes nothing. */
import { randomBytes } from "node:crypto";
import { systemClock } from "../protocol/clock.ts";
import { ConfigError } from "./config.ts";
import { withoutCredentials } from "./logger.ts";
import { type Finding, findingsIn, findingsInService } from "./storage/fsck.ts";
import { openStorage } from "./storage/open.ts";
import { type Inspection, type Storage, StorageRefused, StorageUnavailable, type Survey } from "./storage/storage.ts";

export { StorageUnavailable };

export interface Checked {
  queues: number;
  jobs: number;
  findings: number;
}

/** Jobs move while brokers work, and an inspection is not atomic: what is wrong is so each time. */
const LOOKS = 3;

/**
 * @param report told of each finding
 * @throws ConfigError the storage cannot be used; one line
 * @throws StorageUnavailable it did not answer
 */
export async function fsck(url: string, report: (finding: { queue?: string } & Finding) => void): Promise<Checked> {
  const storage = await open(url);
  try {
    const checked: Checked = { queues: 0, jobs: 0, findings: 0 };
    // A file does not say whose they were, and names them with every queue.
    const orphans = new Map<string | undefined, Finding>();
    const tell = (finding: Finding, place?: { queue: string }) => {
      checked.findings++;
      report({ ...place, ...finding });
    };
    const { names, unnamed, wrongTypes } = await overview(storage);
    for (const queue of unnamed) tell({ problem: "not named" }, { queue });
    for (const { queue, detail } of wrongTypes) {
      tell({ problem: "wrong type", detail }, queue === undefined ? undefined : { queue });
    }
    for (const queue of [...names, ...unnamed].sort()) {
      const { jobs, findings } = await check(storage, queue);
      checked.queues++;
      checked.jobs += jobs;
      for (const finding of findings) {
        if (finding.problem === "part of no job") orphans.set(finding.detail, finding);
        else tell(finding, { queue });
      }
    }
    for (const finding of orphans.values()) tell(finding);
    for (const name of await storage.services()) {
      for (const finding of findingsInService(name, await storage.service(name))) tell(finding);
    }
    return checked;
  } finally {
    await storage.close();
  }
}

async function open(url: string): Promise<Storage> {
  const brokerId = `fsck${randomBytes(4).toString("hex")}`;
  let why = "";
  try {
    const warn = (message: string) => (why = message);
    const storage = await openStorage(url, { brokerId, clock: systemClock, existing: true, warn });
    if (storage.ready) return storage;
    await storage.close();
    throw new StorageUnavailable(withoutCredentials(why), "no");
  } catch (error) {
    if (!(error instanceof StorageRefused)) throw error;
    throw new ConfigError(withoutCredentials(error.message), { cause: error });
  }
}

interface Overview {
  names: Set<string>;
  /** Queues that have jobs and no name. */
  unnamed: string[];
  wrongTypes: Survey["wrongTypes"];
}

/** Names are read last: what had a job before has one. */
async function overview(storage: Storage): Promise<Overview> {
  let before: Overview | undefined;
  for (let look = 0; ; look++) {
    const { queues, wrongTypes } = await storage.survey();
    const names = await queuesOf(storage);
    const now: Overview = {
      names,
      unnamed: queues.filter((queue) => !names.has(queue) && (before?.unnamed.includes(queue) ?? true)),
      wrongTypes: wrongTypes.filter(({ detail }) => before?.wrongTypes.some((each) => each.detail === detail) ?? true),
    };
    if (now.unnamed.length + now.wrongTypes.length === 0 || look === LOOKS - 1) return now;
    before = now;
  }
}

async function queuesOf(storage: Storage): Promise<Set<string>> {
  const queues = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await storage.queues(cursor);
    for (const queue of page.queues) queues.add(queue);
    cursor = page.next;
  } while (cursor !== undefined);
  return queues;
}

async function check(storage: Storage, queue: string): Promise<{ jobs: number; findings: Finding[] }> {
  let inspection: Inspection = await storage.inspect(queue);
  let findings = findingsIn(inspection);
  for (let look = 1; look < LOOKS && findings.length > 0; look++) {
    inspection = await storage.inspect(queue);
    const again = new Set(findingsIn(inspection).map((each) => JSON.stringify(each)));
    findings = findings.filter((each) => again.has(JSON.stringify(each)));
  }
  return { jobs: inspection.jobs.length, findings };
}
