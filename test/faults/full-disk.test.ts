/** A disk without room: nothing new is taken, what is there can be worked off, and then there is room again. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createQueueClient, OverloadedError } from "../../client/index.ts";
import { fsck } from "../../server/fsck.ts";
import { createWorker } from "../../worker/index.ts";
import { Child } from "../support/processes.ts";

const MIB = 1024 * 1024;
const unshare = ["--user", "--map-root-user", "--mount"];
const mayMount = spawnSync("unshare", [...unshare, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).status === 0;
const title = `a full disk${mayMount ? "" : " (skipped: no small disk can be mounted in a namespace of its own here)"}`;

/** A broker whose data folder is a disk of its own, gone with its process. */
class SmallDisk implements AsyncDisposable {
  readonly broker: Child;

  constructor(folder: string, mib: number) {
    const mount = `mount -t tmpfs -o size=${mib}m tmpfs ${folder}`;
    const serve = `exec "$0" cli/main.ts serve --storage sqlite:${folder}/jobs.db --grpc 127.0.0.1:0`;
    const args = [...unshare, "sh", "-c", `${mount} && ${serve}`, process.execPath];
    this.broker = new Child(args, { program: "unshare" });
    this.#folder = folder;
  }
  readonly #folder: string;

  /** The disk as it is seen from outside. */
  get root(): string {
    return `/proc/${this.broker.process.pid}/root${this.#folder}`;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.root);
    return bavail * bsize;
  }

  async url(): Promise<string> {
    const [, address] = await this.broker.line(/^ready grpc=(\S+)/);
    return `http://${address}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.kill("SIGKILL");
  }
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe.skipIf(!mayMount)(title, () => {
  test("enqueues are refused and leave nothing, jobs are worked off, and then new ones are taken", async () => {
    await using disk = new SmallDisk(folder, 48);
    await using client = createQueueClient({ url: await disk.url() });
    const queue = client.queue<Uint8Array, Uint8Array>("big");

    // Somebody else fills the disk, but for a little.
    writeFileSync(join(disk.root, "filler"), Buffer.alloc(disk.freeBytes - 6 * MIB));
    let stored = 0;
    const refusal = await (async () => {
      for (;;) {
        try {
          await queue.enqueue(`job-${stored}`, new Uint8Array(MIB / 2), { timeout: 20_000 });
          stored++;
        } catch (error) {
          return error;
        }
      }
    })();
    expect(refusal).toBeInstanceOf(OverloadedError);
    expect(refusal).toMatchObject({ reason: "STORE_FULL" });
    expect(stored).toBeGreaterThan(3);
    await disk.broker.line(/the disk is full; no new jobs are taken/);
    await expect(queue.get(`job-${stored}`)).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    // A small one is refused too: what is left is for those that are there.
    await expect(queue.enqueue("small", new Uint8Array(1))).rejects.toBeInstanceOf(OverloadedError);

    const stop = new AbortController();
    const worker = createWorker({ url: await disk.url(), concurrency: 4 }).handle<Uint8Array, Uint8Array>(
      "big",
      () => new Uint8Array(1_000),
    );
    const running = worker.run({ signal: stop.signal });
    for (let n = 0; n < stored; n++) expect(await queue.wait(`job-${n}`, { timeout: 50_000 })).toHaveLength(1_000);
    stop.abort();
    await running;
    await expect(queue.enqueue("small", new Uint8Array(1))).rejects.toBeInstanceOf(OverloadedError);

    rmSync(join(disk.root, "filler"));
    await expect
      .poll(
        () =>
          queue.enqueue("small", new Uint8Array(1)).then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true);
    await disk.broker.line(/the disk has room again/);
    await isSound(disk);
    await client.close();
    expect((await disk.broker.kill("SIGTERM")).code).toBe(0);
  });
});

/** Judged on a copy: the disk goes with its broker. */
async function isSound(disk: SmallDisk): Promise<void> {
  for (const file of ["jobs.db", "jobs.db-wal"]) copyFileSync(join(disk.root, file), join(folder, file));
  const findings: unknown[] = [];
  await fsck(`sqlite:${folder}/jobs.db`, (finding) => findings.push(finding));
  expect(findings).toEqual([]);
}
