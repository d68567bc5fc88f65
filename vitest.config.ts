import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Needs Python: npm run interop.
    exclude: [...configDefaults.exclude, "test/interop/**"],
    pool: "forks",
    setupFiles: ["test/support/setup.ts"],
    testTimeout: 15_000,
    hookTimeout: 30_000,
    teardownTimeout: 5_000,
    // An unhandled rejection or exception fails the run, even if every test passed.
    dangerouslyIgnoreUnhandledErrors: false,
  },
});
