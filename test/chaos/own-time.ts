/** Loaded into brokers (`node --import`): they are the product and keep no history, but say when they found no time to run. */
import { openHistory, watchTime } from "./history-file.ts";

const { CHAOS_HISTORY = "", CHAOS_NAME = "" } = process.env;
watchTime(openHistory(CHAOS_HISTORY, CHAOS_NAME), "broker");
