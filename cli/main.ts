#!/usr/bin/env node
/** The `queuecall` command. */
import { exitCodes } from "./exit.ts";
import { run } from "./run.ts";

// Whoever reads our output may stop reading.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? 0 : exitCodes.error),
);

await run(process.argv.slice(2));
