/** `npm run test:package`. It installs from the registry, so `npm test` leaves it out. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/package/*.test.ts"],
    pool: "forks",
    testTimeout: 120_000,
    // Building, packing, and installing from a registry that may be slow.
    hookTimeout: 300_000,
    reporters: ["verbose"],
  },
});
