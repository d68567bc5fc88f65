/** `npm run test:interop`. It needs Python, so `npm test` leaves it out. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/interop/*.test.ts"],
    setupFiles: ["test/support/setup.ts"],
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ["verbose"],
  },
});
