/** What travels, for both sides. */
import { defineQueue } from "../../client/index.ts";

export const greetings = defineQueue<{ name: string }, string>("greetings");
/** Takes `steps` × 100 ms. Answers how often its handler has run for this report. */
export const reports = defineQueue<{ steps: number }, { pages: number; runs: number }>("reports");
/** Never works. */
export const payments = defineQueue<{ amount: number }, never>("payments");
