import { existsSync, statfsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Those that take longest, so that none of them is the last to begin; vitest itself knows it from the second run on. */
const long = [
  "test/sim/",
  "test/storage/lockstep",
  "test/faults/",
  "test/docs/programs",
  "test/storage/contract/",
  "test/storage/sqlite/crash-points",
  "test/worker/broker",
  "test/transport/",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = long.findIndex((name) => moduleId.includes(name));
      return at < 0 ? long.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** The whole suite with calls as HTTP/2 requests of their own: QUEUECALL_TEST_MODE=unary. */
const unary = [
  {
    find: /^.*\/default-mode\.ts$/,
    replacement: fileURLToPath(new URL("test/support/unary-mode.ts", import.meta.url)),
  },
];

export default defineConfig({
  resolve: { alias: process.env.QUEUECALL_TEST_MODE === "unary" ? unary : [] },
  test: {
    include: ["test/**/*.test.ts"],
    // They need Python, and the registry: npm run test:interop, npm run test:package.
    exclude: [...configDefaults.exclude, "test/interop/**", "test/package/**"],
    pool: "forks",
    // Also on two cores, where it would be one: half of the time goes into waiting for processes and servers.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    setupFiles: ["test/support/setup.ts"],
    env: { ...inMemory() },
    // For what hangs, not for what is slow: no test asserts speed, and the machine may have other things to do.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 5_000,
    // An unhandled rejection or exception fails the run, even if every test passed.
    dangerouslyIgnoreUnhandledErrors: false,
  },
});

/** Nothing that tests write outlives them, and they sync it to the disk thousands of times: it is kept in memory where there is room. */
function inMemory(): { TMPDIR?: string } {
  const folder = "/dev/shm";
  if (process.env.TMPDIR !== undefined || !existsSync(folder)) return {};
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize >= 2 ** 31 ? { TMPDIR: folder } : {};
}
