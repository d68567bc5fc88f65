import { beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../../protocol/manual-clock.ts";
import { GroupCommit, type Transactions } from "../../../server/storage/sqlite/group-commit.ts";
import { StorageUnavailable } from "../../../server/storage/storage.ts";

class Recorder implements Transactions {
  readonly log: string[] = [];
  /** Errors to throw, by the call that throws them. */
  readonly faults: { at: string; error: Error }[] = [];

  #call(name: string): void {
    this.log.push(name);
    const index = this.faults.findIndex(({ at }) => at === name);
    if (index >= 0) throw this.faults.splice(index, 1)[0]!.error;
  }
  begin = () => this.#call("begin");
  commit = () => this.#call("commit");
  rollback = () => this.#call("rollback");
}

const sqliteError = (errcode: number, message = `code ${errcode}`) => Object.assign(new Error(message), { errcode });
const FULL = 13;
const IOERR_FSYNC = 10 | (4 << 8);

describe("group commit", () => {
  let db: Recorder;
  let fatal: Error[];
  let commits: GroupCommit;
  const verb = (name: string, error?: Error) =>
    commits.submit(() => {
      db.log.push(name);
      if (error) throw error;
      return name;
    });

  beforeEach(() => {
    db = new Recorder();
    fatal = [];
    commits = new GroupCommit(db, new ManualClock(), (error) => void fatal.push(error));
  });

  test("verbs of one turn share a transaction; nothing runs before the turn is over", async () => {
    const answers = Promise.all([verb("a"), verb("b"), verb("c")]);
    expect(db.log).toEqual([]);
    expect(await answers).toEqual(["a", "b", "c"]);
    expect(db.log).toEqual(["begin", "a", "b", "c", "commit"]);
    await verb("d");
    expect(db.log.slice(5)).toEqual(["begin", "d", "commit"]);
  });

  test("no answer leaves before the commit", async () => {
    db.commit = () => {
      db.log.push("commit");
    };
    const first = verb("a").then(() => db.log.push("answered a"));
    await first;
    expect(db.log).toEqual(["begin", "a", "commit", "answered a"]);
  });

  test("one bad verb: all is undone, each runs alone, only the bad one is refused", async () => {
    const answers = await Promise.allSettled([verb("a"), verb("bad", new Error("oops")), verb("c")]);
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(answers[1]).toMatchObject({ reason: { name: "StorageUnavailable", accepted: "no", message: "oops" } });
    expect(db.log).toEqual([
      ...["begin", "a", "bad", "rollback"],
      ...["begin", "a", "commit"],
      ...["begin", "bad", "rollback"],
      ...["begin", "c", "commit"],
    ]);
    expect(fatal).toEqual([]);
    expect(await verb("d")).toBe("d");
  });

  test("no room at the commit: undone, tried alone, the storage goes on", async () => {
    db.faults.push({ at: "commit", error: sqliteError(FULL) }, { at: "commit", error: sqliteError(FULL) });
    const answers = await Promise.allSettled([verb("a"), verb("b")]);
    expect(answers.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect(answers[0]).toMatchObject({ reason: { accepted: "no", cause: { errcode: FULL } } });
    expect(fatal).toEqual([]);
  });

  test("a failed fsync: the whole batch is unknown, nothing runs again, nothing is taken any more", async () => {
    db.faults.push({ at: "commit", error: sqliteError(IOERR_FSYNC, "disk I/O error") });
    const answers = await Promise.allSettled([verb("a"), verb("b")]);
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: "rejected", reason: { name: "StorageUnavailable", accepted: "unknown" } });
    }
    expect(db.log).toEqual(["begin", "a", "b", "commit", "rollback"]);
    expect(fatal).toHaveLength(1);
    const later = await verb("c").catch((error: unknown) => error);
    expect(later).toBeInstanceOf(StorageUnavailable);
    expect(later).toMatchObject({ accepted: "no", message: expect.stringContaining("disk I/O error") });
    expect(db.log).toHaveLength(5);
    commits.close();
    expect(fatal).toHaveLength(1);
  });

  test("a failed fsync of a verb that runs alone: those that wait behind it are unknown too", async () => {
    db.faults.push({ at: "commit", error: sqliteError(FULL) }, { at: "commit", error: sqliteError(IOERR_FSYNC) });
    const answers = await Promise.allSettled([verb("a"), verb("b")]);
    expect(answers).toMatchObject([{ reason: { accepted: "unknown" } }, { reason: { accepted: "unknown" } }]);
    expect(fatal).toHaveLength(1);
  });

  test("a rollback that fails is fatal", async () => {
    db.faults.push({ at: "rollback", error: new Error("cannot roll back") });
    await expect(verb("a", new Error("oops"))).rejects.toMatchObject({ accepted: "unknown" });
    expect(fatal).toHaveLength(1);
  });

  test("close commits what waits, then takes nothing", async () => {
    const last = verb("a");
    commits.close();
    expect(await last).toBe("a");
    await expect(verb("b")).rejects.toMatchObject({ accepted: "no", message: "the storage is closed" });
  });

  test("a long batch is cut, so that the event loop gets its turn", async () => {
    const clock = new ManualClock();
    let now = 0;
    clock.monotonic = () => now;
    commits = new GroupCommit(db, clock, () => {});
    const slow = (name: string) =>
      commits.submit(() => {
        db.log.push(name);
        now += 6;
      });
    await Promise.all([slow("a"), slow("b"), slow("c")]);
    expect(db.log).toEqual(["begin", "a", "b", "commit", "begin", "c", "commit"]);
  });
});

