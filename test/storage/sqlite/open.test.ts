/** What a file must be to be opened, and that nothing happens to it otherwise. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ManualClock } from "../../../protocol/manual-clock.ts";
import { openStorage } from "../../../server/storage/open.ts";
import { type Storage, type StorageOptions, StorageRefused } from "../../../server/storage/storage.ts";
import { Child } from "../../support/processes.ts";
import { testOptions } from "../../support/storages.ts";
import { key, specOf, unique } from "../contract/rig.ts";

let folder: string;
let path: string;
const opened: Storage[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "queuecall-"));
  path = join(folder, "jobs.db");
});

afterEach(async () => {
  for (const storage of opened.splice(0)) await storage.close();
  await rm(folder, { recursive: true });
});

async function open(url = `sqlite:${path}`, more: Partial<StorageOptions> = {}): Promise<Storage> {
  const storage = await openStorage(url, testOptions(new ManualClock(), more));
  opened.push(storage);
  return storage;
}

const enqueue = (storage: Storage, jobId = "a", bytes = 10) =>
  storage.enqueue({
    spec: specOf(jobId, { payload: { data: Buffer.alloc(bytes), contentType: "", messageType: "" } }),
    requestId: unique(),
    hungryHere: false,
  });

/** The refusal, which must be one line and leave the file as it was. */
async function refused(url = `sqlite:${path}`, more: Partial<StorageOptions> = {}): Promise<string> {
  const before = await snapshot();
  const error = await open(url, more).then(
    () => new Error("it was opened"),
    (reason: Error) => reason,
  );
  expect(error).toBeInstanceOf(StorageRefused);
  expect(error.message).not.toContain("\n");
  expect(await snapshot()).toEqual(before);
  return error.message;
}

async function snapshot(): Promise<Record<string, string>> {
  const files = await readdir(folder);
  const contents = files.map(async (name) => {
    const file = join(folder, name);
    return [name, (await stat(file)).isFile() ? (await readFile(file)).toString("base64") : "folder"];
  });
  return Object.fromEntries(await Promise.all(contents));
}

