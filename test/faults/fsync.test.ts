/** A disk that cannot sync: no answer says OK without it, and the broker ends. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQueueClient } from "../../client/index.ts";
import { fsck } from "../../server/fsck.ts";
import { root } from "../support/processes.ts";
import { Stage } from "./stage.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "queuecall-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const compiler = ["cc", "gcc", "clang"].find((name) => spawnSync(name, ["--version"]).status === 0);
const reason =
  process.platform !== "linux" ? "LD_PRELOAD is Linux's" : compiler ? undefined : "no C compiler on the PATH";

describe.skipIf(reason !== undefined)(`a failing fsync${reason ? ` (skipped: ${reason})` : ""}`, () => {
  test("ends the broker with 1, is never answered OK, and takes nothing that was", async () => {
    const shim = join(folder, "broken-fsync.so");
    const args = ["-shared", "-fPIC", "-o", shim, join(root, "test/faults/broken-fsync.c"), "-ldl"];
    expect(spawnSync(compiler!, args, { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
    const storage = `sqlite:${folder}/jobs.db`;
    const flag = join(folder, "now");

    await using stage = new Stage();
    const { child, url } = await stage.broker(storage, { env: { LD_PRELOAD: shim, BROKEN_FSYNC: flag } });
    await using client = createQueueClient({ url });
    const queue = client.queue<number, unknown>("q");
    for (let n = 0; n < 20; n++) await queue.enqueue(`kept-${n}`, n);

    writeFileSync(flag, "");
    const answers = Array.from({ length: 20 }, (_, n) => queue.enqueue(`after-${n}`, n, { timeout: 500 }));
    for (const answer of await Promise.allSettled(answers)) {
      expect(answer).toMatchObject({
        status: "rejected",
        reason: { name: "BrokerUnavailableError", accepted: "unknown" },
      });
    }
    const { code, stderr } = await child.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /disk I\/O error: the log cannot be synced \(EIO\); what is on disk is unknown, so the process must exit/,
    );
    await client.close();

    const findings: unknown[] = [];
    await fsck(storage, (finding) => findings.push(finding));
    expect(findings).toEqual([]);
    rmSync(flag);
    const again = await stage.broker(storage);
    await using later = createQueueClient({ url: again.url });
    for (let n = 0; n < 20; n++) expect((await later.queue("q").get(`kept-${n}`)).state).toBe("queued");
  });
});
