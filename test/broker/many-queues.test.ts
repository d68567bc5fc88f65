/** Sessions of many queues: each looks at those that may have jobs, in turns, and not at what is of others. */
import { expect, test } from "vitest";
import { ManualClock } from "../../protocol/manual-clock.ts";
import { Dispatcher } from "../../server/broker/dispatcher.ts";
import type { Session } from "../../server/broker/session.ts";
import type { Claim, ClaimAnswer, Storage } from "../../server/storage/storage.ts";

/** Has room for one job. */
class OneJob {
  readonly lane: string;
  readonly workerId = "w";
  readonly queues: readonly string[];
  /** Times that somebody asked for its room. */
  looks = 0;
  #room = 1;

  constructor(lane: string, queues: readonly string[]) {
    this.lane = lane;
    this.queues = queues;
  }
  get room(): number {
    this.looks++;
    return this.#room;
  }
  reserve(count: number): void {
    this.#room -= count;
  }
  taken(count: number, jobs: unknown[]): void {
    this.#room += count - jobs.length;
    if (jobs.length > 0) setImmediate(() => this.#settled(jobs.length));
  }
  #settled(count: number): void {
    this.#room += count;
    this.roomChanged();
  }
  roomChanged(): void {}
}

function rig(found: (request: Claim) => ClaimAnswer = () => ({ jobs: [], changed: [] })) {
  const asked: Claim[] = [];
  const storage = {
    claim: async (request: Claim) => {
      asked.push(request);
      await answered();
      return found(request);
    },
  } as Partial<Storage> as Storage;
  const dispatcher = new Dispatcher({
    ...{ clock: new ManualClock(), storage, leaseMs: 30_000, maxPayloadBytes: 1_000, probeIntervalMs: 3_600_000 },
    ...{ changed() {}, claimed() {} },
  });
  const serve = (session: OneJob) => dispatcher.serve(session as unknown as Session);
  return { dispatcher, asked, serve };
}

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
const answered = () => new Promise((resolve) => setImmediate(resolve));

test("a session that has room again does not look at a thousand queues that have nothing, nor at those of others", async () => {
  const { dispatcher, asked, serve } = rig();
  const sessions = ["a", "b"].map((prefix) => new OneJob(prefix, names(prefix, 1_000)));
  for (const session of sessions) serve(session);
  while (asked.length < 2_000) await answered();
  await answered();

  // Those of the other session may have jobs; it has no room for them.
  const [one, other] = sessions as [OneJob, OneJob];
  other.reserve(1);
  for (const name of other.queues) dispatcher.signal(name);
  one.looks = 0;
  serve(one);
  expect(one.looks).toBeLessThan(10);
  dispatcher.signal("a7");
  await answered();
  expect(asked.at(-1)).toMatchObject({ queue: "a7", lane: "a" });
  dispatcher.close();
});

test("queues that all have jobs have their turns, also where sessions share only some of them", async () => {
  // Each claim finds one, and so does not learn that there are no more.
  const job = { payload: { data: new Uint8Array() } } as ClaimAnswer["jobs"][number];
  const { dispatcher, asked, serve } = rig(({ max }) => ({
    jobs: Array.from({ length: max }, () => job),
    changed: [],
  }));
  const sessions = [new OneJob("all", ["a", "b", "c"]), new OneJob("some", ["b", "c"])];
  for (const session of sessions) {
    session.roomChanged = () => serve(session);
    serve(session);
  }
  while (asked.length < 600) await answered();
  const shares = ["a", "b", "c"].map((name) => asked.filter(({ queue }) => queue === name).length / asked.length);
  for (const share of shares) expect(share).toBeGreaterThan(0.15);
  // Whoever leaves is asked for no more; the others go on.
  const [left] = sessions as [OneJob];
  left.roomChanged = () => {};
  dispatcher.remove(left as unknown as Session);
  await answered();
  asked.length = 0;
  while (asked.length < 20) await answered();
  expect(new Set(asked.map(({ queue, lane }) => `${lane} ${queue}`))).toEqual(new Set(["some b", "some c"]));
  dispatcher.close();
});