function foreign(sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

describe("opening a file", () => {
  test("makes the folder and the file", async () => {
    const deep = join(folder, "a", "b c", "jobs.db");
    const storage = await open(`sqlite:${deep}`);
    expect(storage.info).toEqual({
      kind: "sqlite",
      url: `sqlite:${deep}`,
      durability: "file",
      version: expect.stringMatching(/^SQLite \d+\.\d+\.\d+$/),
    });
    expect((await stat(deep)).isFile()).toBe(true);
  });

  test("an empty file is a new one", async () => {
    await writeFile(path, "");
    expect(await enqueue(await open())).toMatchObject({ kind: "accepted" });
  });

  test("odd characters in the path", async () => {
    path = join(folder, "100% #1 ü;.db");
    await enqueue(await open());
    await opened.pop()!.close();
    expect(await (await open()).read(key("a"))).toMatchObject({ state: "queued" });
  });

  test("the file says whose it is from the first moment", async () => {
    await open();
    const header = await readFile(path);
    expect(header.subarray(68, 72).toString()).toBe("qcal");
  });

  test("synchronous=normal is a lower class", async () => {
    expect((await open(`sqlite:${path}?synchronous=normal`)).info.durability).toBe("file-relaxed");
    await opened.pop()!.close();
    expect((await open(`sqlite:${path}?synchronous=full`)).info.durability).toBe("file");
  });

  test("two memories have nothing in common", async () => {
    const one = await open("memory:");
    const two = await open("memory:");
    await enqueue(one);
    expect(one.info).toMatchObject({ url: "memory:", durability: "memory" });
    expect(await two.read(key("a"))).toBeUndefined();
  });
});

describe("is refused, and the file left as it is", () => {
  test("a folder", async () => {
    await mkdir(path);
    expect(await refused()).toMatch(/found a directory, a file is required/);
  });

  test("text", async () => {
    await writeFile(path, "not a database at all\n".repeat(100));
    expect(await refused()).toMatch(/no SQLite database/);
  });

  test("a few bytes", async () => {
    await writeFile(path, "x");
    expect(await refused()).toMatch(/sqlite:.*jobs\.db/);
  });

  test("a database of another application", async () => {
    foreign("PRAGMA application_id = 7; CREATE TABLE mine (a)");
    expect(await refused()).toMatch(/another application/);
  });

  test("a database without an application_id", async () => {
    foreign("CREATE TABLE jobs (a)");
    expect(await refused()).toMatch(/another application/);
  });

  test("one in WAL mode that another process has open", async () => {
    const db = new DatabaseSync(path);
    db.exec("PRAGMA journal_mode = WAL; CREATE TABLE mine (a); PRAGMA wal_checkpoint; INSERT INTO mine VALUES (1)");
    expect(await refused()).toMatch(/another application/);
    db.close();
  });

  test("a newer schema", async () => {
    await open();
    await opened.pop()!.close();
    foreign("PRAGMA user_version = 99");
    expect(await refused()).toMatch(/found schema 99, at most 3 is known here; start a newer queuecall/);
  });

  test("the schema of before the first release", async () => {
    await open();
    await opened.pop()!.close();
    foreign("PRAGMA user_version = 1");
    expect(await refused()).toMatch(/found schema 1 of before the first release, 3 is required/);
  });

  test("a damaged file of ours", async () => {
    const storage = await open();
    for (let i = 0; i < 200; i++) await enqueue(storage, `job ${i}`, 1_000);
    await opened.pop()!.close();
    const bytes = await readFile(path);
    bytes.fill(0xa5, 4096 * 3, 4096 * 12);
    await writeFile(path, bytes);
    expect(await refused()).toMatch(/damaged database .* restore a backup/);
  });

  test("a file of ours that was cut short", async () => {
    const storage = await open();
    for (let i = 0; i < 200; i++) await enqueue(storage, `job ${i}`, 1_000);
    await opened.pop()!.close();
    await truncate(path, 4096 * 6);
    expect(await refused()).toMatch(/damaged database/);
  });

  test("without the right to read or write it", async ({ skip }) => {
    if (process.getuid?.() === 0) return skip("root may read everything");
    await writeFile(path, "");
    await chmod(path, 0o000);
    const message = await open().catch((error: Error) => error.message);
    expect(message).toMatch(/cannot be opened/);
    await chmod(path, 0o600);
  });

  test("a path through a file", async () => {
    await writeFile(path, "");
    expect(await refused(`sqlite:${path}/deeper/jobs.db`)).toMatch(/cannot be opened|not a directory/i);
  });

  test("a file that is in use in this process", async () => {
    const first = await open();
    expect(await refused()).toMatch(/in use .* stop the broker that holds it/);
    expect(await enqueue(first)).toMatchObject({ kind: "accepted" });
  });

  test("a file that is in use in another process, until that is killed", async () => {
    await using child = new Child(["test/storage/sqlite/holder.ts", path]);
    await child.line(/^stored/);
    expect(await open().catch((error: Error) => error.message)).toMatch(/in use/);
    await child.kill("SIGKILL");
    // What was answered is there: nothing was closed, nothing was flushed by hand.
    const storage = await open();
    expect(await storage.readMany([key("job 0"), key("job 99")])).toMatchObject([
      { state: "queued" },
      { state: "queued" },
    ]);
    expect((await storage.tick({ queue: "q", jitter: 0, hungryHere: false })).queued).toBe(100);
  });

  test("a class below the one that is required", async () => {
    expect(await refused("memory:", { requireDurability: "file" })).toMatch(/memory found, file required/);
    const relaxed = `sqlite:${path}?synchronous=normal`;
    expect(await refused(relaxed, { requireDurability: "redis-always" })).toMatch(/file-relaxed found/);
    expect((await open(relaxed, { requireDurability: "file-relaxed" })).ready).toBe(true);
  });

  test("a URL that means nothing", async () => {
    expect(await refused("sqlite:")).toMatch(/a path is required/);
    expect(await refused(`sqlite:${path}?sync=off`)).toMatch(/unknown option "sync=off"/);
    expect(await refused(`sqlite:${path}?synchronous=off`)).toMatch(/synchronous=full\|normal/);
    expect(await refused(`sqlite:${path}?max_bytes=lots`)).toMatch(/max_bytes=BYTES/);
    expect(await refused("memory:x")).toMatch(/takes nothing after it/);
  });
});

describe("max_bytes", () => {
  test("above it, nothing is taken; what is there can be worked off, and then there is room again", async () => {
    const storage = await open(`sqlite:${path}?max_bytes=1000000`);
    let stored = 0;
    while ((await enqueue(storage, `job ${stored}`, 50_000)).kind === "accepted") stored++;
    expect(stored).toBeGreaterThan(10);
    expect(stored).toBeLessThan(21);
    expect(await storage.read(key(`job ${stored}`))).toBeUndefined();
    expect(await enqueue(storage, "job 0")).toMatchObject({ disposition: "joined" });
    for (let n = 0; n < stored; n++) {
      const request = { queue: "q", lane: "l", workerId: "w", max: 1, maxBytes: 1, leaseMs: 1_000, jitter: 0 };
      const { jobs } = await storage.claim({ ...request, claimId: n, tokens: [unique()] });
      const payload = { data: Buffer.alloc(10), contentType: "", messageType: "" };
      const outcome = { kind: "completed", payload } as const;
      const answer = await storage.settle({ ...jobs[0]!, outcome, jitter: 0, hungryHere: false });
      expect(answer.kind).toBe("settled");
    }
    expect(await enqueue(storage, "one more", 50_000)).toMatchObject({ kind: "accepted" });
  });
});

describe("closing", () => {
  test("finishes what is under way, then says no", async () => {
    const storage = await open();
    const ready: boolean[] = [];
    storage.onReady((now) => ready.push(now));
    const last = enqueue(storage);
    await storage.close();
    expect(await last).toMatchObject({ kind: "accepted" });
    expect(ready).toEqual([false]);
    expect(storage.ready).toBe(false);
    await expect(storage.read(key("a"))).rejects.toMatchObject({ name: "StorageUnavailable", accepted: "no" });
    await storage.close();
    expect(await (await open()).read(key("a"))).toMatchObject({ state: "queued" });
  });
});

test("time never goes back, though the clock does", async () => {
  const clock = new ManualClock();
  const storage = await open("memory:", { clock });
  await enqueue(storage);
  const before = (await storage.read(key("a")))!;
  clock.now = () => 1_000;
  await enqueue(storage, "b");
  expect((await storage.read(key("b")))!.createTime).toBe(before.createTime);
});
