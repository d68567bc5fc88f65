/** `queuecall fsck`: whether a storage is sound. It reads the storage itself, not through a broker. */
import { type Command, Option } from "commander";
import { loadConfig } from "../server/config.ts";
import { AwayError, exitCodes } from "./exit.ts";
import { silenceSqliteWarning } from "./warnings.ts";

interface FsckFlags {
  storage?: string;
  storageFile?: string;
}

export function addFsck(program: Command): void {
  program
    .command("fsck")
    .summary("check a storage: is every job in exactly one place")
    .description(
      "Reads a whole storage and reports, a line of JSON each: jobs in no place or in two, index entries without their job, parts of no job, records that cannot be, announced services without methods. Changes nothing. Exit code 0: nothing found, 1: something.",
    )
    .addOption(new Option("--storage <URL>", "as of `queuecall serve` (QUEUECALL_STORAGE)"))
    .addOption(new Option("--storage-file <FILE>", "file that holds the storage URL (QUEUECALL_STORAGE_FILE)"))
    .addHelpText(
      "after",
      `
A SQLite file must not be in use: stop its broker, or check a copy. Redis can be checked while brokers work.

Examples
  queuecall fsck --storage sqlite:./queuecall-data/queuecall.db
  queuecall fsck --storage redis://127.0.0.1:6379 | jq -r '"\\(.queue) \\(.jobId): \\(.problem)"'

Exit codes
  0 sound · 1 findings · 64 usage · 69 the storage does not answer · 78 it cannot be used`,
    )
    .action(async ({ storage, storageFile }: FsckFlags) => {
      const flags = { ...(storage && { storage }), ...(storageFile && { "storage-file": storageFile }) };
      const config = await loadConfig({ flags, env: process.env });
      silenceSqliteWarning();
      const { fsck, StorageUnavailable } = await import("../server/fsck.ts");
      const write = (finding: object) => void process.stdout.write(`${JSON.stringify(finding)}\n`);
      const { queues, jobs, findings } = await fsck(config.storage, write).catch((error) => {
        throw error instanceof StorageUnavailable ? new AwayError(error.message) : error;
      });
      console.error(`queues: ${queues}, jobs: ${jobs}, findings: ${findings}`);
      process.exitCode = findings > 0 ? exitCodes.error : exitCodes.ok;
    });
}