/** A log that is synced when the test says so. */
class Disk extends Recorder {
  readonly syncs: PromiseWithResolvers<void>[] = [];
  writes = true;
  sync = () => {
    this.log.push("sync");
    const one = Promise.withResolvers<void>();
    this.syncs.push(one);
    return one.promise;
  };
  wrote = () => this.writes;
}

describe("a log that is synced beside the event loop", () => {
  let db: Disk;
  let fatal: Error[];
  let commits: GroupCommit;
  let answered: string[];
  const submit = (name: string) => {
    const answer = commits.submit(() => {
      db.log.push(name);
      return name;
    });
    answer.then(
      () => answered.push(name),
      () => {},
    );
    return answer;
  };
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

  beforeEach(() => {
    db = new Disk();
    fatal = [];
    answered = [];
    commits = new GroupCommit(db, new ManualClock(), (error) => void fatal.push(error));
  });

  test("an answer leaves after the sync of its commit; what is committed meanwhile shares the next one", async () => {
    submit("a");
    await turn();
    submit("b");
    await turn();
    submit("c");
    await turn();
    expect(db.log).toEqual(["begin", "a", "commit", "sync", "begin", "b", "commit", "begin", "c", "commit"]);
    expect(answered).toEqual([]);
    db.syncs[0]!.resolve();
    await turn();
    expect(answered).toEqual(["a"]);
    expect(db.syncs).toHaveLength(2);
    db.syncs[1]!.resolve();
    await turn();
    expect(answered).toEqual(["a", "b", "c"]);
    expect(db.syncs).toHaveLength(2);
  });

  test("what only reads needs no sync, but waits for what it may have seen", async () => {
    db.writes = false;
    await submit("read");
    expect(db.syncs).toHaveLength(0);
    db.writes = true;
    submit("write");
    await turn();
    db.writes = false;
    submit("read after it");
    await turn();
    expect(answered).toEqual(["read"]);
    db.syncs[0]!.resolve();
    await turn();
    expect(answered).toEqual(["read", "write"]);
    db.syncs[1]!.resolve();
    await turn();
    expect(answered).toEqual(["read", "write", "read after it"]);
  });

  test("a failed sync: all that was not answered is unknown, and nothing is taken any more", async () => {
    const answers = [submit("a")];
    await turn();
    answers.push(submit("b"));
    await turn();
    answers.push(submit("c"));
    db.syncs[0]!.reject(new Error("disk I/O error"));
    const unknown = { status: "rejected", reason: { accepted: "unknown" } };
    expect(await Promise.allSettled(answers)).toMatchObject([unknown, unknown, unknown]);
    expect(fatal).toHaveLength(1);
    await expect(submit("d")).rejects.toMatchObject({ accepted: "no", message: expect.stringContaining("disk I/O") });
    await commits.close();
    expect(fatal).toHaveLength(1);
  });

  test("close waits until everything is durable", async () => {
    submit("a");
    await turn();
    submit("b");
    let closed = false;
    const closing = commits.close().then(() => (closed = true));
    await turn();
    expect(closed).toBe(false);
    db.syncs[0]!.resolve();
    await turn();
    expect(closed).toBe(false);
    db.syncs[1]!.resolve();
    await closing;
    expect(answered).toEqual(["a", "b"]);
  });
});
