import { existsSync, statfsSync } from "node:fs";
import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // They need Python, and the registry: npm run test:interop, npm run test:package.
    exclude: [...configDefaults.exclude, "test/interop/**", "test/package/**"],
    pool: "forks",
    // Also on two cores, where it would be one: most of the time goes into waiting for processes and servers.
    maxWorkers: 2,
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
