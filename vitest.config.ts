import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // They need Python, Java, Chromium, and the registry: npm run test:interop, test:browser, test:package.
    exclude: [...configDefaults.exclude, "test/interop/**", "test/browser/**", "test/package/**"],
    pool: "forks",
    // Also on two cores, where it would be one: most of the time goes into waiting for processes and servers.
    maxWorkers: 2,
    setupFiles: ["test/support/setup.ts"],
    // For what hangs, not for what is slow: no test asserts speed, and the machine may have other things to do.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 5_000,
    // An unhandled rejection or exception fails the run, even if every test passed.
    dangerouslyIgnoreUnhandledErrors: false,
  },
});
